"""What ``predict`` sees in text and tells of, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sftkit as library
from sftkit.errors import SettingsError
from tests.cli.predict.conftest import NER, TEXT, WORD, write
from tests.cli.run import sftkit

_REFUSED = {
    "documents": f"-DOCSTART- O\n\n{NER}", "comments": "# text = ta mi\n1\tta\tB-PER\n2\tmi\tO\n3\tlo\tO\n" * 2,
    "tabs": NER.replace(" ", "\t"), "uner": "1\tta\tB-PER\t-\n2\tmi\tO\t-\n" * 4, "numbered": "1\tta\n2\tmi\n" * 4,
    "blanks.tsv": "ta\t_\nmi\t_\n\n" * 4, "squad": '{"version": "1.1", "data": []}',
    "under.conllu": WORD.replace("ta", "_") * 4, "spaces.conllu": WORD.replace("\t", "  "),
    "ids": WORD.replace("1\t", "1a\t"), "ids2": WORD.replace("1\t", "2\t"), "blank": " \n\n",
    "half.jsonl": '{"text": "ta \\ud800"}\n', "digits.jsonl": f'{{"text": "ta", "n": {"7" * 5000}}}\n',
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("--ner", "tagged"), 1, "has tags beside its words"),
        (("--nli", "text"), 1, "no table"),
        (("--pos", "none"), 1, "no such file"),
        (("--pos", "text", "--pos", "text"), 2, "one file at a time"),
        (("--classify", "text", "--words"), 2, "--words is about --pos"),
        (("--mlm", "long"), 1, "line 2: 42 tokens, and a window has 32"),
        (("--pos", "latin"), 1, "line 1: not UTF-8 text"),
        (("--pos", "text", "-o", "text"), 1, "text"),
        (("--ner", "tabs"), 1, "(cut -f 1) for --words"),
        (("--ner", "tagged"), 1, "(cut -d' ' -f 1) for --words"),
        (("--ner", "uner"), 1, "(cut -f 2) for --words"),
        (("--ner", "comments"), 1, "(grep -v -e '^#' | cut -f 2) for --words"),
        (("--ner", "documents"), 1, "(grep -v -e '^-DOCSTART-' | cut -d' ' -f 1) for --words"),
        (("--ner", "numbered", "--words"), 1, "has numbers beside its words"),
        (("--ner", "blanks.tsv"), 1, "It looks like a table"),
        (("--pos", "squad"), 1, "It looks like SQuAD's JSON"),
        (("--pos", "under.conllu"), 1, "4 of 4 words are _: the treebank comes without its text"),
        (("--pos", "spaces.conllu"), 1, "line 1: 1 tab-separated columns; CoNLL-U has 10"),
        (("--pos", "ids"), 1, "line 1: '1a' is no word's number"),
        (("--dep", "ids2"), 1, "line 1: the word's ID is 2 where 1 is due"),
        (("--pos", "blank"), 1, "holds no text, only blank lines"),
        (("--classify", "blank"), 1, "holds no text, only blank lines"),
        (("--classify", "half.jsonl"), 1, "line 1: no text: it holds half a character"),
        (("--classify", "digits.jsonl"), 1, "line 1: a number in it is too long"),
    ],
)
def test_what_cannot_be_labelled_is_told(
    arguments: tuple[str, ...], status: int, told: str, tmp_path: Path, folder: Path, pico_base: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "tagged", NER)
    write(tmp_path, "text", TEXT)
    write(tmp_path, "long", "[MASK]\n" + "ta " * 40)
    (tmp_path / "latin").write_bytes(b"caf\xe9 ta\n")
    for name, made in _REFUSED.items():
        write(tmp_path, name, made)
    sfts = [path for path in (folder / f"{arguments[0][2:]}.sft",) if path.exists()]
    done = sftkit("predict", pico_base, *sfts, *arguments, "--max-length", 32)
    assert done.status == status, done.stderr
    assert told in " ".join(done.stderr.split())
    assert write(tmp_path, "same", TEXT).read_text() == (tmp_path / "text").read_text()


def _run(folder: Path, base: Path, name: str, source: Path, *arguments: object) -> tuple[str, str]:
    sfts = [folder / f"{name}.sft"] if name != "mlm" else []
    done = sftkit("predict", base, *sfts, f"--{name}", source, "--max-length", 32, *arguments)
    assert done.status == 0, done.stderr
    return done.stdout, " ".join(done.stderr.split())


def test_a_word_a_line_with_blank_lines_between_is_seen_and_told(tmp_path: Path, folder: Path, pico_base: Path) -> None:
    source = write(tmp_path, "x.txt", "ta\nmi\nlo\n\nka\nsu\n\nra\nlo\nta\n")
    said, told = _run(folder, pico_base, "ner", source)
    assert "was read as a word a line, with blank lines between sentences (--no-words: a sentence a line)" in told
    assert (said, "") == _run(folder, pico_base, "ner", source, "--words")
    apart, told = _run(folder, pico_base, "ner", source, "--no-words")
    assert (apart.count("\n\n"), told) == (8, "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ta\nmi\nlo\nka\nsu\n", "has one word a line, and each was taken for a sentence (--words"),
        ("ta\n\nmi\n\nlo\n\nka\n\nsu\n", "has one word a line, and each was taken for a sentence (--words"),
        ("สวัสดีชาวโลกทั้งหลาย\n" * 5, "hardly a line has white space, and each was taken for one word"),
        ("ta\n\nmi lo\nka\nsu\nra\n", ""),
    ],
    ids=["list", "list with blank lines", "Thai", "text"],
)
def test_lines_of_one_word_are_told(text: str, told: str, tmp_path: Path, folder: Path, pico_base: Path) -> None:
    note = _run(folder, pico_base, "pos", write(tmp_path, "x.txt", text))[1]
    assert told in note
    assert bool(note) == bool(told)


@pytest.mark.parametrize(("name", "between"), [("x.csv", ","), ("x.tsv", "\t")])
def test_long_cells_are_labelled_and_cut_texts_told(
    name: str, between: str, tmp_path: Path, folder: Path, pico_base: Path
) -> None:
    long = "ta " * 50_000
    rows = [("id", "text"), ("a", long), ("b", "mi")]
    source = write(tmp_path, name, "".join(f'"{first}"{between}"{second}"\n' for first, second in rows))
    said, told = _run(folder, pico_base, "classify", source)
    assert [line.count(between) for line in said.splitlines()] == [2, 2, 2]
    assert long in said
    assert "longer than the window and cut: 1 of 2 examples (--max-length)" in told


def test_text_without_a_mask_is_told(tmp_path: Path, folder: Path, pico_base: Path) -> None:
    said, told = _run(folder, pico_base, "mlm", write(tmp_path, "x", "ta mi\n"))
    assert (said, "there was no [MASK] in it" in told) == ("ta mi\n", True)


@pytest.mark.parametrize(
    ("objective", "texts", "told"),
    [
        ("pos", "ta mi", "must be a list of texts"),
        ("pos", [["ta", 1]], "must be a string or a list of words"),
        ("nli", ["ta"], "must be a pair of strings"),
        ("classify", [("ta", "mi")], "must be a string"),
        ("qa", ["ta"], "must be a pair of strings"),
        ("clm", ["ta"], "predict labels text and fills masks"),
    ],
)
def test_what_are_no_texts_is_told(objective: str, texts: Any, told: str, folder: Path, pico_base: Path) -> None:
    sfts = [path for path in (folder / f"{objective}.sft",) if path.exists()]
    with pytest.raises(SettingsError, match=told):
        list(library.predict(pico_base, texts, objective=objective, sfts=sfts, device="cpu"))
