"""model − model, model − sft, sft − sft."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.composing.subtract import subtract_from_model
from sftkit.composing.sums import Sum, add, negated
from sftkit.errors import MismatchError, SettingsError
from sftkit.format.files import SftFile, read
from tests.helpers.build import make_sft, save_sft
from tests.helpers.pico import make_model, save_base

MODEL = "model.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base")


def opened(*paths: Path, weight: float = 1.0) -> list[Weighted]:
    return [Weighted(SftFile(path), weight, str(path)) for path in paths]


def tuned_like(base: Path, path: Path, dtype: Any = np.float32, scale: float = 1e-3) -> Path:
    """A model in which every weight moved, both ends of it in ``dtype``."""
    rng = np.random.default_rng(0)
    tensors = {name: array.astype(dtype) for name, array in load_file(base / MODEL).items()}
    save_file(tensors, base / MODEL, {"format": "pt"})
    shutil.copytree(base, path)
    moved = {
        name: (array.astype(np.float32) * (1 + scale * rng.standard_normal(array.shape))).astype(dtype)
        for name, array in tensors.items()
    }
    save_file(moved, path / MODEL, {"format": "pt"})
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=["f32", "f16", "bf16"])
def test_a_base_plus_the_difference_is_the_tuned_model_to_the_byte(tmp_path: Path, base: Path, dtype: Any) -> None:
    tuned = tuned_like(base, tmp_path / "tuned", dtype)
    report = difference(tuned, base, tmp_path / "d.sft")
    assert report.exact
    compose(base, opened(tmp_path / "d.sft"), tmp_path / "again")
    assert (tmp_path / "again" / MODEL).read_bytes() == (tuned / MODEL).read_bytes()


@pytest.mark.parametrize("number", [np.inf, np.nan])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16], ids=["f32", "f16", "bf16"])
def test_a_number_that_is_not_finite_in_both_models_is_refused(
    tmp_path: Path, base: Path, dtype: Any, number: float
) -> None:
    tuned = tuned_like(base, tmp_path / "tuned", dtype)
    name = "bert.encoder.layer.0.output.dense.bias"
    for path in (base, tuned):
        own = {key: np.array(array) for key, array in load_file(path / MODEL).items()}
        own[name][1] = -number
        save_file(own, path / MODEL, {"format": "pt"})
    with pytest.raises(MismatchError, match=r"encoder\.layer\.0\.output\.dense\.bias: a difference is not finite"):
        difference(tuned, base, tmp_path / "d.sft")


def test_signs_of_zero_survive_in_half_precision(tmp_path: Path, base: Path) -> None:
    tuned = tuned_like(base, tmp_path / "tuned", np.float16)
    tensors = [{name: np.array(array) for name, array in load_file(path / MODEL).items()} for path in (base, tuned)]
    name = "bert.encoder.layer.0.output.dense.bias"
    tensors[0][name][:4], tensors[1][name][:4] = (0.0, -0.0, 0.0, 1e-7), (-0.0, 0.0, 1e-7, 0.0)
    for path, own in zip((base, tuned), tensors, strict=True):
        save_file(own, path / MODEL, {"format": "pt"})
    assert difference(tuned, base, tmp_path / "d.sft").exact
    compose(base, opened(tmp_path / "d.sft"), tmp_path / "again")
    assert (tmp_path / "again" / MODEL).read_bytes() == (tuned / MODEL).read_bytes()


def test_differences_that_float32_cannot_hold_are_counted(tmp_path: Path, base: Path) -> None:
    report = difference(tuned_like(base, tmp_path / "tuned", scale=30.0), base, tmp_path / "d.sft")
    assert not report.exact
    assert "no float32 numbers" in report.notes[0]


def test_a_zero_that_changes_its_sign_in_float32_is_counted(tmp_path: Path, base: Path) -> None:
    tuned = tuned_like(base, tmp_path / "tuned")
    tensors = [{name: np.array(array) for name, array in load_file(path / MODEL).items()} for path in (base, tuned)]
    name = "bert.encoder.layer.0.output.dense.bias"
    tensors[0][name][0], tensors[1][name][0] = -0.0, 0.0
    for path, own in zip((base, tuned), tensors, strict=True):
        save_file(own, path / MODEL, {"format": "pt"})
    report = difference(tuned, base, tmp_path / "d.sft")
    assert not report.exact
    assert "in 1 of the entries" in report.notes[0]


def test_k_keeps_the_largest_differences_and_no_more(tmp_path: Path, base: Path) -> None:
    tuned = tuned_like(base, tmp_path / "tuned")
    difference(tuned, base, tmp_path / "all.sft")
    report = difference(tuned, base, tmp_path / "k.sft", k=500)
    every, chosen = read(tmp_path / "all.sft"), read(tmp_path / "k.sft")
    sizes = np.sort(np.concatenate([np.abs(every.entries(name)[1]) for name in every.names]))[::-1]
    kept = np.sort(np.concatenate([np.abs(chosen.entries(name)[1]) for name in chosen.names]))[::-1]
    assert report.entries == chosen.metadata.k == 500
    assert kept.tolist() == sizes[:500].tolist()


def test_density_counts_in_the_backbones_parameters(tmp_path: Path, base: Path) -> None:
    report = difference(tuned_like(base, tmp_path / "tuned"), base, tmp_path / "d.sft", density=0.05)
    total = sum(spec.size for spec in Checkpoint(base).parameters.values())
    assert report.entries == round(0.05 * total)


def test_asking_for_more_than_differs_keeps_what_differs_and_says_so(tmp_path: Path, base: Path) -> None:
    compose(base, [Weighted(make_sft(base, k=50))], tmp_path / "tuned")
    report = difference(tmp_path / "tuned", base, tmp_path / "d.sft", k=1000)
    assert report.entries == 50
    assert "only 50 parameters differ" in report.notes[0]


def test_a_k_that_no_model_has_is_refused(tmp_path: Path, base: Path) -> None:
    with pytest.raises(SettingsError, match="between 1 and"):
        difference(tuned_like(base, tmp_path / "tuned"), base, tmp_path / "d.sft", k=10**9)


def test_models_of_different_shape_are_refused_naming_the_tensor_and_both_shapes(tmp_path: Path, base: Path) -> None:
    with pytest.raises(MismatchError, match=r"word_embeddings.*\[130, 16\].*\[120, 16\]"):
        difference(save_base(tmp_path / "other", vocab_size=130), base, tmp_path / "d.sft")


def test_the_head_of_a_task_model_travels_with_its_labels(tmp_path: Path, base: Path) -> None:
    settings = make_model().config.to_dict() | {"id2label": {0: "O", 1: "B-PER"}, "label2id": {"O": 0, "B-PER": 1}}
    config = transformers.BertConfig(**settings)
    tuned = transformers.BertForTokenClassification(config)
    tuned.save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", base, tmp_path / "d.sft")
    made = SftFile(tmp_path / "d.sft")
    assert sorted(made.head) == ["classifier.bias", "classifier.weight"]
    assert (made.metadata.objective, made.metadata.labels) == ("ner", ("O", "B-PER"))
    compose(base, opened(tmp_path / "d.sft"), tmp_path / "again")
    again = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "again")
    assert all(torch.allclose(again.state_dict()[name], value) for name, value in tuned.state_dict().items())


@pytest.mark.parametrize("objective", ["mlm", "pos", "classify"])
def test_composing_and_taking_the_difference_give_the_same_model_again(
    tmp_path: Path, base: Path, objective: str
) -> None:
    compose(base, [Weighted(make_sft(base, objective=objective))], tmp_path / "tuned")
    difference(tmp_path / "tuned", base, tmp_path / "d.sft")
    compose(base, opened(tmp_path / "d.sft"), tmp_path / "again")
    assert (tmp_path / "again" / MODEL).read_bytes() == (tmp_path / "tuned" / MODEL).read_bytes()


def test_a_composed_model_minus_its_sfts_is_the_base_to_the_byte(tmp_path: Path, base: Path) -> None:
    a, b = save_sft(tmp_path / "a.sft", base), save_sft(tmp_path / "b.sft", base, objective="pos", seed=1)
    compose(base, opened(a, b), tmp_path / "ab")
    one = subtract_from_model(tmp_path / "ab", opened(b), tmp_path / "a")
    two = subtract_from_model(tmp_path / "a", opened(a), tmp_path / "nothing")
    assert one.exact
    assert two.exact
    for file in base.iterdir():
        assert (tmp_path / "nothing" / file.name).read_bytes() == file.read_bytes()
    assert not (tmp_path / "nothing" / "sftkit.json").exists()


def test_what_remains_is_composed_again_exactly(tmp_path: Path, base: Path) -> None:
    a, b = save_sft(tmp_path / "a.sft", base), save_sft(tmp_path / "b.sft", base, objective="pos", seed=1)
    compose(base, opened(a, b), tmp_path / "ab")
    compose(base, opened(a), tmp_path / "only-a")
    subtract_from_model(tmp_path / "ab", opened(b), tmp_path / "a")
    for file in (tmp_path / "only-a").iterdir():
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes()


def test_taking_out_more_than_was_in_is_said(tmp_path: Path, base: Path) -> None:
    path = save_sft(tmp_path / "a.sft", base)
    compose(base, opened(path, weight=0.5), tmp_path / "half")
    report = subtract_from_model(tmp_path / "half", opened(path), tmp_path / "out")
    assert any("more was taken out" in note and "× -0.5" in note for note in report.notes)


@pytest.mark.parametrize("lost", ["record", "base", "changed", "remaining"])
def test_where_something_is_not_at_hand_the_weights_are_within_one_rounding_and_the_report_says_why(
    tmp_path: Path, base: Path, lost: str
) -> None:
    a, b = save_sft(tmp_path / "a.sft", base), save_sft(tmp_path / "b.sft", base, objective="pos", seed=1)
    compose(base, opened(a, b), tmp_path / "ab")
    compose(base, opened(a), tmp_path / "only-a")
    taken = opened(b)
    if lost == "record":
        (tmp_path / "ab" / "sftkit.json").unlink()
    elif lost == "base":
        shutil.rmtree(base)
    elif lost == "changed":
        tensors = {name: np.array(array) for name, array in load_file(tmp_path / "ab" / MODEL).items()}
        tensors["bert.embeddings.LayerNorm.bias"] += 1e-9
        save_file(tensors, tmp_path / "ab" / MODEL, {"format": "pt"})
    else:
        a.unlink()
    report = subtract_from_model(tmp_path / "ab", taken, tmp_path / "a")
    assert not report.exact
    assert "within one rounding" in " ".join(report.notes)
    expected, found = Checkpoint(tmp_path / "only-a"), Checkpoint(tmp_path / "a")
    for name, key in found.backbone.items():
        want = expected.read(expected.backbone[name])
        assert np.abs(found.read(key) - want).max() <= 2 * np.spacing(np.abs(want).max() + 1)


def test_the_sum_of_two_sfts_does_what_both_do(tmp_path: Path, base: Path) -> None:
    a, b = save_sft(tmp_path / "a.sft", base), save_sft(tmp_path / "b.sft", base, objective="pos", seed=1)
    report = add(opened(a, b), tmp_path / "ab.sft")
    total = read(tmp_path / "ab.sft")
    assert (report.entries, report.overlap) == (total.k, 400 - total.k)
    assert (total.metadata.objective, total.metadata.head) == ("pos", "BertForTokenClassification")
    assert [parent["name"] for parent in total.metadata.parents] == [
        item.path.rsplit("/", 1)[1] for item in sorted(opened(a, b), key=lambda item: item.sft.digest)
    ]
    compose(base, opened(a, b), tmp_path / "both")
    compose(base, opened(tmp_path / "ab.sft"), tmp_path / "sum")
    one, two = Checkpoint(tmp_path / "both"), Checkpoint(tmp_path / "sum")
    assert one.keys == two.keys
    assert all(np.abs(one.read(key) - two.read(key)).max() <= 1e-7 for key in one.keys)


def test_sums_of_sfts_are_the_same_bytes_in_any_order(tmp_path: Path, base: Path) -> None:
    a, b = save_sft(tmp_path / "a.sft", base), save_sft(tmp_path / "b.sft", base, objective="pos", seed=1)
    add(opened(a, b), tmp_path / "ab.sft")
    add(opened(b, a), tmp_path / "ba.sft")
    assert (tmp_path / "ab.sft").read_bytes() == (tmp_path / "ba.sft").read_bytes()


def test_a_sum_minus_one_is_the_other_with_its_head(tmp_path: Path, base: Path) -> None:
    a, b = save_sft(tmp_path / "a.sft", base, scale=0.25), save_sft(tmp_path / "b.sft", base, objective="pos", seed=1)
    add(opened(a, b), tmp_path / "ab.sft")
    task = Sum([*opened(tmp_path / "ab.sft"), *negated(opened(a))])
    language = Sum([*opened(tmp_path / "ab.sft"), *negated(opened(b))])
    assert task.metadata.objective == "pos"
    assert sorted(task.head) == ["classifier.bias", "classifier.weight"]
    assert not language.head
    assert not language.metadata.is_task


def test_sfts_of_different_bases_are_not_added(tmp_path: Path, base: Path) -> None:
    a = save_sft(tmp_path / "a.sft", base)
    b = save_sft(tmp_path / "b.sft", save_base(tmp_path / "other", seed=1))
    with pytest.raises(MismatchError, match="learned on different bases"):
        add(opened(a, b), tmp_path / "ab.sft")


def test_sfts_of_different_shapes_are_not_added(tmp_path: Path, base: Path) -> None:
    a = make_sft(base)
    b = make_sft(save_base(tmp_path / "other", vocab_size=130))
    stranger = replace(b, metadata=replace(b.metadata, base=None))
    with pytest.raises(MismatchError, match=r"word_embeddings.*shape"):
        Sum([Weighted(a, 1.0, "a"), Weighted(stranger, 1.0, "b")])


def test_an_sft_minus_itself_is_an_empty_sft_and_the_report_says_so(tmp_path: Path, base: Path) -> None:
    a = save_sft(tmp_path / "a.sft", base)
    report = add([*opened(a), *negated(opened(a))], tmp_path / "none.sft")
    assert report.entries == read(tmp_path / "none.sft").k == 0
    assert "nothing is left" in report.notes[-1]


def test_half_precision_values_lose_entries_that_round_to_nothing(tmp_path: Path, base: Path) -> None:
    a = save_sft(tmp_path / "a.sft", base, scale=1e-7)
    report = add(opened(a), tmp_path / "small.sft", values="f16")
    assert report.entries == SftFile(tmp_path / "small.sft").metadata.k < 200
    assert SftFile(tmp_path / "small.sft").stored_values == "f16"


def test_sftkit_json_of_what_was_subtracted_lists_what_is_left(tmp_path: Path, base: Path) -> None:
    a, b = save_sft(tmp_path / "a.sft", base), save_sft(tmp_path / "b.sft", base, seed=1)
    compose(base, opened(a, b), tmp_path / "ab")
    subtract_from_model(tmp_path / "ab", opened(b, weight=0.25), tmp_path / "rest")
    record = json.loads((tmp_path / "rest" / "sftkit.json").read_text())
    assert sorted(sft["weight"] for sft in record["sfts"]) == [0.75, 1.0]
