"""Lottery-Ticket Sparse Fine-Tuning (Ansell et al. 2022, section 3.1), from settings to SFTs.

Phase 1 tunes everything that may move; the K entries that it scored highest are chosen; the model is rewound, head
included; phase 2 tunes φ at those entries, and the head. DiffPruning has another phase 1; other methods have none and
choose at random (the paper's RAND-SFT), the biases, or a mask from a file. One phase 1 serves several K. A run with a
directory of its own goes on where it was after it was killed. Writes no ``.sft``: that is the caller's business.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from sftkit.algebra.topk import PASSES
from sftkit.errors import SettingsError
from sftkit.format.encoding import Values
from sftkit.format.sft import SFT
from sftkit.inspecting.gain import no_gain
from sftkit.training.artifact import Trained, make_sft
from sftkit.training.clock import Clock
from sftkit.training.engine.checkpoints import DONE
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.owner import claimed
from sftkit.training.engine.ranks import world
from sftkit.training.engine.regularisers import both, l1_towards
from sftkit.training.engine.snapshot import Snapshot, theta_of
from sftkit.training.engine.together import first_alone, join, not_left_alone
from sftkit.training.observer import Observer
from sftkit.training.prepared import Prepared
from sftkit.training.selection.criteria import Criterion, criterion_of
from sftkit.training.selection.diffpruning import tune_relaxed
from sftkit.training.selection.scores import (
    Scores,
    Selection,
    at_random,
    check_finite,
    counted,
    highest,
    largest_of,
    watched,
)
from sftkit.training.selection.streaming import GradientSums
from sftkit.training.settings import Settings
from sftkit.training.tuning import Tuner, unmoved


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
        SftkitError: of the kind that fits; a SettingsError if the directory holds another run, or one that goes on.
    """
    each = [replace(settings, density=density, k=None) for density in densities] or [settings]
    with tempfile.TemporaryDirectory(prefix="sftkit-") as folder, not_left_alone():
        run = Run(each, observer or Observer(), Path(folder), run_dir)
        with run.held:
            yield from run.learn()


