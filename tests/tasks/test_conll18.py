"""UAS, LAS and UPOS are those of the CoNLL 2018 shared task, counted on files by its definition in other words.

Two files are compared by the characters that their words stand for. A token is a stretch of the text's characters,
white space left out; its words are one, or those of a multi-word token. A word of one file is that of the other if it
is as many words into a token of the same stretch. A score is F1 over words: twice the pairs of which something is
right, over the words of both files. Parents are right if they are such a pair, too, or both the root; relations are
compared up to the colon. Empty nodes count for nothing. (The task's program refuses trees with circles and several
roots; a parser's greedy heads may be such, and are counted here as any others.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sftkit.tasks.dep import DependencyParsing, Parse
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.pos import PartOfSpeech
from sftkit.tasks.readers.conllu import RELATIONS
from sftkit.tasks.readers.tag_sets import UPOS
from tests.helpers import pico

#: The characters at which a word's token begins and ends, and how many words of the token come before it.
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Word:
    tag: str
    head: Place | None
    relation: str


def words_of(text: str, subtypes: bool = False) -> dict[Place, Word]:
    found: dict[Place, Word] = {}
    at = 0
    for block in text.replace("\r\n", "\n").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if line.strip() and not line.startswith("#")]
        places: dict[str, Place] = {"0": (-1, -1, -1)}
        inside: list[str] = []
        length = 0
        for row in rows:
            if "." in row[0]:
                continue
            if "-" in row[0]:
                first, last = map(int, row[0].split("-"))
                inside = [str(number) for number in range(first, last + 1)]
            elif row[0] in inside:
                places[row[0]] = (at - length, at, inside.index(row[0]))
                continue
            length = len("".join(row[1].split()))
            at += length
            if "-" not in row[0]:
                places[row[0]] = (at - length, at, 0)
        for row in rows:
            if row[0].isdecimal():
                relation = row[7] if subtypes else row[7].split(":")[0]
                found[places[row[0]]] = Word(row[3], places[row[6]], relation)
    return found


def conll18(gold: str, system: str, subtypes: bool = False) -> dict[str, float]:
    ours, theirs = words_of(gold, subtypes), words_of(system, subtypes)
    both = [(ours[place], theirs[place]) for place in ours.keys() & theirs.keys()]

    def f1(right: int) -> float:
        return 2 * right / (len(ours) + len(theirs))

    return {
        "upos": f1(sum(g.tag == s.tag for g, s in both)),
        "uas": f1(sum(g.head == s.head for g, s in both)),
        "las": f1(sum((g.head, g.relation) == (s.head, s.relation) for g, s in both)),
    }


SUBTYPED = (*RELATIONS, "nmod:poss", "acl:relcl", "nsubj:pass", "obl:agent", "flat:name", "aux:pass")


def treebank(draw: np.random.Generator, sentences: int) -> str:
    """A random treebank with all that one may hold: every head hangs from a word before it, or one after."""
    blocks = []
    for number in range(sentences):
        count = int(draw.integers(1, 12))
        order = draw.permutation(count)
        heads = np.zeros(count, int)
        for i, word in enumerate(order[1:], start=1):
            heads[word] = order[draw.integers(0, i)] + 1
        lines, i = [f"# sent_id = {number}"], 0
        while i < count:
            several = int(draw.integers(2, 4)) if draw.random() < 0.15 else 1
            several = min(several, count - i)
            if several > 1:
                lines.append(f"{i + 1}-{i + several}\t{_form(draw)}\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No")
            for j in range(i, i + several):
                relation = "root" if heads[j] == 0 else draw.choice([name for name in SUBTYPED if name != "root"])
                columns = [j + 1, _form(draw), "_", draw.choice(UPOS), "_", "_", heads[j], relation, "_", "_"]
                lines.append("\t".join(map(str, columns)))
                if draw.random() < 0.05:
                    lines.append(f"{j + 1}.1\tleft out\t_\tVERB\t_\t_\t_\t_\t{j + 1}:dep\t_")
            i += several
        blocks.append("\n".join(lines))
        if draw.random() < 0.1:
            blocks.append("# newdoc\n# no sentence")
    return "\n\n".join(blocks) + "\n\n"


def _form(draw: np.random.Generator) -> str:
    return str(draw.choice(["ta", "mi", "10 000", "l'", "ß", "塔", "\u200b", "_", "#", "a\u00a0b", "1-2", "u\u0301"]))


def changed(draw: np.random.Generator, row: Mapping[str, list[object]], rate: float) -> Parse:
    """A sentence's tree with other heads and relations here and there: circles, several roots, none."""
    heads: list[int] = [int(str(head)) for head in row["heads"]]
    relations = [str(name) for name in row["relations"]]
    for i in range(len(heads)):
        if draw.random() < rate:
            heads[i] = int(draw.choice([n for n in range(len(heads) + 1) if n != i + 1]))
        if draw.random() < rate:
            relations[i] = str(draw.choice(SUBTYPED))
        elif draw.random() < rate:
            relations[i] = relations[i].split(":")[0] + ":other"
    return Parse(heads, relations)


