"""A look at data: what is counted, and what is suspicious, by every objective."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sftkit.modeling.load import load_tokenizer
from sftkit.tasks.registry import objective_of
from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers import squad


def look(*arguments: object) -> dict[str, Any]:
    done = sftkit("data", *arguments, "--json")
    assert done.status == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_sentences_words_labels_and_repetitions_are_counted(tmp_path: Path) -> None:
    train = _write(tmp_path, "train", "ta B-PER\nmi I-PER\nlo O\n\nka B-LOC\n\nka O\n\nsu B-X\n\n" * 2)
    test = _write(tmp_path, "test", "ka B-LOC\n\nra B-NEW\n")
    found = look("--ner", train, "--test", test)
    part = found["parts"]["train"]
    assert (part["examples"], part["words"], part["longest"]) == (8, 12, 3)
    assert (part["duplicates"], part["contradictions"]) == (5, 1)  # three kinds of sentences, one with two labels
    assert part["labels"] == {"PER": 2, "LOC": 2, "X": 2}
    assert found["in_training_data"] == {"test": 1}
    assert "pieces" not in part
    told = " ".join(found["notes"])
    for words in ("test: labels that are not in the training data: NEW.", "the same as an earlier example: 5 of 8",
                  "several times with different labels: 1", "test: in the training data, too: 1 of 2",
                  "fewer than 10 times: LOC, PER, X"):  # fmt: skip
        assert words in told


def test_pieces_are_those_of_the_base_and_long_examples_are_counted(tmp_path: Path, pico_base: Path) -> None:
    source = _write(tmp_path, "x.txt", f"ta mi\n{'ta ' * 40}\nŋŋ ta\n")
    part = look("--mlm", source, "--base", pico_base, "--max-length", 16)["parts"]["train"]
    assert (part["examples"], part["words"], part["pieces"]) == (3, 44, 44)
    assert (part["unknown_pieces"], part["longer_than_window"]) == (1, 1)
    assert (part["windows"], part["tokens"]) == (4, 44 + 2 + 4 * 2)  # two between lines, two around each window
    apart = look("--mlm", source, "--base", pico_base, "--max-length", 16, "--no-pack")["parts"]["train"]
    assert (apart["windows"], apart["tokens"], apart["pieces"]) == (5, 44 + 5 * 2, 44)


def test_windows_are_no_longer_than_the_model(tmp_path: Path, pico_base: Path) -> None:
    source = _write(tmp_path, "x.txt", "ta mi lo ka\n" * 100)
    parts = (
        look("--mlm", source, "--base", pico_base, *length)["parts"]["train"] for length in ((), ("--max-length", 64))
    )
    assert next(parts)["windows"] == next(parts)["windows"] > 4  # of 64 positions


def test_the_windows_are_those_of_a_run(tmp_path: Path, pico_base: Path) -> None:
    source = _write(tmp_path, "x.txt", "ta mi lo ka\n" * 40)
    part = look("--clm", source, "--base", pico_base, "--max-length", 32)["parts"]["train"]
    objective = objective_of("clm")
    features = objective.features(objective.read([str(source)]), load_tokenizer(pico_base), 32)
    assert (part["windows"], part["tokens"]) == (len(features), features.tokens)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (treebank_text(2), "It looks like CoNLL-U, which --pos and --dep read."),
        ("ta B-PER\nmi O\n\nlo O\n" * 3, "It looks like words with tags of named entities, which --ner reads."),
        ('{"version": "1.1", "data": []}', "It looks like SQuAD's JSON, which --qa reads."),
        ("text\tlabel\nta mi lo\tyes\n", "It looks like a table, which --nli and --classify read."),
        ("ta mi lo su ra ka\n" * 6, "It looks like plain text, which --mlm and --clm read."),
        ("ta\n", "say what for, one of --mlm, --clm, --pos,"),
    ],
)
def test_a_file_without_an_objective_is_told_what_it_looks_like(text: str, told: str, tmp_path: Path) -> None:
    done = sftkit("data", _write(tmp_path, "x", text))
    assert done.status == 2
    assert told in " ".join(done.stderr.replace("│", " ").split())


def test_each_file_takes_an_option_of_its_own(tmp_path: Path) -> None:
    done = sftkit("data", "--mlm", _write(tmp_path, "x", "ta\n"), "y")
    assert done.status == 2
    assert "y: each file takes an option of its own: --mlm y." in " ".join(done.stderr.replace("│", " ").split())


def test_labels_that_are_texts_are_suspicious_and_no_label_contradicts_none(tmp_path: Path) -> None:
    source = _write(tmp_path, "x.tsv", "text\tlabel\n" + "".join(f"a{i}\tb{i}\n" for i in range(30)))
    assert any("different labels: 30 of 30 examples" in note for note in look("--classify", source)["notes"])
    pairs = _write(tmp_path, "y.tsv", "premise\thypothesis\tlabel\nta\tmi\tyes\nta\tmi\t-\nka\tmi\tno\n")
    assert look("--nli", pairs)["parts"]["train"]["contradictions"] == 0


def test_what_the_readers_say_is_among_the_notes(tmp_path: Path) -> None:
    source = _write(tmp_path, "x.tsv", "1\tKolu\tB-PER\tO\n2\tmip\tO\tO\n")
    assert any("taken from column 2" in note for note in look("--ner", source)["notes"])
    assert sftkit("data", "--ner", source).stderr.count("taken from column 2") == 1


def test_every_objective_is_looked_at(tmp_path: Path) -> None:
    treebank = _write(tmp_path, "x.conllu", treebank_text(12))
    table = _write(tmp_path, "x.tsv", "premise\thypothesis\tlabel\n" + "ta\tmi\tyes\nta\tlo\tno\n" * 3)
    texts = _write(tmp_path, "y.tsv", "text\tlabel\nta\tyes\nta\tno\n")
    questions = squad.save(tmp_path / "x.json", squad.numbers(6, 1, unanswered=True))
    labels = {
        name: look(f"--{name}", source)["parts"]["train"]["labels"]
        for name, source in (("pos", treebank), ("dep", treebank), ("nli", table), ("classify", texts),
                             ("qa", questions), ("clm", _write(tmp_path, "x.txt", "ta\n")))
    }  # fmt: skip
    assert labels["nli"] == {"yes": 3, "no": 3}
    assert labels["classify"] == {"yes": 1, "no": 1}
    assert labels["qa"] == {"answer": 4, "no answer": 2}
    assert labels["clm"] == {}
    assert labels["pos"].keys() == {"NOUN", "VERB", "ADP", "PUNCT"} & labels["pos"].keys()
    assert labels["dep"]["root"] == 12


@pytest.mark.parametrize("arguments", [(), ("--pos", "none"), ("--pos", "x", "--ner", "x")])
def test_what_cannot_be_looked_at_is_told(arguments: tuple[str, ...]) -> None:
    assert sftkit("data", *arguments).status in (1, 2)


def test_words_that_are_mostly_numbers_are_suspicious(tmp_path: Path) -> None:
    source = _write(tmp_path, "x.txt", "1 O\n2 B-PER\n3 O\n\n1 O\n")
    assert any("words that are numbers: 4 of 4" in note for note in look("--ner", source)["notes"])
