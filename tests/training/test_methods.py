"""Which entries φ gets, by every method and criterion, and where phase 2 begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from sftkit.errors import MismatchError, SettingsError
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.training.lottery import Result, learn, learn_each
from sftkit.training.methods.base import Choice, Chooser
from sftkit.training.methods.registry import METHODS, SelectionMethod
from sftkit.training.selection.ranking import Mask
from sftkit.training.settings import Settings, settings_for
from tests.helpers import pico
from tests.helpers.build import save_sft

BIAS = "encoder.layer.0.output.dense.bias"


def settings(base: Path, corpus: Path, **changes: Any) -> Settings:
    given: dict[str, Any] = {"steps": 6, "eval_every": 3, "lr": 1e-2, "device": "cpu"} | changes
    if not {"method", "mask_from", "density"} & given.keys():
        given.setdefault("k", 150)
    return settings_for("mlm", data=(str(corpus),), base=base, base_name="pico", **given)


def positions(result: Result) -> dict[str, list[int]]:
    return {name: result.sft.entries(name)[0].tolist() for name in result.sft.names}


class First(Chooser):
    """The first entries of the first parameter."""

    def choose(self, sizes: Sequence[int]) -> Choice:
        name = min(self.run.tunable.movable.maskable)
        return Choice([Mask({name: np.arange(k)}) for k in sizes])


def test_a_new_method_is_a_class_and_a_row(pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("sftkit.training.methods.first")
    module.First = First
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(SettingsError, match="--method is 'first'; known are lottery, diff, random, bitfit, mask"):
        settings(pico_base, corpus, method="first", k=5)
    monkeypatch.setitem(METHODS, "first", SelectionMethod("first", "first.First"))
    (at,) = positions(learn(settings(pico_base, corpus, method="first", k=5))).values()
    assert at == [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def lottery(pico_base: Path, corpus: Path) -> Result:
    return learn(settings(pico_base, corpus))


def test_bitfit_moves_every_bias_that_may_move_and_nothing_else(pico_base: Path, corpus: Path) -> None:
    result = learn(settings(pico_base, corpus, method="bitfit"))
    specs = result.sft.metadata.parameters
    wanted = {name for name in specs if name.endswith("bias") and "LayerNorm" not in name}
    assert set(result.sft.names) == wanted
    assert result.sft.k == sum(specs[name].size for name in wanted)
    assert result.phase1 is None


def test_bitfit_of_a_task_moves_the_biases_of_layer_norms_too(pico_base: Path, treebank: Path) -> None:
    given: dict[str, Any] = {"steps": 2, "lr": 1e-2, "device": "cpu", "method": "bitfit"}
    sft = learn(settings_for("pos", data=(str(treebank),), base=pico_base, base_name="pico", **given)).sft
    assert set(sft.names) == {name for name in sft.metadata.parameters if name.endswith("bias")}
    assert any("LayerNorm" in name for name in sft.names)


def test_a_mask_is_taken_from_an_sft(pico_base: Path, corpus: Path, tmp_path: Path, lottery: Result) -> None:
    path = write(tmp_path / "other.sft", lottery.sft)
    result = learn(settings(pico_base, corpus, method="mask", mask_from=path, seed=5))
    assert positions(result) == positions(lottery)
    assert result.sft.digest != lottery.sft.digest


def test_a_mask_is_taken_from_a_file_of_booleans(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    save_file({BIAS: np.arange(16) % 3 == 0}, tmp_path / "mask.safetensors")
    result = learn(settings(pico_base, corpus, method="mask", mask_from=tmp_path / "mask.safetensors"))
    assert positions(result) == {BIAS: [0, 3, 6, 9, 12, 15]}


def test_a_mask_of_another_shape_is_refused(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    save_file({BIAS: np.ones(17, np.bool_)}, tmp_path / "mask.safetensors")
    with pytest.raises(MismatchError, match=r"\[17\].*\[16\]"):
        learn(settings(pico_base, corpus, method="mask", mask_from=tmp_path / "mask.safetensors"))


@pytest.mark.parametrize("method", ["lottery", "random", "bitfit"])
def test_avoided_positions_are_never_chosen(method: str, pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    path = save_sft(tmp_path / "other.sft", pico_base, k=2000)
    sized = {} if method == "bitfit" else {"k": 4000}
    result = learn(settings(pico_base, corpus, method=method, avoid=(path,), **sized))
    other = SftFile(path)
    for name in set(result.sft.names) & set(other.names):
        assert not set(result.sft.entries(name)[0]) & set(other.entries(name)[0])
    assert method == "bitfit" or result.sft.k == 4000


def test_an_sft_of_which_nothing_is_in_the_base_cannot_be_avoided(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    other = save_sft(tmp_path / "other.sft", pico.save_base(tmp_path / "gpt2", "gpt2"), objective="clm")
    with pytest.raises(MismatchError, match=r"other.sft: the base has none of its parameters"):
        learn(settings(pico_base, corpus, avoid=(other,)))


def test_an_sft_whose_positions_are_all_frozen_is_avoided_by_itself(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    save_file({"embeddings.LayerNorm.bias": np.ones(16, np.bool_)}, tmp_path / "norm.safetensors")
    assert learn(settings(pico_base, corpus, avoid=(tmp_path / "norm.safetensors",))).sft.k == 150


def test_k_may_not_be_more_than_what_is_left_to_choose_from(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    path = save_sft(tmp_path / "other.sft", pico_base, k=2000)
    with pytest.raises(SettingsError, match="kept clear of"):
        learn(settings(pico_base, corpus, density=1.0, avoid=(path,)))


@pytest.mark.parametrize("criterion", ["magnitude-increase", "movement", "fisher"])
def test_other_criteria_choose_exactly_k_others(criterion: str, pico_base: Path, corpus: Path, lottery: Result) -> None:
    result = learn(settings(pico_base, corpus, criterion=criterion))
    assert result.sft.k == lottery.sft.k
    assert positions(result) != positions(lottery)


def test_several_densities_give_what_each_alone_gives(pico_base: Path, corpus: Path) -> None:
    densities = (0.01, 0.05)
    together = [result.sft.digest for result in learn_each(settings(pico_base, corpus, density=0.01), densities)]
    apart = [learn(settings(pico_base, corpus, density=density)).sft.digest for density in densities]
    assert together == apart


def test_rounds_narrow_the_choice_to_k(pico_base: Path, corpus: Path, lottery: Result) -> None:
    result = learn(settings(pico_base, corpus, iterations=3))
    assert result.sft.k == lottery.sft.k
    assert positions(result) != positions(lottery)


def test_phase_2_may_begin_where_phase_1_was(pico_base: Path, corpus: Path, lottery: Result) -> None:
    frozen = {"phase1_steps": 6, "steps": 1, "eval_every": 1}
    begun = {to: learn(settings(pico_base, corpus, rewind_to=to, **frozen)) for to in (0, 2, 6)}
    assert positions(begun[0]) == positions(begun[2]) == positions(begun[6])
    sizes = [np.mean([abs(m.data).mean() for m in begun[to].sft.parameters.values()]) for to in (0, 2, 6)]
    assert sizes[0] < sizes[1] < sizes[2]


def test_the_learning_rate_alone_may_be_rewound(pico_base: Path, corpus: Path) -> None:
    made = settings(pico_base, corpus, phase1_steps=6, steps=1, eval_every=1)
    from dataclasses import replace

    start = learn(made).phase2.history[0][1]
    end = learn(replace(made, rewind_to=None)).phase2.history[0][1]
    assert end < start  # φ has what phase 1 learned


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"method": "random", "criterion": "fisher"}, "--criterion"),
        ({"method": "mask"}, "--mask-from"),
        ({"method": "bitfit", "k": 5}, "--k"),
        ({"iterations": 2, "criterion": "fisher"}, "--iterations"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    changes: dict[str, Any], says: str, pico_base: Path, corpus: Path
) -> None:
    with pytest.raises(SettingsError, match=says):
        settings(pico_base, corpus, **changes)
