"""``import sftkit``: what it offers, what it costs, and that it behaves as a Python library does."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sftkit
from sftkit.errors import FormatError, MismatchError, SettingsError
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.sharing import hub
from tests.composing.test_checkpoint_kinds import composed
from tests.helpers import pico
from tests.helpers.build import make_sft, save_sft
from tests.test_public_errors import wrong


@pytest.fixture
def paths(tmp_path: Path, pico_base: Path) -> tuple[Path, Path]:
    one, two = (save_sft(tmp_path / f"{name}.sft", pico_base, seed=at, k=2000) for at, name in enumerate("ab"))
    return one, two


def test_everything_public_is_there_and_importing_it_brings_in_nothing_heavy() -> None:
    assert {*sftkit.__all__, "__version__"} == set(dir(sftkit))
    assert all(getattr(sftkit, name) is not None for name in sftkit.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = sftkit.nothing
    code = "import sys, sftkit; dir(sftkit); assert not {'numpy', 'torch', 'transformers', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_sums_and_quotients_are_pythons(paths: tuple[Path, Path]) -> None:
    a, b = map(sftkit.read, paths)
    assert sum([a, b]) == a + b
    assert a / 2 == 0.5 * a


def test_compose_takes_paths_pairs_and_sfts(paths: tuple[Path, Path], pico_base: Path, tmp_path: Path) -> None:
    a, b = sftkit.read(paths[0]), sftkit.read(paths[1])
    sftkit.compose(pico_base, paths[0], (str(paths[1]), 0.5), output=tmp_path / "paths")
    report = sftkit.compose(str(pico_base), a, (b, 0.5), output=tmp_path / "sfts")
    assert report.entries
    one, two = (load_file(tmp_path / folder / "model.safetensors") for folder in ("paths", "sfts"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    sftkit.compose(None, *paths, output=tmp_path / "sum.sft")
    assert sftkit.read(tmp_path / "sum.sft").k == (a + b).k
    sftkit.subtract(tmp_path / "sum.sft", paths[1], output=tmp_path / "left.sft")
    assert sftkit.inspect(tmp_path / "left.sft").metadata.k
    sftkit.subtract(tmp_path / "paths", pico_base, output=tmp_path / "d.sft")
    sftkit.subtract(tmp_path / "paths", paths[0], output=tmp_path / "without")
    assert sftkit.overlap(*paths).whole.matrix.shape == (2, 2)
    assert sftkit.inspect(a).metadata == a.metadata


def test_models_are_scored(paths: tuple[Path, Path], pico_base: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("ta mi lo ka su ra en an\n" * 20)
    found = sftkit.evaluate("mlm", tmp_path / "text.txt", pico_base, paths[0], device="cpu")
    assert found.metrics


def test_whatever_stands_for_an_sft_is_taken_wherever_one_is_meant(
    paths: tuple[Path, Path], pico_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = map(sftkit.read, paths)
    monkeypatch.setattr(hub, "resolve_sft", lambda name: paths[0] if name.startswith("hf://") else Path(name))
    forms: list[Any] = [paths[0], str(paths[0]), a, "hf://owner/name", (paths[0], 1.0), (a, 1)]
    model: Any = pico.make_model()
    with a.applied_to(model):
        expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (tmp_path / "text.txt").write_text("ta mi lo\n" * 30)
    for at, form in enumerate(forms):
        applied, switch = sftkit.apply(model, form), None
        assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
        applied.revert()
        switch = sftkit.Switch(model, {"it": form, "list": [form], "tuple": (form, b)})
        with switch("it"):
            assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
        sftkit.compose(None, form, b, output=tmp_path / f"{at}.sft")
        assert sftkit.read(tmp_path / f"{at}.sft").k == (a + b).k
        assert sftkit.subtract(form, b, output=tmp_path / f"{at}-b.sft").entries
    for form in forms[:4]:
        assert sftkit.inspect(form).k == a.k
        assert sftkit.overlap(form, b).whole.matrix[0, 1] == sftkit.overlap(*paths).whole.matrix[0, 1]
    scores = [
        sftkit.evaluate("mlm", tmp_path / "text.txt", pico_base, form, device="cpu", max_lines=9).metrics["loss"]
        for form in (paths[0], (a, 1.0))
    ]
    assert scores[0] == scores[1]
    filled = [
        list(sftkit.predict(pico_base, ["ta [MASK] lo"], objective="mlm", sfts=form, device="cpu"))
        for form in (str(paths[0]), [(a, 1.0)], (a, b))
    ]
    assert filled[0] == filled[1] != filled[2]


@pytest.mark.parametrize("name", ["compose", "dare"])
def test_an_sft_that_was_read_is_its_file_in_every_dtype(name: str, pico_base: Path, tmp_path: Path) -> None:
    files = [save_sft(tmp_path / f"{at}.sft", pico_base, seed=at, values="bf16", head=False) for at in (0, 1)]
    method = "dare" if name == "dare" else "sum"
    sftkit.compose(pico_base, *files, output=tmp_path / "files", method=method)
    sftkit.compose(pico_base, *map(sftkit.read, files), output=tmp_path / "sfts", method=method)
    one, two = ((tmp_path / folder / "model.safetensors").read_bytes() for folder in ("files", "sfts"))
    assert one == two
    said = sftkit.compose(pico_base, files[0], sftkit.read(files[0]), output=tmp_path / "twice").notes
    assert "twice" in said[0]
    assert sftkit.read(files[0]).digest == SftFile(files[0]).digest


def test_whose_head_a_model_gets_is_said_by_the_sft(paths: tuple[Path, Path], pico_base: Path, tmp_path: Path) -> None:
    tasks = [save_sft(tmp_path / f"{name}.sft", pico_base, seed=5, objective=name) for name in ("pos", "ner")]
    read = [sftkit.read(path) for path in tasks]
    heads: list[Any] = [tasks[0], str(tasks[0]), read[0].digest]
    for at, head in enumerate(heads):
        sftkit.compose(pico_base, *tasks, output=tmp_path / str(at), head=head)
    sftkit.compose(pico_base, *read, output=tmp_path / "3", head=read[0])
    made = [(tmp_path / str(at) / "model.safetensors").read_bytes() for at in range(4)]
    assert len(set(made)) == 1


def test_numbers_of_numpy_weigh_and_nothing_else_does(paths: tuple[Path, Path]) -> None:
    a: Any = sftkit.read(paths[0])
    b: Any = sftkit.read(paths[1])
    assert np.float64(0.5) * a == a * np.float32(0.5) == a / 2 == a / np.int64(2)
    for call in (lambda: a * "2", lambda: a * b, lambda: a / b, lambda: a + 1, lambda: a / "2"):
        with pytest.raises(TypeError):
            wrong(call)()
    for one in (a, a + b):
        for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert again == one
            assert again.digest == one.digest


@pytest.mark.parametrize("values", ["f32", "bf16", "f16"])
def test_the_parents_of_a_sum_are_the_files_that_were_read(values: str, pico_base: Path, tmp_path: Path) -> None:
    files = [save_sft(tmp_path / f"{at}.sft", pico_base, seed=at, values=values) for at in (0, 1)]
    total = sftkit.read(files[0]) + sftkit.read(files[1])
    assert {parent["digest"] for parent in total.metadata.parents} == {SftFile(path).digest for path in files}


def test_what_reading_would_refuse_is_not_written(pico_base: Path, tmp_path: Path) -> None:
    sft = make_sft(pico_base)
    name = sft.names[0]
    spoiled: dict[str, Any] = {
        "not finite": replace(sft, parameters={name: sft.parameters[name] * np.float32("inf")}),
        "of the head is not finite": replace(sft, head={"x": np.array([np.nan], np.float32)}),
        "is not among": replace(sft, parameters={"novel": sft.parameters[name]}),
        "in a matrix of shape": replace(sft, parameters={name: sft.parameters[name].T}),
        "entries of complex128": replace(sft, parameters={name: sft.parameters[name].astype(complex)}),
        "of the head is complex128": replace(sft, head={"x": np.zeros(1, complex)}),
        "of the head is Tensor": replace(sft, head={"x": torch.zeros(1)}),  # type: ignore[dict-item]
    }
    for says, bad in spoiled.items():
        with pytest.raises(FormatError, match=says), np.errstate(invalid="ignore"):
            write(tmp_path / "x.sft", bad)
    with pytest.raises(FormatError, match="known are f32"):
        write(tmp_path / "x.sft", sft, values="f8")
    assert not (tmp_path / "x.sft").exists()


def test_the_digest_in_memory_is_that_of_the_file(pico_base: Path, tmp_path: Path) -> None:
    sft = make_sft(pico_base)
    assert sft.digest == SftFile(write(tmp_path / "x.sft", sft)).digest


def test_a_switch_puts_one_language_on_at_a_time(paths: tuple[Path, Path], pico_base: Path, tmp_path: Path) -> None:
    model: Any = pico.make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    switch = sftkit.Switch(model, {"a": paths[0], "half b": (paths[1], 0.5), "both": [*paths]})
    assert switch.names == ("a", "half b", "both")
    expected = load_file(composed(pico_base, sftkit.read(paths[0]), tmp_path / "out") / "model.safetensors")
    with switch("a") as on:
        state = on.state_dict()
        assert all(torch.equal(state[n], t) for n, t in expected.items() if n.startswith("bert."))
    for at in range(300):
        with switch(switch.names[at % 3]):
            pass
    after = model.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    with pytest.raises(SettingsError, match="no such name"), switch("c"):
        pass
    with pytest.raises(MismatchError, match="another base"):
        sftkit.Switch(pico.make_model(seed=2), {"a": paths[0]})


def test_threads_take_turns_at_a_switch(paths: tuple[Path, Path]) -> None:
    model: Any = pico.make_model().eval()
    switch = sftkit.Switch(model, dict(zip("ab", paths, strict=True)))
    ids, expected, wrong = torch.tensor([[2, 10, 20, 3]]), {}, []
    for name in "ab":
        with switch(name), torch.no_grad():
            expected[name] = model(input_ids=ids).logits

    def answer(name: str) -> None:
        for _ in range(20):
            with switch(name), torch.no_grad():
                if not torch.equal(model(input_ids=ids).logits, expected[name]):
                    wrong.append(name)

    threads = [threading.Thread(target=answer, args=(name,)) for name in "abab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
