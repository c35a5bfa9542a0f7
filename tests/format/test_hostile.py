"""Files made to cost time or memory, or to fail late: each is refused, or read, in proportion to its size."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftkit.errors import CheckpointError, FormatError
from sftkit.format.files import read
from sftkit.format.metadata import MOST_CHARACTERS
from sftkit.format.writing import write
from sftkit.inspecting.kinds import in_model_order, layer_of
from sftkit.inspecting.summary import summarise
from sftkit.inspecting.training_facts import training_facts
from sftkit.sharing.card import card
from sftkit.storage.documents import MOST_LEVELS, check_regular, parse_json, read_json
from tests.format.raw import WEIGHT, document, tensors, write_raw


def nested(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {"x": 1}
    for _ in range(levels - 1):
        made = {"x": made}
    return made


def test_a_record_as_deep_as_is_allowed_is_told_at_once(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.sft", sft=document(training=nested(MOST_LEVELS - 2)))
    summary = summarise(path)
    assert ("x", "x " * (MOST_LEVELS - 3) + "1") in training_facts(summary.metadata.training, "lottery")
    assert "x x x" in card(summary, "a/b", "x.sft")


@pytest.mark.parametrize("levels", [MOST_LEVELS, 400, 3000, 200_000])
def test_a_record_that_is_nested_deeper_is_refused(levels: int, tmp_path: Path) -> None:
    text = json.dumps(document())[:-1] + ',"training":' + '{"x":' * levels + "1" + "}" * levels + "}"
    with pytest.raises(FormatError, match="nested deeper than 64 levels"):
        read(write_raw(tmp_path / "x.sft", sft=text))


def test_a_document_of_more_characters_than_any_is_refused(tmp_path: Path) -> None:
    text = json.dumps(document(method="x" * MOST_CHARACTERS))
    with pytest.raises(FormatError, match=r"33,5.* characters, more than"):
        read(write_raw(tmp_path / "x.sft", sft=text))


ODD = {"an escape": "\x1b[31mred", "a line break": "a\nb", "another direction": "a\u202eb", "pages": "x" * 20_000}
ONE = np.ones(1, np.uint8)
#: What is wrong with the tensors of a parameter, whose name is to stand in the message as it may be shown.
WRONGLY: dict[str, dict[str, Any]] = {
    "no values": {"diff/{}/gaps": ONE},
    "no gaps": {"diff/{}/values": ONE.astype(np.float32)},
    "not listed": {"diff/{}/gaps": ONE, "diff/{}/values": ONE.astype(np.float32), "listed": False},
    "shapes": {"diff/{}/gaps": ONE, "diff/{}/values": np.ones(2, np.float32)},
    "dtypes": {"diff/{}/gaps": ONE.astype(np.float64), "diff/{}/values": ONE.astype(np.float32)},
    "a gap of 0": {"diff/{}/gaps": 0 * ONE, "diff/{}/values": ONE.astype(np.float32)},
    "beyond": {"diff/{}/gaps": 99 * ONE, "diff/{}/values": ONE.astype(np.float32)},
    "not finite": {"diff/{}/gaps": ONE, "diff/{}/values": np.full(1, np.nan, np.float32)},
    "a head that is not finite": {"head/{}": np.full(1, np.inf, np.float32)},
    "a shape": {"shape": [-1]},
}


@pytest.mark.parametrize("wrong", WRONGLY)
@pytest.mark.parametrize("odd", ODD)
def test_messages_show_names_and_send_nothing(odd: str, wrong: str, tmp_path: Path) -> None:
    given = dict(WRONGLY[wrong])
    listed, shape = given.pop("listed", True), given.pop("shape", [3])
    said = document()
    said["parameters"] |= {ODD[odd]: {"shape": shape, "dtype": "float32"}} if listed else {}
    held = tensors() | {name.format(ODD[odd]): array for name, array in given.items()}
    with pytest.raises(FormatError) as told:
        read(write_raw(tmp_path / "x.sft", held, sft=said))
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize("training", [nested(400), nested(5000), {"note": "\ud800"}, {"x": ["y" * MOST_CHARACTERS]}])
def test_what_a_reader_would_refuse_is_not_written(training: dict[str, Any], tmp_path: Path) -> None:
    sft = read(write_raw(tmp_path / "x.sft"))
    with pytest.raises(FormatError, match="What the SFT says of itself"):
        write(tmp_path / "y.sft", replace(sft, metadata=replace(sft.metadata, training=training)))
    assert not (tmp_path / "y.sft").exists()


@pytest.mark.parametrize("where", ["labels", "method", "name of a parameter", "training", "key"])
def test_half_a_character_in_the_document_is_refused(where: str, tmp_path: Path) -> None:
    half = "a\ud800"
    every: dict[str, dict[str, Any]] = {
        "labels": {"labels": [half]},
        "method": {"method": half},
        "name of a parameter": {"parameters": document()["parameters"] | {half: {"shape": [1]}}},
        "training": {"training": {"x": [{"y": half}]}},
        "key": {"training": {half: 1}},
    }
    with pytest.raises(FormatError, match=r"half a character \(.ud800\)"):
        read(write_raw(tmp_path / "x.sft", sft=document(**every[where])))


def test_a_character_written_as_two_halves_is_read(tmp_path: Path) -> None:
    assert read(write_raw(tmp_path / "x.sft", sft=document(method="😀"))).metadata.method == "😀"


def test_memory_is_in_proportion_to_the_file_however_many_parameters_claim_rows(tmp_path: Path) -> None:
    names = [f"layer.{number}.weight" for number in range(200)]
    one = np.ones(1, np.float32)
    arrays = {f"diff/{name}/{part}": one.astype(np.uint8) if part == "gaps" else one
              for name in names for part in ("gaps", "values")}  # fmt: skip
    path = write_raw(
        tmp_path / "x.sft", arrays, document(k=200, parameters={name: {"shape": [2**22, 1]} for name in names})
    )
    tracemalloc.start()
    with pytest.raises(FormatError, match="838,860,800 rows"):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize("key", ["diff/gaps", "diff//gaps", "diff/values", "diff//values"])
def test_entries_of_no_parameter_are_refused(key: str, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.sft", tensors() | {key: np.ones(2, np.uint8)})
    with pytest.raises(FormatError, match=f"{key} names no parameter"):
        read(path)


@pytest.mark.parametrize("name", ["h.².x", "h.①.x", "h.٣.x", "a.3", "1.weight"])
def test_layers_of_any_name_have_an_order(name: str, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "x.sft", sft=document(parameters=document()["parameters"] | {name: {"shape": [1]}}))
    assert layer_of(name) in {stats.name for stats in summarise(path).layers}
    assert in_model_order([layer_of(name), layer_of(WEIGHT)])


def test_json_is_read_from_regular_files_only(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path, what in ((tmp_path, "a directory"), (Path("/dev/zero"), "a device"), (tmp_path / "loop", "loop")):
        with pytest.raises(CheckpointError, match=what):
            read_json(path)
    check_regular(tmp_path / "none")


@pytest.mark.parametrize("text", ["5", "[1, {}]", '"😀"', '"\\ud83d\\ude00"', "[" * 64 + "]" * 64, "1" * 4000])
def test_json_documents_are_read(text: str) -> None:
    assert parse_json(text) == json.loads(text)
