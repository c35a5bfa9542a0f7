"""Data made to be told at length, late, or never: it is refused in a short line before anything is learned from it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sftkit.errors import DataError, SftkitError
from sftkit.prediction.texts import texts_of
from sftkit.prediction.unlabelled import batched
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.readers.local import local_file
from sftkit.tasks.readers.squad import question_rows
from sftkit.tasks.registry import objective_of
from tests.cli.run import sftkit
from tests.helpers import pico

LONG = "x y " * 5000
WORD = "x" * 20_000


def squad(answer: str, start: int = 0, **more: object) -> str:
    qa = {"id": WORD, "question": "mi?", "answers": [{"text": answer, "answer_start": start}]}
    return json.dumps({"data": [{"paragraphs": [{"context": f"ta {LONG}", "qas": [qa]}]}], **more})


# objective, ending, content, options
LENGTHY: dict[str, tuple[str, str, str, TaskOptions]] = {
    "a tag": ("pos", ".txt", f"ta {WORD}\n", TaskOptions()),
    "an entity's tag": ("ner", ".txt", f"ta {WORD}\n", TaskOptions()),
    "a relation": ("dep", ".conllu", f"1\tta\t_\tNOUN\t_\t_\t0\t{WORD}\t_\t_\n\n", TaskOptions()),
    "a part of speech": ("pos", ".conllu", f"1\tta\t_\t{WORD}\t_\t_\t0\troot\t_\t_\n\n", TaskOptions()),
    "a head": ("dep", ".conllu", f"1\tta\t_\tNOUN\t_\t_\t{WORD}\troot\t_\t_\n\n", TaskOptions()),
    "a number of a word": ("dep", ".conllu", f"{'9' * 5000}\tta\t_\tNOUN\t_\t_\t0\troot\t_\t_\n\n", TaskOptions()),
    "a heading": ("nli", ".tsv", f"{LONG}\t{LONG}\t{LONG}\na\tb\tc\n", TaskOptions()),
    "a value of a column": (
        "classify", ".tsv", f"text\tlabel\tlang\na\tb\t{LONG}\n", TaskOptions(where=(("lang", "sw"),))
    ),
    "a list for a label": ("classify", ".jsonl", json.dumps({"text": "a", "label": [LONG]}), TaskOptions()),
    "an answer": ("qa", ".json", squad(LONG), TaskOptions(strict_answers=True)),
    "a key": ("qa", ".json", json.dumps({WORD: 1}), TaskOptions()),
}  # fmt: skip


@pytest.mark.parametrize("what", LENGTHY)
def test_what_is_long_is_cut_where_it_is_quoted(what: str, tmp_path: Path) -> None:
    name, ending, content, options = LENGTHY[what]
    path = tmp_path / f"x{ending}"
    path.write_text(content)
    with pytest.raises(SftkitError) as told:
        objective_of(name, options).read([str(path)])
    assert len(str(told.value)) - len(str(path)) < 800, str(told.value)[:1000]
    assert str(path) in str(told.value)


def test_a_file_with_one_label_is_named_and_its_label_cut(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text(f"text\tlabel\na\t{LONG}\nb\t{LONG}\n")
    (tmp_path / "b.tsv").write_text(f"text\tlabel\na\t{LONG}\nb\t{LONG}\n")
    objective = objective_of("classify")
    rows = objective.read([str(tmp_path / "a.tsv")])
    objective.read([str(tmp_path / "b.tsv")])
    objective = objective.with_labels(objective.labels_in(rows))
    with pytest.raises(DataError, match=r"a\.tsv, .*b\.tsv: only the label 'x y ") as told:
        objective.features(rows, pico.make_tokenizer(), 32)
    assert len(str(told.value)) < 500


HALF = '{"text": "ta \\ud800", "label": "x"}'


def test_half_a_character_is_refused_before_anything_is_learned(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "ta", "label": "y"}\n' + HALF + "\n")
    with pytest.raises(DataError, match=r"x\.jsonl, line 2: .*half a character"):
        objective_of("classify").read([str(path)])
    with pytest.raises(DataError, match=r"line 2: .*half a character"):
        list(batched(texts_of(str(path), iter(path.read_text().splitlines()), {"text": ("text",)})._rows))


def test_half_a_character_anywhere_in_squads_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(squad("ta", title="\ud800"))
    with pytest.raises(DataError, match="half a character"):
        question_rows(str(path))


@pytest.mark.parametrize("levels", [70, 900, 100_000])
def test_rows_that_are_nested_deep_are_refused(levels: int, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a", "label": ' + "[" * levels + "]" * levels + "}\n")
    with pytest.raises(DataError, match=r"x\.jsonl, line 1: "):
        objective_of("classify").read([str(path)])


@pytest.mark.parametrize("name", ["mlm", "pos", "ner", "dep", "nli", "classify", "qa"])
def test_a_pipe_is_refused_with_what_to_do(name: str, tmp_path: Path, pico_base: Path) -> None:
    os.mkfifo(tmp_path / "x.tsv")
    for source in (tmp_path / "x.tsv", Path("/dev/zero")):
        done = sftkit("evaluate", pico_base, f"--{name}", source)
        assert done.status == 1
        assert done.stderr.startswith(f"error: {source}: not a file but a pipe or a device")
        assert "Write it into a file first." in done.stderr


def test_what_a_shell_substitutes_is_refused_as_a_pipe(tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(DataError, match="a pipe"):
            local_file(f"/dev/fd/{read}")
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "loop", "file/x"])
def test_names_that_no_file_can_have_are_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    Path("file").touch()
    with pytest.raises(DataError):
        local_file(name)
