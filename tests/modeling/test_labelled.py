"""Logits at labelled rows alone are the same, and so are loss and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sftkit.modeling.labelled import only_rows
from sftkit.tasks.base import IGNORED, mean_over_labels
from tests.helpers import pico


def batch_of(share: float = 0.2) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Inputs, labels and the flat places of labels."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, pico.VOCABULARY, (3, 12), generator=generator)
    labels = ids.where(torch.rand(ids.shape, generator=generator) < share, torch.tensor(IGNORED))
    return (
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        labels,
        (labels.flatten() != IGNORED).nonzero()[:, 0],
    )


def trained(model: Any, *, rows_alone: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss, and every parameter's gradient."""
    inputs, labels, rows = batch_of()
    if rows_alone:
        with only_rows(model, rows, labels.shape):
            loss = mean_over_labels(model(**inputs), labels.flatten()[rows])
    else:
        loss = mean_over_labels(model(**inputs), labels)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("model_type", list(pico.CONFIGS))
def test_loss_and_gradients_are_those_of_all_logits(model_type: str, tied: bool) -> None:
    found = [
        trained(pico.make_model(model_type, tie_word_embeddings=tied).eval(), rows_alone=rows_alone)
        for rows_alone in (False, True)
    ]
    (loss, gradients), (loss_of_rows, gradients_of_rows) = found
    torch.testing.assert_close(loss_of_rows, loss)
    assert gradients.keys() == gradients_of_rows.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_of_rows[name], gradient, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_the_output_matrix_sees_no_other_rows(model_type: str) -> None:
    model: Any = pico.make_model(model_type).eval()
    inputs, labels, rows = batch_of()
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda _, given, __: seen.append(given[0].shape[:-1].numel()))
    with only_rows(model, rows, labels.shape):
        assert model(**inputs).logits.shape == (len(rows), pico.VOCABULARY)
    assert seen == [len(rows)]


def test_afterwards_the_model_gives_all_logits_again() -> None:
    model: Any = pico.make_model().eval()
    inputs, labels, rows = batch_of()
    with only_rows(model, rows, labels.shape):
        model(**inputs)
    assert model(**inputs).logits.shape == (*labels.shape, pico.VOCABULARY)


def test_a_batch_without_labels_gives_no_rows_and_no_error() -> None:
    model: Any = pico.make_model().eval()
    inputs, labels, _ = batch_of(share=0.0)
    with only_rows(model, torch.zeros(0, dtype=torch.int64), labels.shape):
        logits = model(**inputs).logits
    assert logits.shape == (0, pico.VOCABULARY)
