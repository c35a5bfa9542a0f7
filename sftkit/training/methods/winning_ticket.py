"""The lottery (Ansell et al. 2022, section 3.1): tune everything that may move, and keep what scored highest."""

from __future__ import annotations

from collections.abc import Sequence

from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.phase import Moving
from sftkit.training.engine.regularisers import both, l1_towards
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.methods.base import Choice, Chooser
from sftkit.training.selection.criteria import Criterion, criterion_of
from sftkit.training.selection.movable import theta_of
from sftkit.training.selection.ranking import Mask, check_finite, largest_of
from sftkit.training.selection.streaming import GradientSums


class WinningTicket(Chooser):
    """The K entries that phase 1 scored highest, by the criterion, in one round or several."""

    def choose(self, sizes: Sequence[int]) -> Choice:
        """Tune all, or add up gradients at θ(0); rank; put θ and the head back; narrow the choice in further rounds."""
        run, settings = self.run, self.run.settings
        rewound = run.folder.snapshot("rewind") if settings.rewind_to != 0 else None
        with run.clock("phase1"):
            outcome, criterion = self._streamed() if settings.selection == "streaming" else self._full(rewound)
        with run.selecting():
            maskable = run.tunable.movable.maskable
            check_finite(maskable)
            masks = run.highest(maskable, criterion.scores(), [self._rounds(k)[0] for k in sizes])
            if settings.fsdp:
                run.tunable.take_back()
            run.start.restore(run.changed())
        if settings.iterations > 1:
            with run.clock("phase1"):
                masks = [self._narrow(mask, k) for mask, k in zip(masks, sizes, strict=True)]
        return Choice(masks, outcome, rewound)

    def _streamed(self) -> tuple[Outcome, Criterion]:
        settings, tunable = self.run.settings, self.run.tunable
        sums = GradientSums(tunable.movable.maskable, settings.criterion)
        with sums.listening():
            moving = Moving(tunable.head(), counted=sums.tensors)
            outcome = self.run.train("phase1", "phase 1", settings.phase1, moving)
        return outcome, Criterion(None, sums.tensors, sums.scores)

    def _full(self, rewound: Snapshot | None) -> tuple[Outcome, Criterion]:
        settings, tunable, start = self.run.settings, self.run.tunable, self.run.start
        if settings.fsdp:
            tunable.share_out()
        maskable = tunable.movable.maskable
        needed = bool(settings.l1) or settings.criterion == "movement"
        theta = theta_of(start, tunable.movable, tunable.model) if needed else {}
        criterion = criterion_of(settings.criterion, maskable, start, theta)
        regularise = l1_towards(maskable, theta, settings.l1 / tunable.movable.size)
        aside = (settings.rewind_to, rewound) if settings.rewind_to and rewound is not None else None
        moving = Moving(tunable.trainable(), both(criterion.observe, regularise), criterion.tensors, aside=aside)
        outcome = self.run.train("phase1", "phase 1", settings.phase1, moving)
        if settings.rewind_to is None and rewound is not None:
            rewound.save(tunable.trainable())
        return outcome, criterion

    def _rounds(self, k: int) -> list[int]:
        """How many entries are left after each round: from all to K by equal factors."""
        free, rounds = self.run.tunable.free, self.run.settings.iterations
        return [round(free * (k / free) ** (i / rounds)) for i in range(1, rounds)] + [k]

    def _narrow(self, mask: Mask, k: int) -> Mask:
        """Further rounds: tune φ alone, and keep those of its entries that moved most."""
        for number, left in enumerate(self._rounds(k)[1:], start=2):
            title = f"phase 1, round {number}"
            _, values = self.run.tune(f"phase1-{k}-{number}", title, self.run.settings.phase1, mask)
            self.run.start.restore(self.run.tunable.head())
            mask = largest_of(mask, values, left)
        return mask
