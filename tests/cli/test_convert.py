"""``sftkit convert`` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sftkit.format.files import SftFile
from tests.cli.run import sftkit
from tests.format.reference import encode, save
from tests.helpers.build import LABELS, save_sft

QUERY = "bert.encoder.layer.0.attention.self.query.weight"


def published(folder: Path) -> Path:
    diff = np.eye(16, dtype=np.float32)
    return save(folder, {"diffs": {QUERY: encode(diff)}, "abs": {"cls.predictions.bias": torch.ones(120)}})


def test_a_published_sft_becomes_a_file_that_inspect_reads(pico_base: Path, tmp_path: Path) -> None:
    done = sftkit("convert", published(tmp_path / "in"), "-o", tmp_path / "x.sft", "--base", pico_base, "--json")
    assert done.status == 0
    document = json.loads(done.stdout)
    assert document.keys() >= {"output", "k", "head"}
    assert (document["output"], document["k"]) == (str(tmp_path / "x.sft"), 16)
    assert document["head"] == [{"name": "cls.predictions.bias", "shape": [120]}]
    shown = json.loads(sftkit("inspect", tmp_path / "x.sft", "--json").stdout)
    assert (shown["k"], shown["objective"], shown["base"]["name"]) == (16, "mlm", str(pico_base))


def test_the_file_itself_may_be_given(tmp_path: Path) -> None:
    done = sftkit("convert", published(tmp_path / "in") / "pytorch_diff.bin", "-o", tmp_path / "x.sft")
    assert done.status == 0
    assert "K = 16" in done.stdout
    assert "--base" in done.stderr


def test_a_file_becomes_a_directory_again(pico_base: Path, tmp_path: Path) -> None:
    sft = save_sft(tmp_path / "x.sft", pico_base, k=50)
    done = sftkit("convert", sft, "-o", tmp_path / "out", "--json")
    assert (done.status, json.loads(done.stdout)["k"]) == (0, 50)
    loaded = torch.load(tmp_path / "out" / "pytorch_diff.bin")
    assert sum(len(each["values"]) for each in loaded["diffs"].values()) == 50


def test_an_existing_output_is_kept_unless_overwriting_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x.sft").write_text("precious")
    arguments = ("convert", published(tmp_path / "in"), "-o", tmp_path / "x.sft")
    refused = sftkit(*arguments)
    assert refused.status == 1
    assert "--overwrite" in refused.stderr
    assert (tmp_path / "x.sft").read_text() == "precious"
    assert sftkit(*arguments, "--overwrite", "--quiet").stdout == ""


def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "pytorch_diff.bin").write_text("hello")
    refused = sftkit("convert", tmp_path, "-o", tmp_path / "x.sft", "--json")
    assert (refused.status, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1


def test_an_unknown_objective_is_wrong_usage(tmp_path: Path) -> None:
    wrong = sftkit("convert", published(tmp_path / "in"), "-o", tmp_path / "x.sft", "--objective", "poetry")
    assert wrong.status == 2
    assert "mlm, clm, pos" in wrong.stderr


@pytest.mark.parametrize("name", ["in", "in/pytorch_diff.bin"])
def test_a_published_directory_is_composed_as_its_conversion_is(name: str, pico_base: Path, tmp_path: Path) -> None:
    published(tmp_path / "in")
    sftkit("convert", tmp_path / "in", "-o", tmp_path / "x.sft")
    assert sftkit("compose", pico_base, tmp_path / "x.sft", "-o", tmp_path / "expected").status == 0
    done = sftkit("compose", pico_base, tmp_path / name, "-o", tmp_path / "out")
    assert done.status == 0, done.stderr
    made, expected = (tmp_path / folder / "model.safetensors" for folder in ("out", "expected"))
    assert made.read_bytes() == expected.read_bytes()
    assert json.loads(sftkit("inspect", tmp_path / name, "--json").stdout)["k"] == 16


def test_overlap_calls_published_sfts_by_the_names_that_were_typed(tmp_path: Path) -> None:
    names = [str(published(tmp_path / name)) for name in ("a", "b")]
    assert json.loads(sftkit("overlap", *names, "--json").stdout)["files"] == names


def test_a_head_that_is_not_finite_is_refused_by_the_published_files_name(tmp_path: Path) -> None:
    folder = save(tmp_path / "in", {"diffs": {}, "abs": {"classifier.weight": torch.full((2, 2), torch.nan)}})
    done = sftkit("inspect", folder)
    assert done.status == 1
    assert "pytorch_diff.bin: classifier.weight" in done.stderr


def test_labels_make_a_published_task_whole_again(pico_base: Path, tmp_path: Path) -> None:
    task = save_sft(tmp_path / "pos.sft", pico_base, objective="pos")
    sftkit("convert", task, "-o", tmp_path / "published")
    arguments = ("convert", tmp_path / "published", "-o", tmp_path / "again.sft", "--objective", "pos", "--overwrite")
    assert "--labels" in sftkit(*arguments).stderr
    assert sftkit(*arguments, "--labels", "A,B").status == 1
    assert sftkit(*arguments, "--labels", ",".join(LABELS)).status == 0
    assert SftFile(tmp_path / "again.sft").metadata.labels == LABELS
