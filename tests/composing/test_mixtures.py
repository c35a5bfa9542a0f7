"""Models whose weights transformers fuses or renames while loading: every command knows what they are called then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.bases import check_belongs
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile, read
from tests.helpers import pico
from tests.helpers.pico import make_as

FAMILIES = {"mixtral": "MixtralForCausalLM", "vit": "ViTForImageClassification"}


def pair(folder: Path, family: str) -> tuple[Path, Path]:
    """A base, and the same with some weights moved; both as ``save_pretrained`` stores them."""
    model: Any = make_as(FAMILIES[family], family)
    model.save_pretrained(folder / "base")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((torch.rand_like(parameter) < 0.2) * 0.25)
    model.save_pretrained(folder / "tuned")
    for each in ("base", "tuned"):
        pico.make_tokenizer().save_pretrained(folder / each)
    return folder / "base", folder / "tuned"


@pytest.mark.parametrize("family", FAMILIES)
def test_the_difference_of_two_models_goes_by_the_names_that_loading_gives(family: str, tmp_path: Path) -> None:
    base, tuned = pair(tmp_path, family)
    model_class: Any = getattr(transformers, FAMILIES[family])
    report = difference(tuned, base, tmp_path / "d.sft")
    assert report.exact
    sft = SftFile(tmp_path / "d.sft")
    model = model_class.from_pretrained(base)
    prefix = f"{model.base_model_prefix}."
    assert set(sft.metadata.parameters) <= {name.removeprefix(prefix) for name, _ in model.named_parameters()}
    compose(base, [Weighted(sft, 1.0, "d.sft")], tmp_path / "out")
    found, info = model_class.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    wanted = model_class.from_pretrained(tuned).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.state_dict().items())
    again = difference(tmp_path / "out", base, tmp_path / "again.sft")
    assert again.entries == report.entries
    assert check_belongs(base, [Weighted(sft, 1.0, "d.sft")]) == ()
    with read_applied(tmp_path / "d.sft", model) as applied:
        own = applied.state_dict()
        assert all(torch.equal(own[name], wanted[name]) for name in own if name.startswith(prefix))


def read_applied(path: Path, model: Any) -> Any:
    import sftkit

    assert read(path).k
    return sftkit.read(path).applied_to(model)


def test_a_mixture_is_scored_with_an_sft_as_the_composed_one_is(tmp_path: Path) -> None:
    base, tuned = pair(tmp_path, "mixtral")
    difference(tuned, base, tmp_path / "d.sft")
    sfts = [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")]
    compose(base, sfts, tmp_path / "out")
    (tmp_path / "text.txt").write_text("ta mi lo ka su ra en an\n" * 20)
    scoring, data = Scoring("clm", device="cpu", resamples=0), [str(tmp_path / "text.txt")]
    assert evaluate(scoring, data, base, sfts).metrics == evaluate(scoring, data, tmp_path / "out").metrics
    assert np.isfinite(Checkpoint(tmp_path / "out").read("lm_head.weight")).all()
