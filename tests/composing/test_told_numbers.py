"""What is said of numbers is counted: whether a difference is exact, what rounding loses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sftkit.algebra.arithmetic import Method, Weighted
from sftkit.algebra.thinning import trim
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from tests.composing.test_checkpoint_kinds import State, rewritten
from tests.helpers.build import make_sft
from tests.helpers.pico import save_base

NORM = "bert.encoder.layer.0.output.LayerNorm.weight"


def cast(dtype: torch.dtype, moved: float = 0.0) -> Callable[[State], State]:
    def change(state: State) -> State:
        torch.manual_seed(0)
        return {name: (t + moved * torch.randn_like(t)).to(dtype) for name, t in state.items()}

    return change


@pytest.mark.parametrize("base_dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("tuned_dtype", [torch.bfloat16, torch.float32])
def test_exact_is_counted_across_dtypes(base_dtype: torch.dtype, tuned_dtype: torch.dtype, tmp_path: Path) -> None:
    source = save_base(tmp_path / "source", "bert", head=False)
    base = rewritten(source, tmp_path / "base", cast(base_dtype))
    tuned = rewritten(source, tmp_path / "tuned", cast(tuned_dtype, 0.01))
    report = difference(tuned, base, tmp_path / "d.sft")
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    found, wanted = (load_file(path / "model.safetensors") for path in (tmp_path / "out", tuned))
    assert report.exact is all(torch.equal(found[name].double(), wanted[name].double()) for name in found)
    assert any("within rounding" in note for note in report.notes) is not report.exact
    if (base_dtype, tuned_dtype) == (torch.bfloat16, torch.float32):
        assert not report.exact


@pytest.mark.parametrize("values", ["f32", "bf16", "f16"])
@pytest.mark.parametrize("few_digits", [True, False])
def test_exact_is_counted_with_the_values_that_are_stored(values: str, few_digits: bool, tmp_path: Path) -> None:
    source = save_base(tmp_path / "source", "bert", head=False)
    base = rewritten(source, tmp_path / "base", on_a_grid(0))
    tuned = rewritten(source, tmp_path / "tuned", on_a_grid(1) if few_digits else cast(torch.bfloat16, 0.01))
    report = difference(tuned, base, tmp_path / "d.sft", values=values)
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    found, wanted = (load_file(path / "model.safetensors") for path in (tmp_path / "out", tuned))
    same = all(torch.equal(found[name].view(torch.int16), wanted[name].view(torch.int16)) for name in found)
    assert report.exact is same
    assert any(f"rounded to {'b' * (values == 'bf16')}float16" in note for note in report.notes) is not same
    assert same is (values == "f32" or few_digits)


def on_a_grid(moved: int) -> Callable[[State], State]:
    """Weights of a few digits, of which every dtype holds the differences."""

    def change(state: State) -> State:
        steps = {name: torch.arange(t.numel()).reshape(t.shape) % (3 + moved) + 1 for name, t in state.items()}
        return {name: (step * 2.0**-7).bfloat16() for name, step in steps.items()}

    return change


def test_what_is_left_out_of_a_difference_is_told(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "bert", head=False)
    tuned = rewritten(base, tmp_path / "tuned", lambda state: state | {"classifier.weight": torch.ones(2, 16)})
    report = difference(tuned, base, tmp_path / "d.sft")
    assert report.exact is False
    assert any("classifier.weight is left out" in note for note in report.notes)


def test_a_head_in_a_wider_dtype_than_the_bases_is_not_exact(tmp_path: Path) -> None:
    source = save_base(tmp_path / "source", "bert")
    base = rewritten(source, tmp_path / "base", cast(torch.bfloat16))

    def head_in_float(state: State) -> State:
        halves = {name: tensor.bfloat16() for name, tensor in state.items()}
        return halves | {name: tensor + 1e-4 for name, tensor in state.items() if name.startswith("cls.")}

    assert difference(rewritten(source, tmp_path / "t", head_in_float), base, tmp_path / "d.sft").exact is False


@pytest.mark.parametrize(("scale", "told"), [(1e-5, True), (0.1, False)])
def test_what_rounding_loses_is_counted_while_composing_and_told_from_a_hundredth_on(
    scale: float, told: bool, tmp_path: Path
) -> None:
    source = save_base(tmp_path / "source")
    base = rewritten(source, tmp_path / "base", cast(torch.bfloat16))
    report = compose(base, [Weighted(make_sft(source, scale=scale), 1.0, "x.sft")], tmp_path / "out")
    assert any("lost in rounding to bfloat16" in note for note in report.notes) is told
    assert (report.document()["lost"] > 0.01 * report.entries) is told


def test_an_entry_that_never_moved_is_no_loss(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    report = compose(base, [Weighted(make_sft(base, scale=2.0**-133), 1.0, "x.sft")], tmp_path / "out")
    assert report.document()["lost"] == 0


def test_an_sft_given_twice_is_told_and_overlaps_itself(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    sft = make_sft(base)
    report = compose(base, [Weighted(sft, 1.0, "fo.sft")] * 2, tmp_path / "out")
    assert report.notes == ("fo.sft is given twice: 2 φ of it are added.",)
    assert (report.overlap, report.sign_conflicts) == (sft.k, 0)
    opposed = compose(base, [Weighted(sft, 1.0, "a"), Weighted(sft, -0.5, "a")], tmp_path / "opposed")
    assert (opposed.overlap, opposed.sign_conflicts) == (sft.k, sft.k)


def test_an_sft_given_twice_beside_another_overlaps_itself_and_the_other(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    a, b = make_sft(base, k=2000), make_sft(base, seed=1, k=2000)
    shared = {(n, int(p)) for n in a.names for p in a.entries(n)[0]} & {
        (n, int(p)) for n in b.names for p in b.entries(n)[0]
    }
    assert shared
    twice = [Weighted(a, 1.0, "a")] * 2
    assert compose(base, [*twice, Weighted(b, 1.0, "b")], tmp_path / "out").overlap == a.k
    assert compose(base, [*twice, *[Weighted(b, 1.0, "b")] * 2], tmp_path / "more").overlap == a.k + b.k - len(shared)


def test_ties_of_an_sft_with_itself_is_the_sft(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    once, twice = (
        compose(base, [Weighted(make_sft(base), 1.0, "a")] * times, tmp_path / str(times), method=Method("ties"))
        for times in (1, 2)
    )
    assert once.entries == twice.entries
    one, two = (load_file(tmp_path / folder / "model.safetensors") for folder in "12")
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_share_is_taken_as_it_was_written(tmp_path: Path) -> None:
    sft = make_sft(save_base(tmp_path / "base"), k=100)
    thin = trim(sft, 0.29)
    assert sum(len(thin(name, *sft.entries(name))[0]) for name in sft.names) == 71


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_scoring_on_a_half_precision_base_is_scoring_what_compose_makes(dtype: torch.dtype, tmp_path: Path) -> None:
    source = save_base(tmp_path / "source")
    base = rewritten(source, tmp_path / "base", cast(dtype))
    sfts = [Weighted(make_sft(source, k=3000, scale=0.02), 1.0, "a")]
    scoring, data = Scoring("mlm", device="cpu", resamples=0), [str(tmp_path / "text.txt")]
    (tmp_path / "text.txt").write_text("ta mi lo ka su ra en an\n" * 20)
    compose(base, sfts, tmp_path / "out")
    assert evaluate(scoring, data, base, sfts).metrics == evaluate(scoring, data, tmp_path / "out").metrics
