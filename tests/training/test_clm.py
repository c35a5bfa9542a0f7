"""Causal language models: what is trained, scored and composed is the same, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.tasks.clm import CausalLM
from sftkit.training.lottery import learn
from sftkit.training.settings import settings_for
from tests.helpers import pico

CAUSAL = ("gpt2", "llama")


@pytest.mark.parametrize("model_type", CAUSAL)
def test_a_causal_sft_scores_the_same_in_training_in_memory_and_on_disk(
    model_type: str, corpus: Path, tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    result = learn(
        settings_for(
            "clm", data=(str(corpus),), dev=(str(corpus),), base=base, base_name="pico", steps=8, eval_every=4, lr=1e-2,
            k=200, device="cpu", max_length=64,
        )
    )  # fmt: skip
    assert result.sft.k == 200
    assert result.phase2.best_value < evaluate(Scoring("clm", device="cpu"), (str(corpus),), base).metrics["loss"]
    item = Weighted(SftFile(write(tmp_path / "x.sft", result.sft)), 1.0, "x.sft")
    compose(base, [item], tmp_path / "model")
    for model, sfts in ((base, [item]), (tmp_path / "model", [])):
        loss = evaluate(Scoring("clm", max_length=64, device="cpu"), (str(corpus),), model, sfts).metrics["loss"]
        assert loss == pytest.approx(result.phase2.best_value, rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_loss_is_the_mean_over_predicted_tokens_whatever_the_batch(batch_size: int, corpus: Path) -> None:
    model, tokenizer, objective = pico.make_model("gpt2").eval(), pico.make_tokenizer(), CausalLM()
    rows = objective.read([str(corpus)])
    found = objective.evaluator(rows, tokenizer, 32, seed=0)(model, batch_size).metrics["loss"]
    total, count = 0.0, 0
    for ids in (example["input_ids"] for example in objective.features(rows, tokenizer, 32)):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, :-1]
        total += float(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum"))
        count += len(ids) - 1
    assert found == pytest.approx(total / count, rel=1e-5)
