"""A training step in a plain loop: full fine-tuning, ours, and PEFT's SHiRA and LoRA at the same number of values.

Run by hand: ``python -m tests.benchmarks.peers [mbert|small] [STEPS]``; wants ``pip install peft``, without which only
the first two are measured. Random weights and tokens, masked language modelling with 15 % labels, batch 8 x 64, fused
AdamW. SHiRA (random mask) and LoRA are on the encoder's linear layers, ours on all of the backbone, embeddings
included. Ours is to be the fastest and leanest of the four. Each runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from transformers import BertForMaskedLM, PreTrainedModel

from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.labelled import only_rows
from sftkit.modeling.sparse import sparse_parameters
from sftkit.tasks.base import IGNORED, ROWS, mean_over_labels, with_rows
from sftkit.training.selection.movable import freeze
from sftkit.training.selection.ranking import at_random
from tests.benchmarks.training import BATCH, DENSITY, LABELLED, LENGTHS, SIZES, peak_memory

Batch = dict[str, torch.Tensor]
#: A loss of a model and a batch.
Loss = Callable[[Any, Batch], torch.Tensor]
_LINEAR = ["query", "key", "value", "dense"]


def contestants() -> list[str]:
    """Whom there is to compare."""
    return ["full", "sftkit", *(["SHiRA", "LoRA"] if importlib.util.find_spec("peft") else [])]


@contextlib.contextmanager
def trainable(who: str, model: PreTrainedModel, k: int) -> Iterator[tuple[Any, list[nn.Parameter], Loss]]:
    """A model made ready: itself, what is given to the optimizer, and its loss."""
    if who == "sftkit":
        movable = freeze(model, is_task=False, patterns=())
        chosen = at_random(movable.maskable, k, 0).positions
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        with sparse_parameters(model, {name: torch.from_numpy(at) for name, at in chosen.items()}) as phi:
            yield model, [phi.phi], _ours
        return
    if who != "full":
        model = _with_peft(who, model, k)
    yield model, [parameter for parameter in model.parameters() if parameter.requires_grad], _plain


def _with_peft(who: str, model: PreTrainedModel, k: int) -> Any:
    from peft import LoraConfig, ShiraConfig, get_peft_model

    layers = [
        module for name, module in model.base_model.named_modules()
        if isinstance(module, nn.Linear) and name.split(".")[-1] in _LINEAR and name.startswith("encoder")
    ]  # fmt: skip
    rank = max(1, round(k / sum(layer.in_features + layer.out_features for layer in layers)))
    where = r".*encoder.*\.(query|key|value|dense)"
    config = LoraConfig(r=rank, target_modules=where) if who == "LoRA" else ShiraConfig(r=rank, target_modules=where)
    made: Any = get_peft_model(model, config)
    return made


def _plain(model: Any, batch: Batch) -> torch.Tensor:
    inputs = {key: tensor for key, tensor in batch.items() if key != ROWS}
    loss: torch.Tensor = model(**inputs).loss
    return loss


def _ours(model: Any, batch: Batch) -> torch.Tensor:
    labels, rows = batch["labels"], batch[ROWS]
    with only_rows(model, rows, labels.shape):
        loss: torch.Tensor = mean_over_labels(model(input_ids=batch["input_ids"]), labels.flatten()[rows])
    return loss


def one(
    who: str, size: str, steps: int, *, length: int | None = None, device: str = "cpu", precision: str = "f32"
) -> dict[str, float]:
    """Seconds of the median step, peak memory in MB, and how many values are trained."""
    torch.manual_seed(0)
    config = SIZES[size]
    model: Any = BertForMaskedLM(config)
    model.to(device).train()
    k = round(DENSITY * sum(parameter.numel() for parameter in backbone_parameters(model).values()))
    seconds = []
    with trainable(who, model, k) as (ready, parameters, loss_of):
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        for _ in range(steps):
            ids = torch.randint(5, config.vocab_size, (BATCH, length or LENGTHS[size]))
            labels = ids.where(torch.rand(ids.shape) < LABELLED, torch.tensor(IGNORED))
            batch = {key: each.to(device) for key, each in with_rows({"input_ids": ids, "labels": labels}).items()}
            begin = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                loss = loss_of(ready, batch)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - begin)
    trained = sum(parameter.numel() for parameter in parameters)
    return {"seconds": statistics.median(seconds[1:]), "megabytes": peak_memory(device), "trained": trained}


def main(size: str, steps: int) -> None:
    """Each in a process of its own."""
    print(f"{size}, {steps} steps  {'values':>12}{'s a step':>10}{'ours = 1':>10}{'peak MB':>10}{'ours = 1':>10}")
    found = {}
    for who in contestants():
        command = [sys.executable, "-m", "tests.benchmarks.peers", size, str(steps), who]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[who] = [float(number) for number in done.stdout.split()[-3:]]
    ours = found["sftkit"]
    for who, (seconds, peak, trained) in found.items():
        print(
            f"{who:<18}{trained:>12,.0f}{seconds:>10.3f}{seconds / ours[0]:>10.2f}{peak:>10.0f}{peak / ours[1]:>10.2f}"
        )


if __name__ == "__main__":
    chosen_size, count = (sys.argv[1:2] or ["mbert"])[0], int((sys.argv[2:3] or ["6"])[0])
    if len(sys.argv) > 3:
        print(*one(sys.argv[3], chosen_size, count).values())
    else:
        main(chosen_size, count)
