"""base + SFTs, looked at as numbers and files; transformers' view is in test_compose_models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from sftkit.algebra.arithmetic import Method, Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing import turns, writing
from sftkit.composing.compose import compose
from sftkit.composing.report import ArithmeticReport
from sftkit.format.sft import CsrDifference
from sftkit.storage.safefile import SafeWriter
from tests.helpers.build import make_sft
from tests.helpers.pico import make_model, save_base

assert ml_dtypes


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base")


def add(base: Path, output: Path, *sfts: CsrDifference | Weighted, **options: Any) -> ArithmeticReport:
    items = [sft if isinstance(sft, Weighted) else Weighted(sft, 1.0, f"{n}.sft") for n, sft in enumerate(sfts)]
    return compose(base, items, output, **options)


def weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    checkpoint = Checkpoint(path)
    return {name: checkpoint.read(key) for name, key in checkpoint.backbone.items()}


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def cast(path: Path, dtype: Any) -> Path:
    tensors = {key: np.array(Checkpoint(path).read(key)).astype(dtype) for key in Checkpoint(path).keys}
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    return path


def test_sums_are_taken_in_float64_and_rounded_once(tmp_path: Path, base: Path) -> None:
    sfts = [
        make_sft(base, objective="pos", seed=1, k=3000),
        make_sft(base, seed=2, k=3000),
        make_sft(base, seed=3, k=3000),
    ]
    report = add(base, tmp_path / "out", sfts[0], *(Weighted(sft, 0.3, str(n)) for n, sft in enumerate(sfts[1:])))
    before, after, changed = weights(base), weights(tmp_path / "out"), 0
    ordered = sorted([(sfts[0], 1.0), (sfts[1], 0.3), (sfts[2], 0.3)], key=lambda pair: pair[0].digest)
    for name, array in before.items():
        total = np.zeros(array.size)
        for sft, weight in ordered:
            if name in sft.names:
                positions, values = sft.entries(name)
                total[positions] += weight * values.astype(np.float64)
        expected = (array.reshape(-1).astype(np.float64) + total).astype(np.float32)
        assert after[name].tobytes() == expected.tobytes()
        changed += int(np.count_nonzero(total))
    assert report.entries == changed
    assert report.overlap > 0


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
def test_a_half_precision_base_is_recognised_and_keeps_its_dtype(tmp_path: Path, base: Path, dtype: Any) -> None:
    sft = make_sft(base, objective="pos", scale=0.1)
    report = add(cast(base, dtype), tmp_path / "out", sft)
    assert report.notes == ()
    assert {str(array.dtype) for array in load_file(tmp_path / "out" / "model.safetensors").values()} == {
        np.dtype(dtype).name
    }


def test_a_base_of_another_dtype_without_a_recorded_rounding_gets_a_note(tmp_path: Path, base: Path) -> None:
    sft = make_sft(base, objective="pos")
    assert sft.metadata.base is not None
    sft.metadata.base.rounded.clear()
    report = add(cast(base, np.float16), tmp_path / "out", sft)
    assert "float16" in report.notes[0]


def test_any_order_of_arguments_gives_identical_bytes_of_every_file(tmp_path: Path, base: Path) -> None:
    sfts = [Weighted(make_sft(base, objective=o, seed=n), 1.0, f"{n}.sft") for n, o in enumerate(("mlm", "pos", "mlm"))]
    add(base, tmp_path / "one", *sfts)
    add(base, tmp_path / "two", *reversed(sfts))
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_weights_that_cancel_give_the_base_to_the_byte(tmp_path: Path, base: Path) -> None:
    sft = make_sft(base)
    add(base, tmp_path / "out", Weighted(sft, 1.0, "a"), Weighted(sft, -1.0, "a"))
    assert files(tmp_path / "out") == files(base)


def test_what_is_not_changed_is_copied_to_the_byte_also_in_dtypes_that_numpy_lacks(tmp_path: Path, base: Path) -> None:
    pytest.importorskip("safetensors", minversion="0.7")  # cannot write complex numbers before
    path = base / "model.safetensors"
    state = {name: torch.from_numpy(np.array(array)) for name, array in load_file(path).items()}
    state["bert.counter"] = torch.arange(3)
    state["bert.phase"] = torch.arange(4).to(torch.complex64)
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    save_torch(state, path, {"format": "pt"})
    add(base, tmp_path / "out", make_sft(base, objective="pos"))
    written = load_torch(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(written[name], state[name]) for name in ("bert.counter", "bert.phase"))


def test_shards_are_cut_as_transformers_cuts_them_and_hold_the_same_tensors(tmp_path: Path, base: Path) -> None:
    sfts = make_sft(base), make_sft(base, objective="pos")
    add(base, tmp_path / "whole", *sfts)
    add(base, tmp_path / "cut", *sfts, shard_size=10_000)
    index = json.loads((tmp_path / "cut" / "model.safetensors.index.json").read_text())
    names = sorted(set(index["weight_map"].values()))
    assert len(names) > 2
    assert all(name.endswith(f"-of-{len(names):05d}.safetensors") for name in names)
    one, many = Checkpoint(tmp_path / "whole"), Checkpoint(tmp_path / "cut")
    assert one.keys == many.keys
    assert all(one.read(key).tobytes() == many.read(key).tobytes() for key in one.keys)
    assert index["metadata"]["total_size"] == sum(one.read(key).nbytes for key in one.keys)


def test_however_many_shards_there_are_no_more_are_open_than_threads_write(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, most = list[SafeWriter](), 0

    class Counted(SafeWriter):
        def __init__(self, *given: Any) -> None:
            nonlocal most
            super().__init__(*given)
            opened.append(self)
            most = max(most, sum(not writer._file.closed for writer in opened))

    monkeypatch.setattr(writing, "SafeWriter", Counted)
    monkeypatch.setattr(turns, "THREADS", 2)
    add(base, tmp_path / "cut", make_sft(base), shard_size=10_000)
    assert len(opened) > 3
    assert most <= 3
    assert all(writer._file.closed for writer in opened)


def test_sharded_bases_and_pickled_ones_give_what_the_single_file_gives(tmp_path: Path, base: Path) -> None:
    sfts = make_sft(base), make_sft(base, objective="pos")
    model = make_model()
    model.save_pretrained(tmp_path / "sharded", max_shard_size="10KB")
    (tmp_path / "pickled").mkdir()
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    (tmp_path / "pickled" / "config.json").write_text((base / "config.json").read_text())
    results = []
    for source in (base, tmp_path / "sharded", tmp_path / "pickled"):
        add(source, tmp_path / f"{source.name}-out", *sfts, shard_size=1 << 30)
        results.append((tmp_path / f"{source.name}-out" / "model.safetensors").read_bytes())
    assert results[0] == results[1] == results[2]


def test_old_norm_names_become_the_modern_ones(tmp_path: Path, base: Path) -> None:
    sft = make_sft(base, objective="pos")
    add(base, tmp_path / "modern", sft)
    path = base / "model.safetensors"
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in load_file(path).items()
    }
    save_file(old, path, {"format": "pt"})
    add(base, tmp_path / "old", sft)
    name = "model.safetensors"
    assert (tmp_path / "old" / name).read_bytes() == (tmp_path / "modern" / name).read_bytes()


def test_a_composed_model_counts_as_the_base_it_was_made_from(tmp_path: Path, base: Path) -> None:
    language, task = make_sft(base), make_sft(base, objective="pos", seed=1)
    add(base, tmp_path / "tagger", task)
    report = add(tmp_path / "tagger", tmp_path / "both", language)
    assert report.head == {"kind": "base", "from": "base", "untied": False}
    record = json.loads((tmp_path / "both" / "sftkit.json").read_text())
    assert record["base"]["fingerprint"] == fingerprint(Checkpoint(base))
    assert [sft["digest"] for sft in record["sfts"]] == sorted([language.digest, task.digest])
    config = json.loads((tmp_path / "both" / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]


def test_sftkit_json_says_what_the_model_is_made_of(tmp_path: Path, base: Path) -> None:
    sft = make_sft(base, objective="pos")
    add(
        base,
        tmp_path / "out",
        Weighted(sft, 0.5, "pos.sft"),
        method=Method("dare", drop=0.25, seed=3),
        name="owner/name",
    )
    record = json.loads((tmp_path / "out" / "sftkit.json").read_text())
    assert record["base"] == {
        "name": "owner/name", "path": "owner/name", "fingerprint": fingerprint(Checkpoint(base)), "model_type": "bert",
    }  # fmt: skip
    assert record["sfts"] == [{"path": "pos.sft", "weight": 0.5, "digest": sft.digest, "k": 200, "objective": "pos"}]
    assert record["method"] == {"name": "dare", "drop": 0.25, "seed": 3}
    assert record["fingerprint"] == fingerprint(Checkpoint(tmp_path / "out"))


def test_labels_and_tokenizer_travel_with_the_model(tmp_path: Path, base: Path) -> None:
    (base / "README.md").write_text("not this one")
    add(base, tmp_path / "out", make_sft(base, objective="classify"))
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["label2id"] == {"ADJ": 0, "NOUN": 1, "VERB": 2}
    assert config["problem_type"] == "single_label_classification"
    assert (tmp_path / "out" / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert not (tmp_path / "out" / "README.md").exists()


def test_a_pooler_entry_that_the_base_has_no_place_for_is_left_out_with_a_note(tmp_path: Path) -> None:
    bare = save_base(tmp_path / "bare", head=False)
    sft = make_sft(bare, objective="", head=False)
    parameters = Checkpoint(bare).parameters
    name = "pooler.dense.bias"
    from dataclasses import replace

    from sftkit.format.sft import to_csr

    entry = to_csr(np.array([0]), np.array([1], np.float32), parameters[name], name)
    listed = {**sft.metadata.parameters, name: parameters[name]}
    with_pooler = CsrDifference(
        {**sft.parameters, name: entry}, replace(sft.metadata, parameters=listed, base=None, k=201)
    )
    add(bare, tmp_path / "applied", with_pooler)
    before, after = weights(bare)[name], weights(tmp_path / "applied")[name]
    assert after[0] == before[0] + 1
    report = add(save_base(tmp_path / "masked"), tmp_path / "skipped", with_pooler)
    assert any("pooler" in note for note in report.notes)


def test_whoever_watches_hears_of_every_byte_once(pico_base: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    item = Weighted(make_sft(pico_base), 1.0, "a.sft")
    compose(pico_base, [item], tmp_path / "out", watch=lambda done, total: heard.append((done, total)))
    tensors = load_file(tmp_path / "out" / "model.safetensors").values()
    total = sum(tensor.nbytes for tensor in tensors)
    assert [done for done, _ in heard] == sorted({done for done, _ in heard})
    assert heard[-1] == (total, total)


def test_the_result_is_split_as_the_base_was(tmp_path: Path) -> None:
    make_model().save_pretrained(tmp_path / "sharded", max_shard_size="10KB")
    add(tmp_path / "sharded", tmp_path / "out", make_sft(tmp_path / "sharded"))
    there, here = (
        {path.name: len(load_file(path)) for path in folder.glob("*.safetensors")}
        for folder in (tmp_path / "sharded", tmp_path / "out")
    )
    assert len(there) > 2
    assert here.keys() == there.keys()
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    before = json.loads((tmp_path / "sharded" / "model.safetensors.index.json").read_text())
    assert all(index["weight_map"][key] == file for key, file in before["weight_map"].items())
