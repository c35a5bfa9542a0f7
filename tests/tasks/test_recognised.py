"""Data that is not what it was given as: what it looks like is said, and nothing is learned from annotation."""

from __future__ import annotations

import bz2
import gzip
import lzma
from pathlib import Path

import pytest

from sftkit.errors import DataError
from sftkit.prediction.unlabelled import lines_of
from sftkit.tasks.readers.guess import looks_like
from sftkit.tasks.registry import objective_of
from tests.conftest import treebank_text

ENTITIES = "ta B-PER\nmi O\n\nlo O\n"
PARTS = "ta NOUN\nmi VERB\n\nlo ADP\n"
SQUAD = '{"version": "1.1", "data": []}'
TABLE = "text\tlabel\nta mi lo\tyes\n"


def _write(folder: Path, text: str, name: str = "x.txt", encoding: str = "utf-8") -> str:
    (folder / name).write_bytes(text.encode(encoding))
    return str(folder / name)


@pytest.mark.parametrize(
    ("objective", "text", "told"),
    [
        ("ner", PARTS, "'NOUN' .* It looks like words with parts of speech, which --pos reads"),
        ("ner", treebank_text(1), "It looks like CoNLL-U, which --pos and --dep read"),
        ("ner", SQUAD, "It looks like SQuAD's JSON, which --qa reads"),
        ("ner", "ta mi lo su ra ka\n" * 3, "'ka' .* It looks like plain text, which --mlm and --clm read"),
        ("pos", ENTITIES, "'B-PER' .* It looks like words with tags of named entities, which --ner reads"),
        ("pos", SQUAD, "It looks like SQuAD's JSON, which --qa reads"),
        ("pos", TABLE, "It looks like a table, which --nli and --classify read"),
        ("dep", PARTS, "It looks like words with parts of speech, which --pos reads"),
        ("dep", ENTITIES, "It looks like words with tags of named entities, which --ner reads"),
    ],
)
def test_the_complaint_names_what_the_file_looks_like(objective: str, text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told) as caught:
        objective_of(objective).read([_write(tmp_path, text)])
    assert "\n" not in str(caught.value)


def test_what_the_option_itself_reads_is_not_suggested() -> None:
    assert looks_like(PARTS, "--pos") == ""
    assert looks_like("", "--pos") == ""


@pytest.mark.parametrize("objective", ["mlm", "clm"])
@pytest.mark.parametrize(
    "text", [treebank_text(60), ENTITIES * 3, PARTS * 3], ids=["CoNLL-U", "entities", "parts of speech"]
)
def test_annotation_is_not_learned_as_text(objective: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="would be learned as text"):
        objective_of(objective).read([_write(tmp_path, text)])


def test_how_text_is_taken_out_of_a_treebank_that_has_it_is_said(tmp_path: Path) -> None:
    source = _write(tmp_path, "# text = ta mi0 ka\n" + treebank_text(2))
    with pytest.raises(DataError, match=rf"sed -n 's/\^# text = //p' {source} > NEW.txt"):
        objective_of("mlm").read([source])


@pytest.mark.parametrize(
    "text", ["ta O\nmi lo\n", "Generation X\n", "a B-side\n" * 3, "x B-side\nthe A-side\n", "1\t2\n"]
)
def test_short_lines_of_text_are_text(text: str, tmp_path: Path) -> None:
    assert len(objective_of("mlm").read([_write(tmp_path, text)])) > 0


@pytest.mark.parametrize("separator", ["\t", " "])
def test_words_with_parts_of_speech_in_two_columns_are_read_and_written(separator: str, tmp_path: Path) -> None:
    objective = objective_of("pos")
    source = _write(tmp_path, PARTS.replace(" ", separator))
    rows = objective.read([source])
    assert (rows["words"][:], rows["tags"][:]) == ([["ta", "mi"], ["lo"]], [["NOUN", "VERB"], ["ADP"]])
    objective.write_predictions(source, [["X", "X"], ["NUM"]], tmp_path / "out")
    assert (tmp_path / "out").read_text() == "ta X\nmi X\n\nlo NUM\n".replace(" ", separator)


@pytest.mark.parametrize("objective", ["pos", "dep"])
@pytest.mark.parametrize("form", ["_", "____"])
def test_a_treebank_without_its_text_is_refused(objective: str, form: str, tmp_path: Path) -> None:
    lines = [line.split("\t") for line in treebank_text(4).split("\n")]
    text = "\n".join("\t".join([line[0], form, *line[2:]]) if len(line) > 1 else line[0] for line in lines)
    with pytest.raises(DataError, match="14 of 14 words are _: the treebank comes without its text"):
        objective_of(objective).read([_write(tmp_path, text)])


