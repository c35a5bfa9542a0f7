"""MAD-X (Pfeiffer et al. 2020) with the adapters library: language adapters, task adapters, one stacked on the other.

Pfeiffer's configuration, of languages with invertible adapters and without one in the last layer (MAD-X 2.0, Pfeiffer
et al. 2021). Files, tokens, masks, heads and metrics are sftkit's own, imported from the checkout around this file, so
that what is compared is the method and nothing else. Runs in the environment of requirements.txt.
"""

from __future__ import annotations

import importlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

LANGUAGE, TASK = "language", "task"


def sftkit(name: str) -> Any:
    """A module of sftkit, under an older transformers than it is made for: three names are new since."""
    transformers: Any = importlib.import_module("transformers")
    if not hasattr(transformers, "initialization"):
        transformers.initialization = SimpleNamespace(zeros_=torch.nn.init.zeros_)
    if not hasattr(transformers, "PreTrainedConfig"):
        transformers.PreTrainedConfig = transformers.PretrainedConfig
    if not hasattr(transformers, "TokenizersBackend"):  # what newer tokenizer_config.json files name
        transformers.TokenizersBackend = transformers.PreTrainedTokenizerFast
    return importlib.import_module(f"sftkit.{name}")


@dataclass(frozen=True)
class Training:
    """How an adapter is learned.

    Attributes:
        reduction: hidden size over the adapter's.
        steps, batch_size, max_length, lr: of training; the rate falls to 0 in a line.
        eval_every: steps between evaluations on held-out data; the best of them is kept.
        seed: of heads, order and masks.
    """

    reduction: float
    steps: int
    batch_size: int = 8
    max_length: int = 256
    lr: float = 5e-5
    eval_every: int = 1000
    seed: int = 0


