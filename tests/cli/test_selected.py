"""Whose head, and which parameters: --head, --no-head, --only, --exclude and x.sft:0.5@REGEX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from sftkit.format.files import SftFile
from tests.cli.run import sftkit
from tests.composing.test_checkpoint_kinds import rewritten
from tests.helpers.build import save_sft
from tests.helpers.pico import save_base


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_base(tmp_path / "base")
    save_sft(tmp_path / "mt.sft", tmp_path / "base", k=2000)
    save_sft(tmp_path / "pos.sft", tmp_path / "base", objective="pos", seed=1)
    save_sft(tmp_path / "ner.sft", tmp_path / "base", objective="ner", seed=2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def changed(folder: str) -> set[str]:
    """Parameters of the backbone that are not the base's."""
    before, after = (load_file(f"{where}/model.safetensors") for where in ("base", folder))
    return {name for name in before if name.startswith("bert.") and not torch.equal(before[name], after[name])}


def test_of_two_task_heads_the_named_one_is_taken(work: Path) -> None:
    refused = sftkit("compose", "base", "pos.sft", "ner.sft", "-o", "out")
    assert refused.status != 0
    assert "--head" in refused.stderr
    assert sftkit("compose", "base", "pos.sft", "ner.sft", "--head", "ner.sft", "-o", "out").status == 0
    model: Any = transformers.AutoModelForTokenClassification.from_pretrained("out")
    wanted = torch.from_numpy(SftFile("ner.sft").head["classifier.weight"])
    assert torch.equal(model.classifier.weight.data, wanted)


def test_a_languages_head_can_be_taken_although_a_tasks_is_there(work: Path) -> None:
    assert sftkit("compose", "base", "pos.sft", "mt.sft", "--head", "mt.sft", "-o", "out").status == 0
    model, info = transformers.AutoModelForMaskedLM.from_pretrained("out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    bias = torch.from_numpy(SftFile("mt.sft").head["cls.predictions.bias"])
    assert torch.equal(model.cls.predictions.bias.data, bias)


def test_without_a_head_the_backbone_is_left(work: Path) -> None:
    assert sftkit("compose", "base", "mt.sft", "pos.sft", "--no-head", "-o", "out").status == 0
    _, info = transformers.AutoModel.from_pretrained("out", output_loading_info=True)
    assert not info["unexpected_keys"]
    assert all("pooler" in key for key in info["missing_keys"])


@pytest.mark.parametrize(
    ("extra", "says"),
    [(("--head", "no.sft"), "is not among"), (("--head", "mt.sft", "--no-head"), "contradict"),
     (("--only", "("), "no regular expression"), (("--only", "nothing"), "no parameter with entries is left")],
)  # fmt: skip
def test_what_cannot_be_chosen_is_told_in_a_line(work: Path, extra: tuple[str, ...], says: str) -> None:
    done = sftkit("compose", "base", "mt.sft", *extra, "-o", "out")
    assert done.status != 0
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert not (work / "out").exists()


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [(("mt.sft", "--only", "embeddings"), lambda name: "embeddings" in name),
     (("mt.sft", "--exclude", "embeddings|LayerNorm"), lambda n: "embeddings" not in n and "LayerNorm" not in n),
     (("mt.sft:1@attention",), lambda name: "attention" in name)],
)  # fmt: skip
def test_only_the_chosen_parameters_change(work: Path, extra: tuple[str, ...], wanted: Any) -> None:
    assert sftkit("compose", "base", *extra, "-o", "out").status == 0
    moved = changed("out")
    assert moved
    assert moved == {f"bert.{name}" for name in SftFile("mt.sft").names if wanted(name)}


def test_parts_of_one_sft_are_weighed_apart(work: Path) -> None:
    done = sftkit("compose", "base", "mt.sft:0.5@embeddings", "mt.sft:2@encoder", "-o", "out")
    assert done.status == 0, done.stderr
    before, after = (load_file(f"{where}/model.safetensors") for where in ("base", "out"))
    sft = SftFile("mt.sft")
    for name in sft.names:
        at, values = sft.entries(name)
        weight = 0.5 if "embeddings" in name else 2.0
        theta = before[f"bert.{name}"].reshape(-1)[at].double()
        expected = (theta + weight * torch.from_numpy(values).double()).float()
        assert torch.equal(after[f"bert.{name}"].reshape(-1)[at], expected)


def test_a_difference_can_be_of_some_parameters_only(work: Path) -> None:
    tuned = rewritten(work / "base", work / "tuned", lambda s: {k: v + 1 for k, v in s.items()})
    assert sftkit("subtract", tuned, "base", "--only", "attention", "-o", "d.sft").status == 0
    names = SftFile("d.sft").names
    assert names
    assert all("attention" in name for name in names)