@pytest.mark.parametrize("name", ["pos", "dep"])
def test_sentences_without_their_text_in_a_treebank_that_has_most_of_it_are_told(name: str, tmp_path: Path) -> None:
    blank = treebank_text(1).replace("\tta\t", "\t_\t").replace("\tmi0\t", "\t__\t").replace("\tka\t", "\t_\t")
    objective = objective_of(name)
    rows = objective.read([_write(tmp_path, treebank_text(3) + blank)])
    assert len(rows) == 4
    assert "sentences without their text, only _ for words: 1." in objective.reading_notes()[0]


def test_an_underscore_among_words_is_a_word(tmp_path: Path) -> None:
    objective = objective_of("pos")
    source = _write(tmp_path, treebank_text(3).replace("\tmi0\t", "\t_\t"))
    assert objective.read([source])["words"][0][1] == "_"
    assert objective.reading_notes() == ()


@pytest.mark.parametrize("objective", ["mlm", "ner", "classify"])
@pytest.mark.parametrize(
    ("encoding", "command"),
    [
        ("cp1252", "iconv -f cp1252 -t utf-8"),
        ("utf-16", "iconv -f utf-16 -t utf-8"),
        ("utf-16-le", "iconv -f utf-16le -t utf-8"),
        ("utf-16-be", "iconv -f utf-16be -t utf-8"),
        ("koi8-r", "iconv -f ENCODING -t utf-8"),
    ],
)
def test_text_in_another_encoding_is_told_with_what_converts_it(
    objective: str, encoding: str, command: str, tmp_path: Path
) -> None:
    text = "привет\tмир\n" if encoding == "koi8-r" else "text\tlabel\ncafé\tB-X\n"
    source = _write(tmp_path, text * 3, "a b.txt", encoding)
    with pytest.raises(DataError, match=rf"{command} '{source}' > NEW"):
        objective_of(objective).read([source])


def test_one_broken_character_in_utf8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes("дом\tO\n".encode() * 3 + b"\xd0\tO\n")
    with pytest.raises(DataError, match=r"line 4: not UTF-8.*iconv -c -f utf-8 -t utf-8"):
        objective_of("ner").read([str(tmp_path / "x.txt")])


_LINES = "ta B-PER\nmi O\n\n" * 20


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (gzip.compress(_LINES.encode()), "is compressed. Unpack it first \\(gunzip\\)"),
        (lzma.compress(_LINES.encode()), "is compressed. Unpack it first \\(unxz\\)"),
        (bz2.compress(_LINES.encode()), "is compressed. Unpack it first \\(bunzip2\\)"),
        (b"PK\x03\x04\x14\0\0\0x.txt", "is a ZIP archive"),
        (b"%PDF-1.7\n", "is a PDF"),
        (_LINES.replace("\n", "\r").encode(), r"lines end in carriage returns alone. Convert them: tr '\\r' '\\n'"),
        (_LINES.encode("utf-32"), "iconv -f utf-32 -t utf-8"),
        (_LINES.encode("utf-16"), "iconv -f utf-16 -t utf-8"),
        (_LINES.replace("mi", "mi\0", 1).encode(), r"A stray one is taken out by tr -d '\\0'"),
    ],
    ids=["gzip", "xz", "bzip2", "zip", "PDF", "old Mac", "UTF-32", "UTF-16", "a stray NUL"],
)
def test_what_is_no_utf8_text_is_told_with_what_makes_it_some(raw: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=told):
        objective_of("ner").read([str(path)])
    with pytest.raises(DataError, match=told):
        list(lines_of(str(path)))
    if b"\r" not in raw:  # a line ends there in plain text
        with pytest.raises(DataError, match=told):
            objective_of("mlm").read([str(path)])


def test_half_a_character_in_a_table_of_json_is_told_with_its_line(tmp_path: Path) -> None:
    rows = '{"text": "ta", "label": "a"}\n{"text": "mi \\ud83d", "label": "b"}\n'
    with pytest.raises(DataError, match="line 2: no text: it holds half a character"):
        objective_of("classify").read([_write(tmp_path, rows, "x.jsonl")])
    whole = rows.replace("\\ud83d", "\\ud83d\\ude00")
    assert len(objective_of("classify").read([_write(tmp_path, whole, "x.jsonl")])) == 2


def test_plain_text_given_for_words_with_tags_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("ta mi lo ka su ta mi.\nka su mi lo ta en an.\nmi lo ka su ta.\n" * 3)
    with pytest.raises(DataError, match=r"line 1 has 7\. It looks like plain text, which --mlm and --clm read"):
        objective_of("pos").read([str(tmp_path / "x.txt")])
