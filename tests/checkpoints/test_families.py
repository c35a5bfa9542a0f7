"""Families of models: differences, composing and applying are exact, and the documentation's table says so.

``python -m tests.checkpoints.test_families`` writes that table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import sftkit
from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.modeling.backbone import prefix_of
from tests.helpers import pico
from tests.helpers.families import DECODERS, ENCODERS, GROUPS, MIXTURES, class_of, make

PAGE = Path(sftkit.__file__).parent / "docs" / "models.md"
_OBJECTIVES = dict.fromkeys(ENCODERS, "mlm") | dict.fromkeys((*DECODERS, *MIXTURES), "clm")
#: Of a few, in every run of the tests; the others take a minute.
QUICK = ("albert", "rwkv", "led", "olmoe", "wav2vec2")
_SLOW = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for each in GROUPS.values() for name in each
]


@pytest.mark.parametrize("family", _SLOW)
def test_base_plus_the_difference_is_the_tuned_model_on_disk_and_in_memory(family: str, tmp_path: Path) -> None:
    model, model_class = make(family), getattr(transformers, class_of(family))
    model.save_pretrained(tmp_path / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((torch.rand_like(parameter) < 0.2) * 0.25)
    model.save_pretrained(tmp_path / "tuned")
    assert difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft").exact
    sfts = [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")]
    compose(tmp_path / "base", sfts, tmp_path / "out")
    found, info = model_class.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    wanted, plain = (model_class.from_pretrained(tmp_path / name).state_dict() for name in ("tuned", "base"))
    state = found.state_dict()
    assert [name for name in wanted if not torch.equal(state[name], wanted[name])] == []
    base: Any = model_class.from_pretrained(tmp_path / "base")
    switch = sftkit.Switch(base, {"d": tmp_path / "d.sft"})
    for block in (sftkit.read(tmp_path / "d.sft").applied_to(base), switch("d"), switch("d")):
        with block:
            own = base.state_dict()
            inside = {prefix_of(base) + name for name in sfts[0].sft.names}  # a head is not put on models in memory
            assert [name for name in wanted if name in inside and not torch.equal(own[name], wanted[name])] == []
        assert all(torch.equal(tensor, plain[name]) for name, tensor in base.state_dict().items())


@pytest.mark.parametrize("family", [pytest.param(each, marks=pytest.mark.slow) for each in _OBJECTIVES])
def test_scores_in_memory_are_those_of_the_composed_model(family: str, tmp_path: Path) -> None:
    model = make(family)
    model.save_pretrained(tmp_path / "base")
    pico.make_tokenizer().save_pretrained(tmp_path / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((torch.rand_like(parameter) < 0.2) * 0.01)
    model.save_pretrained(tmp_path / "tuned")
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    sfts = [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")]
    compose(tmp_path / "base", sfts, tmp_path / "out")
    (tmp_path / "text.txt").write_text("ta mi lo ka su ra en an\n" * 8)
    scoring = Scoring(_OBJECTIVES[family], device="cpu", resamples=0, max_length=32)
    data = [str(tmp_path / "text.txt")]
    in_memory = evaluate(scoring, data, tmp_path / "base", sfts).metrics
    assert in_memory == evaluate(scoring, data, tmp_path / "out").metrics


def page() -> str:
    """The table, from what the tests here and in ``test_architectures`` run."""
    lines = [
        "# Models",
        "",
        "What was proved with small random models of each type, by tests that run with sftkit's own: `subtract` and",
        "`compose` give the tuned model back to the bit, `apply` in Python does in memory what `compose` does on disk",
        "and puts the model back, `evaluate` scores both alike, and what `train` learned opens in `transformers`.",
        "",
        f"With transformers {transformers.__version__}. Other types go by the same rules, or are refused.",
        "",
        "| kind | type | subtract | compose | apply | evaluate | train |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, names in GROUPS.items():
        for name in sorted(names):
            proved = (True, True, True, name in _OBJECTIVES, name in pico.CONFIGS)
            lines.append(f"| {kind} | `{name}` | " + " | ".join("yes" if each else "" for each in proved) + " |")
    return "\n".join(lines) + "\n"


def test_the_table_of_models_is_what_is_tested() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
