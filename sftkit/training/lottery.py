"""Lottery-Ticket Sparse Fine-Tuning (Ansell et al. 2022, section 3.1), from settings to an SFT.

Phase 1 tunes everything that may move; the K entries that moved most are chosen; the model is rewound to θ(0), head
included; phase 2 tunes φ at those entries, and the head. ``method="random"`` chooses without phase 1 (the paper's
RAND-SFT). Writes nothing but temporary files: see ``train`` for the ``.sft``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sftkit.errors import SettingsError
from sftkit.format.checkpoint import Checkpoint
from sftkit.format.encoding import Values
from sftkit.format.files import SftFile
from sftkit.format.sft import SFT
from sftkit.modeling.apply import add_differences
from sftkit.modeling.backbone import backbone_parameters
from sftkit.modeling.load import check_vocabulary, device_of, load_model, load_tokenizer, longest
from sftkit.modeling.sparse import sparse_parameters
from sftkit.operations.arithmetic import Weighted
from sftkit.operations.bases import check_belongs
from sftkit.operations.topk import Selection
from sftkit.tasks.base import Objective
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sources import held_out
from sftkit.training.artifact import Trained, make_sft
from sftkit.training.movable import Movable, freeze
from sftkit.training.observer import Observer, Plan
from sftkit.training.phase import Outcome, Phase, l1_on, l1_towards, run_phase
from sftkit.training.selection import at_random, most_changed
from sftkit.training.settings import Settings
from sftkit.training.snapshot import Snapshot


@dataclass(frozen=True)
class Result:
    """An SFT and how it came about.

    Attributes:
        sft: the SFT.
        phase1, phase2: what the phases did; phase1 is None where the method has none.
        best_metric: which metric chose the best step.
        seconds: wall time of "phase1", "select", "phase2".
    """

    sft: SFT
    phase1: Outcome | None
    phase2: Outcome
    best_metric: str
    seconds: Mapping[str, float]


def learn(settings: Settings, observer: Observer | None = None) -> Result:
    """Learn one SFT.

    Args:
        settings: everything; see :func:`sftkit.training.settings.settings_for`.
        observer: is told what goes on.

    Raises:
        SftkitError: of the kind that fits, for data, bases, SFTs and settings that cannot be.
    """
    with tempfile.TemporaryDirectory(prefix="sftkit-") as folder:
        return _Run(settings, observer or Observer(), Path(folder)).learn()


class _Run:
    """One run's model, data and snapshots."""

    def __init__(self, settings: Settings, observer: Observer, folder: Path) -> None:
        self.settings, self.observer, self.folder = settings, observer, folder
        self.objective: Objective = objective_of(settings.objective)
        self.start = Snapshot(folder / "start.safetensors")

    def learn(self) -> Result:
        self._load_data()
        self._load_model()
        k = self._k()
        self.observer.planned(self._plan(k))
        clock = _Clock()
        phase1, selection = self._choose(k, clock)
        if selection.zeros:
            self.observer.note(
                f"only {k - selection.zeros:,} of the {k:,} chosen entries moved in phase 1; "
                f"{selection.zeros:,} that did not were taken last, lowest positions first"
            )
        with clock("phase2"):
            phase2, values = self._phase2(selection)
        unmoved = sum(int((phi == 0).sum()) for phi in values.values())
        if unmoved == k:
            raise SettingsError(
                "Nothing moved: no gradient reached any of the chosen entries, so there is no SFT. "
                "Does the tokenizer know the text (or is it all unknown tokens), and does --freeze leave enough?"
            )
        if unmoved:
            self.observer.note(f"{unmoved:,} of the {k:,} chosen entries did not move (no gradient reached them)")
        sft = make_sft(self._trained(phase1, phase2), selection.positions, values)
        return Result(sft, phase1, phase2, self.objective.best_metric, clock.seconds)

    def _load_data(self) -> None:
        settings = self.settings
        device_of(settings.device)  # a device that is not there is better told before anything is read
        self.observer.loading("data")
        rows = self.objective.read(settings.data)
        if settings.dev:
            self.train_rows, self.dev_rows = rows, self.objective.read(settings.dev)
        else:
            self.train_rows, self.dev_rows = held_out(rows, settings.held_out, settings.seed, settings.data[0])

    def _load_model(self) -> None:
        settings, objective = self.settings, self.objective
        self.observer.loading("base")
        self.checkpoint = Checkpoint(settings.base)
        self.tokenizer = load_tokenizer(settings.base, words=objective.is_task)
        self.model = load_model(settings.base, objective.auto_class, seed=settings.seed, **objective.config()).model
        self.max_length = min(settings.max_length, longest(self.model, self.tokenizer))
        check_vocabulary(self.model, self.tokenizer, settings.base)
        self.source = SftFile(settings.source_sft) if settings.source_sft else None
        if self.source is not None:
            source = [Weighted(self.source, 1.0, str(settings.source_sft))]
            for text in check_belongs(settings.base, source):
                self.observer.note(text)
            add_differences(self.model, source)
        self.movable: Movable = freeze(self.model, is_task=objective.is_task, patterns=settings.freeze)
        self.observer.loading("features")
        self.features = objective.features(self.train_rows, self.tokenizer, self.max_length)
        self.evaluator = objective.evaluator(self.dev_rows, self.tokenizer, self.max_length, settings.seed)
        self.start.save(self._trainable())

    def _trainable(self) -> dict[str, torch.Tensor]:
        """Everything that may move before φ is put on: maskable parameters by canonical name, the head by its own."""
        moving = {name: parameter.detach() for name, parameter in self.movable.maskable.items()}
        return moving | self._head()

    def _head(self) -> dict[str, torch.Tensor]:
        """The head's trainable tensors, tied ones once."""
        backbone = {id(parameter) for parameter in backbone_parameters(self.model).values()}
        return {
            f"head:{name}": parameter.detach()
            for name, parameter in self.model.named_parameters()
            if id(parameter) not in backbone and parameter.requires_grad and not name.endswith(".phi")
        }

    def _k(self) -> int:
        backbone = sum(parameter.numel() for parameter in backbone_parameters(self.model).values())
        k = self.settings.k if self.settings.k is not None else max(1, round(self.settings.density * backbone))
        if k > self.movable.size:
            raise SettingsError(
                f"K = {k:,} is more than the {self.movable.size:,} parameters that may move "
                f"(frozen: {self.movable.frozen}). Ask for a lower --k or --density."
            )
        return k

    def _plan(self, k: int) -> Plan:
        settings = self.settings
        backbone = sum(parameter.numel() for parameter in backbone_parameters(self.model).values())
        return Plan(
            objective=settings.objective,
            method=settings.method,
            base=settings.base_name,
            k=k,
            density=k / backbone,
            backbone=backbone,
            maskable=self.movable.size,
            head=sum(tensor.numel() for tensor in self._head().values()),
            frozen=self.movable.frozen,
            train=len(self.train_rows),
            dev=len(self.dev_rows),
            steps1=self._steps(settings.phase1.total) if settings.method == "lottery" else 0,
            steps2=self._steps(settings.phase2.total),
            batch_size=settings.batch_size * settings.accumulate,
        )

    def _steps(self, total: Any) -> int:
        per_step = self.settings.batch_size * self.settings.accumulate
        steps: int = total(-(-len(self.features) // per_step))
        return steps

    def _choose(self, k: int, clock: _Clock) -> tuple[Outcome | None, Selection]:
        settings, maskable = self.settings, self.movable.maskable
        if settings.method == "random":
            self.observer.phase("select", 0)
            with clock("select"):
                return None, at_random(maskable, k, settings.seed)
        with clock("phase1"):
            steps = self._steps(settings.phase1.total)
            self.observer.phase("phase 1", steps)
            regularise = l1_towards(maskable, self.start, settings.l1 / self.movable.size)
            outcome = self._run(steps, self._trainable(), regularise)
        self.observer.phase("select", 0)
        with clock("select"):
            selection = most_changed(maskable, self.start, k)
            self.start.restore(self._trainable())
        return outcome, selection

    def _phase2(self, selection: Selection) -> tuple[Outcome, dict[str, Values]]:
        steps = self._steps(self.settings.phase2.total)
        self.observer.phase("phase 2", steps)
        positions = {name: torch.from_numpy(where) for name, where in selection.positions.items()}
        with sparse_parameters(self.model, positions) as deltas:
            phis = {name: delta.phi for name, delta in deltas.items()}
            regularise = l1_on(list(phis.values()), self.settings.l1 / self.movable.size)
            kept = {name: phi.detach() for name, phi in phis.items()} | self._head()
            outcome = self._run(steps, kept, regularise)
            values = {name: phi.detach().cpu().numpy().copy() for name, phi in phis.items()}
        return outcome, values

    def _run(self, steps: int, kept: dict[str, torch.Tensor], regularise: Any) -> Outcome:
        objective = self.objective
        phase = Phase(
            model=self.model,
            kept=kept,
            features=self.features,
            collator=objective.collator(self.tokenizer, self.settings.seed),
            evaluator=self.evaluator,
            metric=objective.best_metric,
            greater=objective.greater_is_better,
            steps=steps,
            folder=self.folder,
            regularise=regularise,
        )
        return run_phase(phase, self.settings, self.observer)

    def _trained(self, phase1: Outcome | None, phase2: Outcome) -> Trained:
        return Trained(
            settings=self.settings,
            objective=self.objective,
            checkpoint=self.checkpoint,
            model=self.model,
            untied=self.movable.untied,
            trained_with=(self.source.digest,) if self.source is not None else (),
            max_length=self.max_length,
            phase1=phase1,
            phase2=phase2,
        )


class _Clock:
    """Wall seconds of named parts."""

    def __init__(self) -> None:
        self.seconds = {"phase1": 0.0, "select": 0.0, "phase2": 0.0}
        self._name = ""
        self._start = 0.0

    def __call__(self, name: str) -> _Clock:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self._name] += time.perf_counter() - self._start