class Run:
    """One run's model, data and snapshots."""

    def __init__(self, each: Sequence[Settings], observer: Observer, own: Path, run_dir: Path | None) -> None:
        self.each, self.settings, self.observer = each, each[0], observer
        self.folder, self.lasting = run_dir or own, run_dir is not None
        self.held = ExitStack()  # what is the run's until it is closed
        self.start = Snapshot(self.folder / "start.safetensors", shared=self.lasting)
        self.rewound = self.start

    def prepare(self) -> list[int]:
        """Load everything and tell the plan; returns each K."""
        if self.settings.selection == "streaming" and world() > 1:
            raise SettingsError("--selection streaming runs in one process: start it without torchrun.")
        if self.settings.fsdp and world() == 1:
            raise SettingsError("--fsdp shares a model out over processes: start it with torchrun --nproc-per-node N.")
        if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1"):
            raise SettingsError(
                "accelerate is set to use its own FSDP. Start with torchrun, or accelerate launch --multi_gpu, "
                "and say --fsdp to sftkit."
            )
        join(self.settings.device)
        if self.lasting:
            first_alone(lambda: self.held.enter_context(claimed(self.folder, self.each)))
        self.ready = Prepared(self.settings, self.observer)
        self._told_of_other_devices()
        self.tuner = Tuner(self.ready, self.folder, lasting=self.lasting)
        self.start.save(self._changed())
        sizes = [self.ready.size_of(settings) for settings in self.each]
        plan = self.ready.plan(sizes)
        if self.settings.rewind_to is not None and self.settings.rewind_to > plan.steps1 > 0:
            raise SettingsError(f"--rewind-to {self.settings.rewind_to}: phase 1 has {plan.steps1:,} steps.")
        self.observer.planned(plan)
        return sizes

    def learn(self) -> Iterator[Result]:
        """Each SFT, as soon as it is there."""
        sizes = self.prepare()
        if all((self.folder / f"phase2-{k}" / DONE).is_file() for k in sizes):
            self.observer.note(f"the run in {self.folder} was finished already: nothing is trained again")
        clock = Clock()
        phase1, selections = self._choose(sizes, clock)
        for settings, selection in zip(self.each, selections, strict=True):
            yield self._one(settings, selection, phase1, clock)
            self.start.restore(self._changed())

    def _told_of_other_devices(self) -> None:
        if world() == 1 and self.ready.model.device.type == "cuda" and torch.cuda.device_count() > 1:
            count = torch.cuda.device_count()
            self.observer.note(
                f"one of {count} GPUs is used; all of them with torchrun --nproc-per-node {count} -m sftkit train …"
            )

    def rehearse(self, k: int, steps: int) -> None:
        """The first steps of each phase, for the sake of their time: one K, no further rounds, no rewinding."""
        self.ready.most_steps = steps
        self.settings = self.ready.settings = replace(self.settings, rewind_to=0, iterations=1, eval_every=steps)
        _, selections = self._choose([k], Clock())
        self._phase2(selections[0])

    def _changed(self) -> dict[str, torch.Tensor]:
        """What the run changes in place: the head, and θ too where phase 1 is full fine-tuning."""
        full = self.settings.method == "lottery" and self.settings.selection == "full"
        return self.ready.trainable() if full else self.ready.head()

    def _one(self, settings: Settings, selection: Selection, phase1: Outcome | None, clock: Clock) -> Result:
        self.settings, k = settings, selection.k
        if selection.unmoved:
            self.observer.note(
                f"only {k - selection.unmoved:,} of the {k:,} chosen entries moved in phase 1; "
                f"{selection.unmoved:,} that did not were taken last, lowest positions first"
            )
        with clock("phase2"):
            phase2, values = self._phase2(selection)
        still = unmoved(values, phase2)
        if still:
            normal = ": as is normal of random masks, some are of tokens that the text does not have"
            self.observer.note(
                f"{still:,} of the {k:,} chosen entries did not move (no gradient reached them"
                f"{normal if settings.method == 'random' else ''})"
            )
        sft = make_sft(self._trained(phase1, phase2), selection.positions, values)
        if text := no_gain(sft.metadata.training):
            self.observer.note(text)
        return Result(sft, phase1, phase2, self.ready.objective.best_metric, clock.take())

    def _choose(self, sizes: Sequence[int], clock: Clock) -> tuple[Outcome | None, list[Selection]]:
        settings, maskable = self.settings, self.ready.movable.maskable
        if settings.method == "lottery":
            return self._lottery(sizes, clock)
        if settings.method == "diff":
            return self._relaxed(sizes, clock)
        self.observer.phase("select", 0)
        with clock("select"):
            if settings.method == "random":
                return None, [at_random(maskable, k, settings.seed, self.ready.avoided) for k in sizes]
            selection, outside = self.ready.given_mask()
            if outside:
                self.observer.note(f"{outside:,} positions of {settings.mask_from} are frozen here and left out")
            return None, [selection]

    def _lottery(self, sizes: Sequence[int], clock: Clock) -> tuple[Outcome, list[Selection]]:
        settings = self.settings
        with clock("phase1"):
            outcome, criterion = self._phase1()
        maskable = self.ready.movable.maskable
        self.observer.phase("select", 0)
        with clock("select"):
            check_finite(maskable)
            narrowed = [self._rounds(k)[0] for k in sizes]
            selections = self._highest(maskable, criterion.scores(), narrowed)
            if settings.fsdp:
                self.ready.take_back()
            self.start.restore(self._changed())
        if settings.iterations > 1:
            with clock("phase1"):
                selections = [self._narrow(one, k) for one, k in zip(selections, sizes, strict=True)]
        return outcome, selections

    def _relaxed(self, sizes: Sequence[int], clock: Clock) -> tuple[Outcome, list[Selection]]:
        """DiffPruning: tune w under a relaxed mask z; the largest |z ⊙ w| stay, and φ goes on from there."""
        with clock("phase1"):
            steps = self.ready.steps(self.settings.phase1.total)
            self.observer.phase("phase 1", steps)
            run = partial(self.tuner.run, "phase1", steps)
            outcome, moved = tune_relaxed(self.ready, run, self.settings.l0)
        self.observer.phase("select", 0)
        with clock("select"):
            check_finite(moved)
            sizes_of = counted(lambda name: moved[name].abs())
            selections = self._highest(moved, sizes_of, sizes)
            self.rewound = Snapshot(self.folder / "rewind.safetensors", shared=self.lasting)
            begin = {name: tensor.add_(self.ready.movable.maskable[name].detach()) for name, tensor in moved.items()}
            self.rewound.save(begin | self.ready.head())
        return outcome, selections

    def _highest(self, among: Mapping[str, torch.Tensor], scores: Scores, sizes: Sequence[int]) -> list[Selection]:
        total = PASSES * len(sizes) * sum(tensor.numel() for tensor in among.values())
        scores = watched(scores, total, self.observer.selecting)
        return [highest(among, scores, k, self.ready.avoided) for k in sizes]

    def _rounds(self, k: int) -> list[int]:
        """How many entries are left after each round: from all to K by equal factors."""
        free, rounds = self.ready.free(), self.settings.iterations
        return [round(free * (k / free) ** (i / rounds)) for i in range(1, rounds)] + [k]

    def _phase1(self) -> tuple[Outcome, Criterion]:
        settings, maskable = self.settings, self.ready.movable.maskable
        steps = self.ready.steps(settings.phase1.total)
        self.observer.phase("phase 1", steps)
        if settings.selection == "streaming":
            sums = GradientSums(maskable, settings.criterion)
            with sums.listening():
                outcome = self.tuner.run("phase1", steps, self.ready.head(), None, counted=sums.tensors)
            return outcome, Criterion(None, sums.tensors, sums.scores)
        if settings.fsdp:
            self.ready.share_out()
            maskable = self.ready.movable.maskable
        needed = bool(settings.l1) or settings.criterion == "movement"
        theta = theta_of(self.start, self.ready.movable, self.ready.model) if needed else {}
        criterion = criterion_of(settings.criterion, maskable, self.start, theta)
        regularise = l1_towards(maskable, theta, settings.l1 / self.ready.movable.size)
        if settings.rewind_to != 0:
            self.rewound = Snapshot(self.folder / "rewind.safetensors", shared=self.lasting)
        outcome = self.tuner.run(
            "phase1", steps, self.ready.trainable(), both(criterion.observe, regularise), counted=criterion.tensors,
            sharded=settings.fsdp, snapshot=(settings.rewind_to, self.rewound) if settings.rewind_to else None,
        )  # fmt: skip
        if settings.rewind_to is None:
            self.rewound.save(self.ready.trainable())
        return outcome, criterion

    def _narrow(self, selection: Selection, k: int) -> Selection:
        """Further rounds: tune φ alone, and keep those of its entries that moved most."""
        for number, left in enumerate(self._rounds(k)[1:], start=2):
            steps = self.ready.steps(self.settings.phase1.total)
            self.observer.phase(f"phase 1, round {number}", steps)
            _, values = self.tuner.tune(f"phase1-{k}-{number}", steps, selection, f"phase 1, round {number}")
            self.start.restore(self.ready.head())
            selection = largest_of(selection, values, left)
        return selection

    def _phase2(self, selection: Selection) -> tuple[Outcome, dict[str, Values]]:
        steps = self.ready.steps(self.settings.phase2.total)
        self.observer.phase("phase 2", steps)
        self.rewound.restore(self.ready.head())
        begin = self.rewound if self.rewound is not self.start else None
        return self.tuner.tune(f"phase2-{selection.k}", steps, selection, "phase 2", begin)

    def _trained(self, phase1: Outcome | None, phase2: Outcome) -> Trained:
        return Trained(
            settings=self.settings,
            objective=self.ready.objective,
            checkpoint=self.ready.checkpoint,
            model=self.ready.model,
            untied=self.ready.movable.untied,
            frozen=self.ready.movable.frozen,
            trained_with=tuple(dict.fromkeys(sft.digest for sft in self.ready.sfts if sft is not None)),
            max_length=self.ready.max_length,
            phase1=phase1,
            phase2=phase2,
        )
