"""Reading and writing SQuAD's JSON, and what is wrong with files that are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from sftkit.errors import DataError
from sftkit.tasks.readers.squad import Answer, question_rows, write_answers
from tests.helpers import squad

CONTEXT = "Ta mi 42 lo. Ta 7."


def _good() -> dict[str, Any]:
    other = "Su ra."
    first = (CONTEXT, [squad.question(CONTEXT, "42", name="a"), squad.question(CONTEXT, None, name="b")])
    return squad.document(first, (other, [squad.question(other, "ra", name="c")]))


def test_every_question_is_a_row(tmp_path: Path) -> None:
    rows = question_rows(str(squad.save(tmp_path / "x.json", _good()))).rows
    assert rows["context"][:] == [CONTEXT, CONTEXT, "Su ra."]
    assert rows["texts"][:] == [["42"], [], ["ra"]]
    assert rows["starts"][:] == [[6], [], [3]]


def test_version_1_needs_no_is_impossible(tmp_path: Path) -> None:
    made = _good()
    for qa in made["data"][0]["paragraphs"][0]["qas"]:
        del qa["is_impossible"]
    assert question_rows(str(squad.save(tmp_path / "x.json", made))).rows["texts"][:] == [["42"], [], ["ra"]]


def _questions(made: dict[str, Any]) -> list[dict[str, Any]]:
    questions: list[dict[str, Any]] = made["data"][0]["paragraphs"][0]["qas"]
    return questions


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "answer elsewhere": (
        lambda made: _questions(made)[0]["answers"][0].update(answer_start=5),
        r"question a: the answer '42' does not stand at answer_start 5 of the context, where ' 4' is \(it does at 6\)",
    ),
    "answer before the context": (
        lambda made: _questions(made)[0]["answers"][0].update(answer_start=-12),
        "question a: the answer '42' does not stand at answer_start -12",
    ),
    "answer nowhere": (
        lambda made: _questions(made)[0]["answers"][0].update(text="no"),
        "question a: the answer 'no' does not stand at answer_start 6 of the context, where '42' is.$",
    ),
    "start as text": (
        lambda made: _questions(made)[0]["answers"][0].update(answer_start="6"),
        "question a: answer '42' needs 'answer_start'",
    ),
    "no question": (lambda made: _questions(made)[0].pop("question"), "question a: has no 'question'"),
    "no id": (lambda made: _questions(made)[1].pop("id"), "article 1, paragraph 1, question 2: has no 'id'"),
    "impossible with answers": (
        lambda made: _questions(made)[0].update(is_impossible=True), "question a: is_impossible, and has answers",
    ),
    "no context": (
        lambda made: made["data"][0]["paragraphs"][1].pop("context"), "article 1, paragraph 2: has no 'context'",
    ),
    "empty context": (
        lambda made: made["data"][0]["paragraphs"][1].update(context=" "), "question c: its context is empty",
    ),
    "no data": (lambda made: made.pop("data"), "the document: has no 'data'"),
    "data no list": (lambda made: made.update(data={}), "the document: 'data' is not a list"),
    "no questions": (lambda made: made.update(data=[]), "holds no question"),
    "half a character": (
        lambda made: _questions(made)[0].update(question="\ud83d?"), "question a: 'question' holds half a character",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_line_with_file_and_question(case: str, tmp_path: Path) -> None:
    spoil, message = WRONG[case]
    made = _good()
    spoil(made)
    path = squad.save(tmp_path / "x.json", made)
    with pytest.raises(DataError, match=message) as caught:
        question_rows(str(path), strict=True)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", ["answer elsewhere", "answer before the context", "answer nowhere"])
def test_an_answer_that_does_not_stand_where_it_should_is_read_and_told(case: str, tmp_path: Path) -> None:
    made = _good()
    WRONG[case][0](made)
    path = squad.save(tmp_path / "x.json", made)
    rows, notes = question_rows(str(path))
    assert rows["starts"][:] == [[-1], [], [3]]
    assert "where the data says: 1 of 2. They are scored, and not trained on" in notes[0]


def test_ids_that_repeat_are_told(tmp_path: Path) -> None:
    made = _good()
    _questions(made)[1]["id"] = "a"
    rows, notes = question_rows(str(squad.save(tmp_path / "x.json", made)))
    assert len(rows) == 3
    assert notes == (f"{tmp_path / 'x.json'}: questions with the id of another: 1 of 3.",)


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"answers": [{"text": " ", "answer_start": 0}], "is_impossible": False}, None),
        ({"answers": [{"text": "", "answer_start": 0}, {"text": "42", "answer_start": 6}]}, ["42"]),
        ({"answers": []}, []),
        ({"answers": [], "is_impossible": False}, None),
        ({"answers": [], "is_impossible": True}, []),
        ({"is_impossible": True}, []),
        ({"answers": None}, None),
        ({}, None),
        ({"answers": [{"text": "42"}]}, ["42"]),
    ],
)
def test_a_question_has_answers_or_none_or_what_is_right_is_not_known(
    change: dict[str, Any], texts: list[str] | None, tmp_path: Path
) -> None:
    made = _good()
    qas = _questions(made)
    qas[0] = {"id": "a", "question": "mi?"} | change
    rows, notes = question_rows(str(squad.save(tmp_path / "x.json", made)))
    assert rows["texts"][0] == texts
    assert any("not said to have none: 1 of 3" in note for note in notes) == (texts is None)


@pytest.mark.parametrize("answers", [{"answers": []}, {}, {"answers": [{"text": "", "answer_start": 0}]}])
def test_where_no_question_has_answers_and_none_is_said_to_have_none_what_is_right_is_not_known(
    answers: dict[str, Any], tmp_path: Path
) -> None:
    made = squad.document(
        ("ta mi", [{"id": "a", "question": "mi?"} | answers, {"id": "b", "question": "ta?"} | answers])
    )
    rows, _ = question_rows(str(squad.save(tmp_path / "x.json", made)))
    assert rows["texts"][:] == [None, None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [\n  }', "line 2, column 3: not JSON"),
        ("ta NOUN\nmi VERB\n", "line 1, column 1: not JSON.* words with parts of speech, which --pos reads"),
        ("[1, 2]", "the document: has no 'data'"),
        ("[" * 100_000, "nested too deep"),
        ('{"data": ' + "9" * 5000 + "}", "a number in it is too long to be read"),
    ],
)
def test_other_files_are_no_squad(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=message):
        question_rows(str(tmp_path / "x.json"))


def test_predictions_take_the_place_of_the_answers_and_leave_the_rest_as_it_is(tmp_path: Path) -> None:
    made = _good() | {"note": "ŋ"}
    source = squad.save(tmp_path / "x.json", made)
    write_answers(str(source), tmp_path / "said.json", [Answer("7", 16), Answer("", 0), Answer("", 0)])
    said = json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))
    first, second = said["data"][0]["paragraphs"]
    assert [qa["answers"] for qa in first["qas"]] == [[{"text": "7", "answer_start": 16}], []]
    assert [qa["is_impossible"] for qa in first["qas"]] == [False, True]
    assert second["qas"][0] | {"answers": [], "is_impossible": True} == second["qas"][0]
    rows = question_rows(str(tmp_path / "said.json")).rows  # it is a file of the same kind
    assert rows["texts"][:] == [["7"], [], []]
    assert said["note"] == "ŋ"


def test_the_flat_layout_of_the_hub_is_read(tmp_path: Path) -> None:
    flat = [
        {"id": "a", "context": CONTEXT, "question": "mi?", "answers": {"text": ["42", "7"], "answer_start": [6, 16]}},
        {"id": "b", "context": CONTEXT, "question": "lo?", "answers": {"text": [], "answer_start": []}},
    ]
    (tmp_path / "hub").mkdir()
    Dataset.from_list(flat).to_parquet(str(tmp_path / "hub" / "train.parquet"))
    rows = question_rows(f"hf://{tmp_path / 'hub'}:train").rows
    assert rows["texts"][:] == [["42", "7"], []]
    assert rows["starts"][:] == [[6, 16], []]


def test_a_hub_data_set_of_another_layout_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    Dataset.from_list([{"id": "a", "text": "ta"}]).to_parquet(str(tmp_path / "hub" / "train.parquet"))
    with pytest.raises(DataError, match="has no column 'answers', only id, text"):
        question_rows(f"hf://{tmp_path / 'hub'}")
