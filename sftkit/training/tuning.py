"""A run's parts, and what trains them, whichever the method: the model as it is, or φ on it.

Which entries φ has, and what a phase begins from, is its caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from sftkit.algebra.topk import PASSES
from sftkit.errors import SettingsError
from sftkit.format.encoding import Values
from sftkit.modeling.backbone import flat
from sftkit.modeling.sparse import SparseDelta
from sftkit.training.clock import Clock
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.order import derived
from sftkit.training.engine.phase import Material, Moving, Phase
from sftkit.training.engine.regularisers import l1_on
from sftkit.training.engine.running import run_phase
from sftkit.training.engine.sharded import like, whole
from sftkit.training.engine.snapshot import RunFolder, Snapshot
from sftkit.training.engine.turns import NO_DELTAS, SourcesEvaluator, SourceSfts
from sftkit.training.length import Length
from sftkit.training.loading import Equipment
from sftkit.training.observer import Observer
from sftkit.training.selection.ranking import Mask, Ranking, highest, watched
from sftkit.training.settings import Settings
from sftkit.training.tunable import Tunable


@dataclass
class Run:
    """A run that is ready to train.

    Attributes:
        settings, observer: as given.
        equipment: model and data.
        folder: where its files are; each phase has a folder in it.
        most_steps: of a phase, whatever the settings say: a rehearsal's.
        clock: of its parts.
    """

    settings: Settings
    observer: Observer
    equipment: Equipment
    folder: RunFolder
    most_steps: int | None = None
    clock: Clock = field(default_factory=Clock)
    _start_score: float | None = field(default=None, init=False)  # θ(0)'s, once a phase that begins there has it

    @property
    def tunable(self) -> Tunable:
        """The model and what of it may move."""
        return self.equipment.tunable

    @property
    def start(self) -> Snapshot:
        """What :meth:`changed` was at θ(0)."""
        return self.folder.snapshot("start")

    def changed(self) -> dict[str, torch.Tensor]:
        """What the run changes in place: the head, and θ too where phase 1 is full fine-tuning."""
        return self.tunable.trainable() if self.settings.tunes_theta else self.tunable.head()

    @contextmanager
    def selecting(self) -> Iterator[None]:
        """Entries are chosen: tell so, and how long it takes."""
        self.observer.phase("select", 0)
        with self.clock("select"):
            yield

    def highest(self, among: Mapping[str, torch.Tensor], scores: Ranking, sizes: Sequence[int]) -> list[Mask]:
        """The masks of the highest scores, one of each size."""
        total = PASSES * len(sizes) * sum(tensor.numel() for tensor in among.values())
        scores = watched(scores, total, self.observer.selecting)
        return [highest(among, scores, k, self.tunable.avoided) for k in sizes]

    def tune(
        self, name: str, title: str, length: Length, mask: Mask, begin: Snapshot | None = None
    ) -> tuple[Outcome, dict[str, Values]]:
        """Tune φ at the chosen positions, and the head; φ begins at 0, or at what was set aside less θ(0)."""
        positions = {name: torch.from_numpy(where) for name, where in mask.positions.items()}
        already = self._moved(positions, begin) if begin is not None else None
        strength = self.settings.l1 / self.tunable.movable.size
        with self.tunable.with_phi(positions) as phi:
            kept = {"phi": phi.phi.detach()} | self.tunable.head()
            if already is not None:
                kept["phi"].copy_(like(already, phi.phi))
            moving = Moving(kept, l1_on(phi.phi, strength))
            outcome = self.train(name, title, length, moving, phi.deltas, rewound=begin is not None)
            values = whole(phi.phi.detach()).cpu().numpy().copy()
            return outcome, {key: values[delta.part] for key, delta in phi.deltas.items()}

    def _moved(self, positions: Mapping[str, torch.Tensor], to: Snapshot) -> torch.Tensor:
        """How far what was set aside is from θ(0) at the positions, float32 ``[K]``."""
        result = []
        for name, where in positions.items():
            weight = flat(self.tunable.movable.maskable[name])
            theta = weight.index_select(0, where.to(weight.device)).float().cpu()
            result.append(to.tensor(name).reshape(-1).index_select(0, where).float() - theta)
        return torch.cat(result)

    def train(
        self,
        name: str,
        title: str,
        length: Length,
        moving: Moving,
        deltas: Mapping[str, SparseDelta] = NO_DELTAS,
        *,
        rewound: bool = False,
    ) -> Outcome:
        """Run a phase.

        Args:
            name: of its folder.
            title: for the observer; the order of examples, masks and dropout are drawn for it, too: each phase has its
                own, or selection would see the very noise that phase 2 trains on.
            length: how long.
            moving: what moves.
            deltas: φ on the model, if it is there.
            rewound: whether it begins elsewhere than at θ(0), which is scored once a run.
        """
        settings, data = self.settings, self.equipment.data
        steps = data.steps(length, settings)
        steps = min(steps, self.most_steps or steps)
        self.observer.phase(title, steps)
        seed = derived(settings.seed, title)
        phase = Phase(
            self.tunable.model, self._material(seed, deltas), moving, steps, self.folder.path / name, seed,
            lasting=self.folder.lasting, sharded=settings.fsdp, start=None if rewound else self._start_score,
            saved=self.clock.keep,
        )  # fmt: skip
        outcome = run_phase(phase, settings, self.observer)
        if not rewound:
            self._start_score = outcome.start
        return outcome

    def _material(self, seed: int, deltas: Mapping[str, SparseDelta]) -> Material:
        """The data in an order of its own, with the sources' SFTs where they have them, with φ on the model or not."""
        data, objective = self.equipment.data, self.equipment.data.objective
        turns = None
        if self.settings.sources:
            turns = SourceSfts(self.tunable.backbone, self.equipment.sfts, deltas)
        return Material(
            objective=objective,
            features=data.features,
            collator=objective.collator(data.tokenizer, seed),
            order=data.order.seeded(seed),
            evaluator=SourcesEvaluator(data.evaluators, turns) if turns else data.evaluators[0],
            turns=turns,
        )


def unmoved(values: Mapping[str, Values], outcome: Outcome) -> int:
    """How many entries of φ did not move.

    Args:
        values: φ at the best step, float32 ``[n]`` by name.
        outcome: the phase's.

    Raises:
        SettingsError: if none did.
    """
    still = sum(int((phi == 0).sum()) for phi in values.values())
    if still < sum(map(len, values.values())):
        return still
    if outcome.best_step < outcome.steps:
        raise SettingsError(
            f"Nothing had moved by step {outcome.best_step:,}, the best of {outcome.steps:,}, so there is no SFT. "
            "First steps may move the head alone: score the model less often (--eval-every)."
        )
    raise SettingsError(
        "Nothing moved: no gradient reached any of the chosen entries, so there is no SFT. "
        "Does the tokenizer know the text (or is it all unknown tokens), and does --freeze leave enough?"
    )
