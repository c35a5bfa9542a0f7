"""``sftkit inspect`` of models: what they were composed of."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.cli.run import sftkit, without_torch
from tests.helpers import pico
from tests.helpers.build import save_sft


@pytest.fixture
def model(tmp_path: Path, pico_base: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Base + mt.sft × 0.5 + pos.sft."""
    monkeypatch.chdir(tmp_path)
    save_sft(Path("mt.sft"), pico_base)
    save_sft(Path("pos.sft"), pico_base, objective="pos", seed=1, k=300)
    assert sftkit("compose", pico_base, "mt.sft:0.5", "pos.sft", "-o", "model").status == 0
    return "model"


def test_it_shows_the_base_the_sfts_and_their_weights(model: str, pico_base: Path) -> None:
    done = without_torch("inspect", model)
    assert (done.status, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "│" in line]
    facts = {row[0]: row[1] for row in rows if len(row) == 2}
    assert facts["base"] == str(pico_base)
    assert {"base", "mt.sft × 0.5", "pos.sft"} == set(facts["composed of"].split(" + "))
    assert facts["how SFTs are added"] == "sum"
    assert facts["changed since"] == "no"
    sfts = {row[0]: row[1:4] for row in rows if len(row) == 5}
    assert sfts == {"mt.sft": ["0.5", "200", "mlm"], "pos.sft": ["1", "300", "pos"]}


def test_its_document_has_the_record(model: str) -> None:
    document = json.loads(sftkit("inspect", model, "--json").stdout)
    assert document.keys() >= {"file", "model_type", "dtype", "fingerprint", "base", "method", "sfts", "changed"}
    assert {sft["path"]: sft["weight"] for sft in document["sfts"]} == {"mt.sft": 0.5, "pos.sft": 1.0}
    assert document["changed"] is False


def test_what_was_taken_out_again_is_not_in_it(model: str) -> None:
    assert sftkit("subtract", model, "mt.sft:0.5", "-o", "less").status == 0
    (sft,) = json.loads(sftkit("inspect", "less", "--json").stdout)["sfts"]
    assert sft["path"] == "pos.sft"
    assert sftkit("subtract", model, "mt.sft:1.5", "-o", "minus").status == 0
    assert "− mt.sft" in sftkit("inspect", "minus").stdout


def test_a_model_that_was_changed_since_says_so(model: str) -> None:
    weights = Path(model) / "model.safetensors"
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith("query.weight"))
    tensors[name] = tensors[name] + np.float32(1)
    save_file(tensors, weights, {"format": "pt"})
    done = sftkit("inspect", model)
    assert "was changed since it was composed" in done.stderr
    assert json.loads(sftkit("inspect", model, "--json").stdout)["changed"] is True


def test_a_base_says_that_it_was_not_composed(pico_base: Path) -> None:
    done = sftkit("inspect", pico_base)
    assert done.status == 0
    assert "it was not composed by sftkit" in done.stderr
    assert json.loads(sftkit("inspect", pico_base, "--json").stdout)["base"] is None
    assert sftkit("inspect", pico_base, "-q").stderr == ""


def test_several_models_are_a_list_and_sfts_beside_them_are_refused(model: str, pico_base: Path) -> None:
    documents = json.loads(sftkit("inspect", model, pico_base, "--json").stdout)
    assert [document["file"] for document in documents] == [model, str(pico_base)]
    done = sftkit("inspect", model, "mt.sft")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "one kind at a time" in done.stderr
    assert sftkit("inspect", model, "--layers").status == 2


def test_a_record_that_is_damaged_is_one_line(model: str) -> None:
    (Path(model) / "sftkit.json").write_text('{"sfts": [{"weight": "x"}]}')
    done = sftkit("inspect", model)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "malformed" in done.stderr


def test_six_sfts_side_by_side_are_one_table_of_80_columns(tmp_path: Path, pico_base: Path) -> None:
    from tests.helpers.screen import on_terminal

    names = [f"language-number-{i}.sft" for i in range(6)]
    files = [save_sft(tmp_path / name, pico_base, seed=seed) for seed, name in enumerate(names)]
    lines = on_terminal("inspect", *files).printed
    assert max(map(len, lines)) <= 80
    (densities,) = [line for line in lines if line.startswith("K ")]
    assert densities.split() == ["K", *["200"] * 6]
    assert "kind of module" in "\n".join(lines)


def test_any_model_tells_its_parameters_head_vocabulary_and_size(pico_base: Path) -> None:
    done = sftkit("inspect", pico_base)
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines() if "│" in line]
    facts = {row[0]: row[1] for row in rows if len(row) == 2}
    assert facts["architecture"] == "BertForMaskedLM"
    assert facts["input and output embedding"] == "one matrix"
    assert facts["vocabulary"] == "120"
    assert facts["parameters"].endswith(" of its head")
    assert facts["size"].endswith(" MB")


def test_whether_the_output_matrix_is_tied_is_told_by_what_is_stored(pico_base: Path, tmp_path: Path) -> None:
    def tied(folder: Path) -> object:
        return json.loads(sftkit("inspect", folder, "--json").stdout)["tied_output"]

    assert tied(pico_base) is True
    untied = shutil.copytree(pico_base, tmp_path / "untied")  # whose config still says that it is tied
    weights = load_file(untied / "model.safetensors")
    weights["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"] + 1
    save_file(weights, untied / "model.safetensors", {"format": "pt"})
    assert tied(untied) is False
    assert tied(pico.save_base(tmp_path / "bare", head=False)) is None
