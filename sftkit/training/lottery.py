"""Lottery-Ticket Sparse Fine-Tuning (Ansell et al. 2022, section 3.1), from settings to SFTs.

Phase 1 tunes everything that may move; the K entries that it scored highest are chosen; the model is rewound, head
included; phase 2 tunes φ at those entries, and the head. Other methods choose without phase 1: at random (the paper's
RAND-SFT), the biases, a mask from a file. One phase 1 serves several K. A run with a directory of its own goes on
where it was after it was killed. Writes no ``.sft``: that is the caller's business.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from sftkit.tasks.base import Objective
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sources import held_out
from sftkit.training.artifact import Trained, make_sft
from sftkit.training.checkpoints import claim
from sftkit.training.criteria import Criterion, criterion_of
from sftkit.training.masks import avoided_by, biases, positions_of
from sftkit.training.movable import Movable, freeze
from sftkit.training.observer import Observer, Plan
from sftkit.training.phase import Outcome, Phase, both, l1_on, l1_towards, run_phase
from sftkit.training.ranks import is_first
from sftkit.training.selection import Selection, at_random, check_finite, highest, largest_of
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


def learn(settings: Settings, observer: Observer | None = None, *, run_dir: Path | None = None) -> Result:
    """Learn one SFT.

    Args:
        settings: everything; see :func:`sftkit.training.settings.settings_for`.
        observer: is told what goes on.
        run_dir: as in :func:`learn_each`.

    Raises:
        SftkitError: of the kind that fits, for data, bases, SFTs and settings that cannot be.
    """
    return next(learn_each(settings, (), observer, run_dir=run_dir))


def learn_each(
    settings: Settings, densities: Sequence[float], observer: Observer | None = None, *, run_dir: Path | None = None
) -> Iterator[Result]:
    """Learn an SFT of each density, from one phase 1; each is what a run for that density alone would give.

    Args:
        settings: everything else.
        densities: shares of the backbone; none: what the settings say.
        observer: is told what goes on.
        run_dir: a directory that outlives the run: what is done stays there, and the same run goes on from it.

    Raises:
        SftkitError: of the kind that fits; a SettingsError if the directory holds another run.
    """
    each = [replace(settings, density=density, k=None) for density in densities] or [settings]
    with tempfile.TemporaryDirectory(prefix="sftkit-") as folder:
        yield from _Run(each, observer or Observer(), Path(folder), run_dir).learn()


class _Run:
    """One run's model, data and snapshots."""

    def __init__(self, each: Sequence[Settings], observer: Observer, own: Path, run_dir: Path | None) -> None:
        self.each, self.settings, self.observer = each, each[0], observer
        self.folder, self.lasting = run_dir or own, run_dir is not None
        # several processes share the run's directory; only the first one writes there
        self.aside = self.folder if is_first() else own
        self.objective: Objective = objective_of(self.settings.objective)
        self.start = Snapshot(self.aside / "start.safetensors")
        self.rewound = self.start

    def learn(self) -> Iterator[Result]:
        if self.lasting and is_first():
            claim(self.folder, self.each)
        self._load_data()
        self._load_model()
        self._make_features()
        sizes = [self._k(settings) for settings in self.each]
        self.observer.planned(self._plan(sizes[0]))
        clock = _Clock()
        phase1, selections = self._choose(sizes, clock)
        for settings, selection in zip(self.each, selections, strict=True):
            yield self._one(settings, selection, phase1, clock)
            self.start.restore(self._trainable())

    def _one(self, settings: Settings, selection: Selection, phase1: Outcome | None, clock: _Clock) -> Result:
        self.settings, k = settings, selection.k
        if selection.unmoved:
            self.observer.note(
                f"only {k - selection.unmoved:,} of the {k:,} chosen entries moved in phase 1; "
                f"{selection.unmoved:,} that did not were taken last, lowest positions first"
            )
        with clock("phase2"):
            phase2, values = self._phase2(selection)
        still = sum(int((phi == 0).sum()) for phi in values.values())
        if still == k:
            raise SettingsError(
                "Nothing moved: no gradient reached any of the chosen entries, so there is no SFT. "
                "Does the tokenizer know the text (or is it all unknown tokens), and does --freeze leave enough?"
            )
        if still:
            self.observer.note(f"{still:,} of the {k:,} chosen entries did not move (no gradient reached them)")
        sft = make_sft(self._trained(phase1, phase2), selection.positions, values)
        return Result(sft, phase1, phase2, self.objective.best_metric, clock.take())

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
        self.model.to(device_of(settings.device))  # type: ignore[arg-type]  # what is made beside it is made there
        self.avoided = avoided_by(settings.avoid, self.movable.maskable)

    def _make_features(self) -> None:
        settings, objective = self.settings, self.objective
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

    def _k(self, settings: Settings) -> int:
        if settings.method in ("bitfit", "mask"):
            return self._given_mask()[0].k
        backbone = sum(parameter.numel() for parameter in backbone_parameters(self.model).values())
        k = settings.k if settings.k is not None else max(1, round(settings.density * backbone))
        free = self._free()
        if k > free:
            kept_clear = f", kept clear of: {self.movable.size - free:,}" if self.avoided else ""
            raise SettingsError(
                f"K = {k:,} is more than the {free:,} parameters that may move "
                f"(frozen: {self.movable.frozen}{kept_clear}). Ask for a lower --k or --density."
            )
        return k

    def _free(self) -> int:
        return self.movable.size - sum(int(where.sum()) for where in self.avoided.values())

    def _given_mask(self) -> tuple[Selection, int]:
        """A mask that needs no phase 1 and no K, and how many of its positions may not move."""
        if self.settings.mask_from is None:
            return biases(self.movable.maskable, self.avoided), 0
        return positions_of(self.settings.mask_from, self.movable.maskable, self.avoided)

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

    def _choose(self, sizes: Sequence[int], clock: _Clock) -> tuple[Outcome | None, list[Selection]]:
        settings, maskable = self.settings, self.movable.maskable
        if settings.method == "lottery":
            return self._lottery(sizes, clock)
        self.observer.phase("select", 0)
        with clock("select"):
            if settings.method == "random":
                return None, [at_random(maskable, k, settings.seed, self.avoided) for k in sizes]
            selection, outside = self._given_mask()
            if outside:
                self.observer.note(f"{outside:,} positions of {settings.mask_from} are frozen here and left out")
            return None, [selection]

    def _lottery(self, sizes: Sequence[int], clock: _Clock) -> tuple[Outcome, list[Selection]]:
        settings, maskable = self.settings, self.movable.maskable
        with clock("phase1"):
            outcome, criterion = self._phase1()
        self.observer.phase("select", 0)
        with clock("select"):
            check_finite(maskable)
            narrowed = [self._rounds(k)[0] for k in sizes]
            selections = [highest(maskable, criterion.scores(), k, self.avoided) for k in narrowed]
            self.start.restore(self._trainable())
        if settings.iterations > 1:
            with clock("phase1"):
                selections = [self._narrow(one, k) for one, k in zip(selections, sizes, strict=True)]
        return outcome, selections

    def _rounds(self, k: int) -> list[int]:
        """How many entries are left after each round: from all to K by equal factors."""
        free, rounds = self._free(), self.settings.iterations
        return [round(free * (k / free) ** (i / rounds)) for i in range(1, rounds)] + [k]

    def _phase1(self) -> tuple[Outcome, Criterion]:
        settings, maskable = self.settings, self.movable.maskable
        steps = self._steps(settings.phase1.total)
        if settings.rewind_to is not None and settings.rewind_to > steps:
            raise SettingsError(f"--rewind-to {settings.rewind_to}: phase 1 has {steps:,} steps.")
        self.observer.phase("phase 1", steps)
        criterion = criterion_of(settings.criterion, maskable, self.start)
        regularise = l1_towards(maskable, self.start, settings.l1 / self.movable.size)
        if settings.rewind_to != 0:
            self.rewound = Snapshot(self.aside / "rewind.safetensors")
        outcome = self._run(
            "phase1", steps, self._trainable(), both(criterion.observe, regularise), counted=criterion.tensors,
            snapshot=(settings.rewind_to, self.rewound) if settings.rewind_to else None,
        )  # fmt: skip
        if settings.rewind_to is None:
            self.rewound.save(self._trainable())
        return outcome, criterion

    def _narrow(self, selection: Selection, k: int) -> Selection:
        """Further rounds: tune φ alone, and keep those of its entries that moved most."""
        for number, left in enumerate(self._rounds(k)[1:], start=2):
            steps = self._steps(self.settings.phase1.total)
            self.observer.phase(f"phase 1, round {number}", steps)
            _, values = self._tune(f"phase1-{k}-{number}", steps, selection)
            self.start.restore(self._head())
            selection = largest_of(selection, values, left)
        return selection

    def _phase2(self, selection: Selection) -> tuple[Outcome, dict[str, Values]]:
        steps = self._steps(self.settings.phase2.total)
        self.observer.phase("phase 2", steps)
        self.rewound.restore(self._head())
        return self._tune(f"phase2-{selection.k}", steps, selection, self.rewound)

    def _tune(
        self, name: str, steps: int, selection: Selection, begin: Snapshot | None = None
    ) -> tuple[Outcome, dict[str, Values]]:
        """Tune φ at the chosen positions, and the head; φ begins at 0, or at what was set aside less θ(0)."""
        positions = {name: torch.from_numpy(where) for name, where in selection.positions.items()}
        with sparse_parameters(self.model, positions) as deltas:
            phis = {name: delta.phi for name, delta in deltas.items()}
            if begin is not None and begin is not self.start:
                for key, phi in phis.items():
                    moved = begin.tensor(key).reshape(-1)[positions[key]].float()
                    phi.data.copy_(moved - self.start.tensor(key).reshape(-1)[positions[key]].float())
            regularise = l1_on(list(phis.values()), self.settings.l1 / self.movable.size)
            kept = {name: phi.detach() for name, phi in phis.items()} | self._head()
            outcome = self._run(name, steps, kept, regularise)
            values = {name: phi.detach().cpu().numpy().copy() for name, phi in phis.items()}
        return outcome, values

    def _run(self, name: str, steps: int, kept: dict[str, torch.Tensor], regularise: Any, **more: Any) -> Outcome:
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
            folder=self.folder / name,
            regularise=regularise,
            lasting=self.lasting,
            model_counts=objective.model_counts,
            aside=None if is_first() else self.aside,
            **more,
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

    def take(self) -> dict[str, float]:
        """The seconds so far; those of phase 2 start again at 0, for the next SFT's."""
        taken = dict(self.seconds)
        self.seconds["phase2"] = 0.0
        return taken