def check_trees(source: Path, folder: Path, draw: np.random.Generator, subtypes: bool) -> dict[str, float]:
    task = DependencyParsing(TaskOptions(subtypes=subtypes))
    rows = task.read([str(source)])
    said = [changed(draw, row, 0.3) for row in rows]
    task.write_predictions(str(source), said, folder / "said.conllu")
    gold, system = source.read_text(encoding="utf-8"), (folder / "said.conllu").read_text(encoding="utf-8")
    found = task.evaluator(rows, pico.make_tokenizer(), 64, 0).scores(said).metrics
    wanted = conll18(gold, system, subtypes)
    assert found == pytest.approx({name: wanted[name] for name in ("uas", "las")})
    return found


def check_tags(source: Path, folder: Path, draw: np.random.Generator) -> None:
    task = PartOfSpeech()
    rows = task.read([str(source)])
    said = [[tag if draw.random() < 0.7 else str(draw.choice(UPOS)) for tag in tags] for tags in rows["tags"][:]]
    task.write_predictions(str(source), said, folder / "tags.conllu")
    gold, system = source.read_text(encoding="utf-8"), (folder / "tags.conllu").read_text(encoding="utf-8")
    found = task.evaluator(rows, pico.make_tokenizer(), 64, 0).scores(said).metrics
    assert found == pytest.approx({"accuracy": conll18(gold, system)["upos"]})


@pytest.mark.parametrize("subtypes", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_attachment_scores_are_the_shared_tasks_whatever_the_treebank(
    seed: int, subtypes: bool, tmp_path: Path
) -> None:
    draw = np.random.default_rng(seed)
    (tmp_path / "x.conllu").write_text(treebank(draw, 25), encoding="utf-8")
    found = check_trees(tmp_path / "x.conllu", tmp_path, draw, subtypes)
    assert 0.2 < found["las"] < found["uas"] < 0.95


@pytest.mark.parametrize("seed", range(4))
def test_tagging_accuracy_is_the_shared_tasks_upos(seed: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(seed)
    (tmp_path / "x.conllu").write_text(treebank(draw, 25), encoding="utf-8")
    check_tags(tmp_path / "x.conllu", tmp_path, draw)


def test_the_count_on_files_is_right_where_it_can_be_done_by_hand() -> None:
    gold = (
        "1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n1\tde\t_\tADP\t_\t_\t3\tcase\t_\t_\n2\tel\t_\tDET\t_\t_\t3\tdet\t_\t_\n"
        "3\tx\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n"
    )
    other = gold.replace("2\tel\t_\tDET\t_\t_\t3\tdet", "2\tel\t_\tPRON\t_\t_\t1\tdet")
    assert conll18(gold, gold) == {"upos": 1, "uas": 1, "las": 1}
    assert conll18(gold, other) == pytest.approx({"upos": 2 / 3, "uas": 2 / 3, "las": 2 / 3})
    assert conll18(gold, gold.replace("\tcase", "\tmark")) == pytest.approx({"upos": 1, "uas": 1, "las": 2 / 3})
    assert conll18(gold, gold.replace("\tcase", "\tcase:x"))["las"] == 1
    apart = gold.replace("1-2\tdel\t_\t_\t_\t_\t_\t_\t_\t_\n", "").replace("2\tel\t", "2\tl\t")  # other tokens
    assert conll18(gold, apart) == pytest.approx({"upos": 1 / 3, "uas": 1 / 3, "las": 1 / 3})


DATA = Path(os.environ.get("SFTKIT_DATA", "no-data")) / "data/ud"


@pytest.mark.parametrize("name", ["en/test", "es/dev", "gl/test", "mt/test", "sme/test", "wo/test"])
def test_real_treebanks_score_as_in_the_shared_task(name: str, tmp_path: Path) -> None:
    source = DATA / f"{name}.conllu"
    if not source.is_file():
        pytest.skip("SFTKIT_DATA names no folder with data/ud")
    draw = np.random.default_rng(1)
    check_tags(source, tmp_path, draw)
    for subtypes in (False, True):
        check_trees(source, tmp_path, draw, subtypes)
