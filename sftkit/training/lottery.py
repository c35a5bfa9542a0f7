"""Lottery-Ticket Sparse Fine-Tuning (Ansell et al. 2022, section 3.1), from settings to SFTs.

A method chooses the entries that φ may have (see :mod:`sftkit.training.methods.registry`), most of them by a phase 1
after which the model is rewound, head included; phase 2 tunes φ at those entries, and the head. One phase 1 serves
several K. A run with a directory of its own goes on where it was after it was killed. Writes no ``.sft``: that is the
caller's business.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sftkit.errors import SettingsError
from sftkit.format.encoding import Values
from sftkit.format.sft import CsrDifference
from sftkit.inspecting.gain import no_gain, worse_than_phase1
from sftkit.training.artifact import Trained, make_sft
from sftkit.training.clock import SECONDS, Clock, phase2_of
from sftkit.training.engine.checkpoints import DONE
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.owner import claimed
from sftkit.training.engine.ranks import is_first, world
from sftkit.training.engine.snapshot import RunFolder, Snapshot
from sftkit.training.engine.together import first_alone, join, not_left_alone
from sftkit.training.loading import check_processes, load
from sftkit.training.methods.base import Choice, Chooser, chooser_of
from sftkit.training.observer import Observer
from sftkit.training.planning import plan_of
from sftkit.training.selection.ranking import Mask
from sftkit.training.settings import Settings
from sftkit.training.tuning import Run, unmoved


@dataclass(frozen=True)
class Result:
    """An SFT and how it came about.

    Attributes:
        sft: the SFT.
        phase1, phase2: what the phases did; phase1 is None where the method has none.
        best_metric: which metric chose the best step.
        seconds: wall time of "phase1", "select", "phase2", in all sessions of a run that was gone on with.
    """

    sft: CsrDifference
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
    each = for_each(settings, densities)
    with tempfile.TemporaryDirectory(prefix="sftkit-") as own, not_left_alone(), ExitStack() as held:
        folder = RunFolder(run_dir or Path(own), run_dir is not None)
        run = prepare(each, folder, observer or Observer(), held)
        chooser = chooser_of(run)
        sizes = planned(each, run, chooser)
        if all((folder.path / phase2_of(k) / DONE).is_file() for k in sizes):
            run.observer.note(f"the run in {folder.path} was finished already: nothing is trained again")
        choice = chooser.choose(sizes)
        for one, mask in zip(each, choice.masks, strict=True):
            yield _finish(one, run, choice, mask, chooser.stillness)
            run.start.restore(run.changed())


def for_each(settings: Settings, densities: Sequence[float]) -> list[Settings]:
    """The settings of each SFT of a run."""
    return [replace(settings, density=density, k=None) for density in densities] or [settings]


def prepare(each: Sequence[Settings], folder: RunFolder, observer: Observer, held: ExitStack | None = None) -> Run:
    """Load everything that a run needs, and set θ(0) aside.

    Args:
        each: the settings of its SFTs, which differ in K alone.
        folder: where it keeps its files.
        observer: is told what goes on.
        held: what is the run's until it is closed: a directory that outlives it.

    Raises:
        SftkitError: of the kind that fits; a SettingsError if the directory holds another run, or one that goes on.
    """
    settings = each[0]
    check_processes(settings)
    join(settings.device)
    if held is not None and folder.lasting:
        first_alone(lambda: held.enter_context(claimed(folder.path, each)))
    equipment = load(settings, observer)
    tell_of_other_devices(equipment.tunable.model.device, observer)
    clock = Clock(folder.path / SECONDS if folder.lasting and is_first() else None)
    run = Run(settings, observer, equipment, folder, clock=clock)
    run.start.save(run.changed())
    return run


def planned(each: Sequence[Settings], run: Run, chooser: Chooser) -> list[int]:
    """Tell what the run will do; each K.

    Raises:
        SettingsError: if K, or where phase 2 is to begin, cannot be.
    """
    sizes = [chooser.size(settings) for settings in each]
    plan, rewind_to = plan_of(run.settings, run.equipment, sizes), run.settings.rewind_to
    if rewind_to is not None and rewind_to > plan.steps1 > 0:
        raise SettingsError(f"--rewind-to {rewind_to}: phase 1 has {plan.steps1:,} steps.")
    run.observer.planned(plan)
    for text in plan.notes:
        run.observer.note(text)
    return sizes


def tell_of_other_devices(device: torch.device, observer: Observer) -> None:
    """Say so if there are more GPUs than are used."""
    count = torch.cuda.device_count()
    if world() == 1 and device.type == "cuda" and count > 1:
        observer.note(
            f"one of {count} GPUs is used; all of them with torchrun --nproc-per-node {count} -m sftkit train …"
        )


def tune_chosen(run: Run, mask: Mask, rewound: Snapshot | None) -> tuple[Outcome, dict[str, Values]]:
    """Phase 2: what it did, and φ by canonical name, float32 ``[n]``."""
    (rewound or run.start).restore(run.tunable.head())
    return run.tune(phase2_of(mask.k), "phase 2", run.settings.phase2, mask, rewound)


def _finish(settings: Settings, run: Run, choice: Choice, mask: Mask, stillness: str) -> Result:
    """One SFT of a run, from the entries that were chosen for it."""
    observer, k = run.observer, mask.k
    if mask.unmoved:
        observer.note(
            f"only {k - mask.unmoved:,} of the {k:,} chosen entries moved in phase 1; "
            f"{mask.unmoved:,} that did not were taken last, lowest positions first"
        )
    with run.clock(phase2_of(k)):
        phase2, values = tune_chosen(run, mask, choice.rewound)
    if still := unmoved(values, phase2):
        observer.note(f"{still:,} of the {k:,} chosen entries did not move (no gradient reached them{stillness})")
    sft = make_sft(Trained(settings, run.equipment, choice.phase1, phase2), mask.positions, values)
    metric = run.equipment.data.objective.best_metric
    text = no_gain(sft.metadata.training)
    if not text and choice.phase1 is not None:
        text = worse_than_phase1(choice.phase1.best_value, phase2.best_value, metric)
    if text:
        observer.note(text)
    return Result(sft, choice.phase1, phase2, metric, run.clock.of(k))