class Stacked:
    """A base under a head, to which adapters are added."""

    def __init__(self, objective: Any, base: Path, seed: int, device: str) -> None:
        load: Any = sftkit("modeling.load")
        self.objective, self.device = objective, device
        self.tokenizer: Any = load.load_tokenizer(base, words=objective.takes_words)
        self.model: Any = load.load_model(base, objective.auto_class, seed=seed, **objective.config()).model
        load.fit_tokenizer(self.tokenizer, self.model, base)
        self.longest: int = sftkit("modeling.longest").longest(self.model, self.tokenizer)
        self.size = sum(parameter.numel() for parameter in self.model.base_model.parameters())
        self._adapters: Any = importlib.import_module("adapters")
        self._adapters.init(self.model)
        self._names: list[str] = []

    def add(self, name: str, reduction: float) -> None:
        """A new adapter; of languages without the last layer, and invertible."""
        config: Any = importlib.import_module("adapters").SeqBnConfig(reduction_factor=reduction)
        if name == LANGUAGE:
            last = self.model.config.num_hidden_layers - 1
            config = self._adapters.SeqBnInvConfig(
                reduction_factor=reduction, inv_adapter_reduction_factor=2, leave_out=[last]
            )
        self.model.add_adapter(name, config=config)
        self._names.append(name)

    def load(self, name: str, folder: Path) -> None:
        """A learned one, and the head that was learned with it."""
        self.model.load_adapter(str(folder), load_as=name, with_head=False)
        self._names.append(name)
        if (folder / "head.pt").is_file():
            head = torch.load(folder / "head.pt", weights_only=True)
            self.model.load_state_dict(head, strict=False)

    def train_only(self, name: str) -> int:
        """Let one adapter, and of tasks the head, be tuned, with all adapters on; returns the adapter's size."""
        self.model.train_adapter(name)
        self.activate()
        mine = {id(parameter) for _, parameter in self._named(name)}
        head = {id(parameter) for parameter in self._head().values()} if name == TASK else set()
        for parameter in self.model.parameters():
            parameter.requires_grad_(id(parameter) in mine | head)
        return sum(parameter.numel() for _, parameter in self._named(name))

    def activate(self) -> None:
        """All adapters on, the language's below the task's."""
        order = sorted(self._names)  # "language" before "task"
        self.model.set_active_adapters(importlib.import_module("adapters.composition").Stack(*order))
        self.model.to(self.device)

    def save(self, name: str, folder: Path, document: dict[str, Any]) -> None:
        """An adapter, of tasks the head, and what is known of it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_adapter(str(folder), name, with_head=False)
        if name == TASK:
            torch.save({key: value.detach().cpu() for key, value in self._head().items()}, folder / "head.pt")
        (folder / "madx.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")

    def _named(self, name: str) -> list[tuple[str, Any]]:
        return [(key, each) for key, each in self.model.named_parameters() if f"adapters.{name}." in key]

    def _head(self) -> dict[str, Any]:
        prefix = f"{self.model.base_model_prefix}."
        return {key: each for key, each in self.model.named_parameters() if not key.startswith(prefix)}


def learn(name: str, given: dict[str, Any], training: Training, language: Path | None, output: Path) -> dict[str, Any]:
    """Learn an adapter and write it.

    Args:
        name: ``LANGUAGE`` or ``TASK``.
        given: ``base``, ``objective``, ``data``, ``dev`` (or None: 5 % are held out), ``device``.
        training: how.
        language: of a task, the source language's adapter, which is on and stays as it is.
        output: the folder.
    """
    begun = time.monotonic()
    objective: Any = sftkit("tasks.registry").objective_of(given["objective"])
    rows = objective.read([str(given["data"])])
    if given["dev"] is None:
        rows, dev = objective.held_out(rows, 0.05, training.seed, str(given["data"]))
    else:
        dev = objective.read([str(given["dev"])])
    objective = objective.with_labels(objective.labels_in(rows))
    stacked = Stacked(objective, Path(given["base"]), training.seed, given["device"])
    if language is not None:
        stacked.load(LANGUAGE, language)
    stacked.add(name, training.reduction)
    size = stacked.train_only(name)
    best = _train(stacked, rows, dev, training)
    document = {
        "kind": name, "objective": objective.name, "labels": list(objective.labels), "reduction": training.reduction,
        "k": size, "density": size / stacked.size, "best": best, "seconds": round(time.monotonic() - begun, 3),
    }  # fmt: skip
    stacked.save(name, output, document)
    return document


def _train(stacked: Stacked, rows: Any, dev: Any, training: Training) -> dict[str, float]:
    objective, model = stacked.objective, stacked.model
    length = min(training.max_length, stacked.longest)
    features = objective.features(rows, stacked.tokenizer, length)
    evaluator = objective.evaluator(dev, stacked.tokenizer, length, training.seed)
    collate = objective.collator(stacked.tokenizer, training.seed)
    order: Any = sftkit("training.engine.order").Order([len(features)], training.seed)
    tuned = {key: each for key, each in model.named_parameters() if each.requires_grad}
    optimizer = torch.optim.AdamW(tuned.values(), lr=training.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / training.steps)
    best, kept = {"step": -1.0, "value": float("nan")}, dict[str, torch.Tensor]()
    for step in range(training.steps + 1):
        if step % training.eval_every == 0 or step == training.steps:
            value = _scored(stacked, evaluator, training.batch_size).metrics[objective.best_metric]
            if not kept or ((value > best["value"]) == objective.greater_is_better and value != best["value"]):
                best = {"step": float(step), "value": value}
                kept = {key: each.detach().clone() for key, each in tuned.items()}
        if step < training.steps:
            first = step * training.batch_size
            batch = collate([_drawn(features, order, at) for at in range(first, first + training.batch_size)])
            model.train()
            _loss(objective, model, {key: each.to(stacked.device) for key, each in batch.items()}).backward()
            torch.nn.utils.clip_grad_norm_(tuned.values(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    with torch.no_grad():
        for key, each in tuned.items():
            each.copy_(kept[key])
    return best


def _drawn(features: Any, order: Any, position: int) -> dict[str, Any]:
    number = order.number(*divmod(position, len(order)))
    example: dict[str, Any] = features[number % len(features)]
    return example | {"place": number} if "place" in example else example


def _loss(objective: Any, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    batch.pop("rows", None)
    if objective.loss is None:
        return cast(torch.Tensor, model(**batch).loss)
    labels = batch.pop("labels")
    return cast(torch.Tensor, type(objective).loss(model(**batch), labels))


def _scored(stacked: Stacked, evaluator: Any, batch_size: int) -> Any:
    stacked.model.eval()
    return evaluator(stacked.model, batch_size)


def score(given: dict[str, Any], max_length: int, language: Path | None, task: Path) -> dict[str, Any]:
    """Score a task's adapter, on a language's if there is one; as ``sftkit evaluate --json`` says it."""
    known = json.loads((task / "madx.json").read_text(encoding="utf-8"))
    objective: Any = sftkit("tasks.registry").objective_of(given["objective"]).with_labels(known["labels"])
    rows = objective.read([str(given["data"])])
    stacked = Stacked(objective, Path(given["base"]), 0, given["device"])
    for name, folder in ((LANGUAGE, language), (TASK, task)):
        if folder is not None:
            stacked.load(name, folder)
    stacked.activate()
    evaluator = objective.evaluator(rows, stacked.tokenizer, min(max_length, stacked.longest), 0)
    found = _scored(stacked, evaluator, 32)
    bootstrap: Any = sftkit("evaluation.bootstrap")
    spread = bootstrap.intervals(bootstrap.draws(found.tally, 1000, 0))
    return {
        "objective": objective.name, "data": [str(given["data"])], "examples": found.examples, "metrics": found.metrics,
        "intervals": spread, "k": known["k"], "density": known["density"], "seconds": known["seconds"],
    }  # fmt: skip
