"""What a run trains, whichever its method: the model as it is, or φ on it.

Covers what one phase needs of a run: its data, its folder, θ shared out or not. Which entries φ has, and what a phase
begins from, is its caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from sftkit.errors import SettingsError
from sftkit.format.encoding import Values
from sftkit.modeling.backbone import flat
from sftkit.modeling.sparse import SparseDelta, SparsePhi, sparse_parameters
from sftkit.training.engine.judge import Outcome
from sftkit.training.engine.order import derived
from sftkit.training.engine.phase import Phase, run_phase
from sftkit.training.engine.regularisers import l1_on
from sftkit.training.engine.sharded import like, whole
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.prepared import Prepared
from sftkit.training.selection.scores import Selection
from sftkit.training.sources import NO_DELTAS, SourcesEvaluator


class Tuner:
    """Runs phases on a run's model and data."""

    def __init__(self, ready: Prepared, folder: Path, *, lasting: bool) -> None:
        """Say for which run.

        Args:
            ready: its model and data.
            folder: the phases get folders of their own in it.
            lasting: whether that outlives the run.
        """
        self._ready, self._folder, self._lasting = ready, folder, lasting
        self._start: float | None = None  # θ(0)'s score, once a phase that begins there has it

    def tune(
        self, name: str, steps: int, selection: Selection, draws: str, begin: Snapshot | None = None
    ) -> tuple[Outcome, dict[str, Values]]:
        """Tune φ at the chosen positions, and the head; φ begins at 0, or at what was set aside less θ(0)."""
        positions = {name: torch.from_numpy(where) for name, where in selection.positions.items()}
        already = self._moved(positions, begin) if begin is not None else None
        strength = self._ready.settings.l1 / self._ready.movable.size
        with self._phi_on(positions) as phi:
            kept = {"phi": phi.phi.detach()} | self._ready.head()
            if already is not None:
                kept["phi"].copy_(like(already, phi.phi))
            outcome = self.run(
                name, steps, kept, l1_on(phi.phi, strength), phi.deltas, draws=draws, rewound=begin is not None,
                sharded=self._ready.settings.fsdp,
            )  # fmt: skip
            values = whole(phi.phi.detach()).cpu().numpy().copy()
            return outcome, {key: values[delta.part] for key, delta in phi.deltas.items()}

    def _moved(self, positions: Mapping[str, torch.Tensor], to: Snapshot) -> torch.Tensor:
        """How far what was set aside is from θ(0) at the positions, float32 ``[K]``."""
        result = []
        for name, where in positions.items():
            weight = flat(self._ready.movable.maskable[name])
            theta = weight.index_select(0, where.to(weight.device)).float().cpu()
            result.append(to.tensor(name).reshape(-1).index_select(0, where).float() - theta)
        return torch.cat(result)

    @contextmanager
    def _phi_on(self, positions: Mapping[str, torch.Tensor]) -> Iterator[SparsePhi]:
        """The model with φ on it; afterwards as it was, but for its head."""
        if self._ready.settings.fsdp:
            phi = self._ready.share_out_phi(positions)
            with phi.written_after_steps():
                yield phi
            self._ready.take_back()
            return
        with sparse_parameters(self._ready.model, positions) as phi:
            yield phi

    def run(
        self,
        name: str,
        steps: int,
        kept: dict[str, torch.Tensor],
        regularise: Any,
        deltas: Mapping[str, SparseDelta] = NO_DELTAS,
        *,
        draws: str = "phase 1",
        rewound: bool = False,
        **more: Any,
    ) -> Outcome:
        """Run a phase.

        Args:
            name: of its folder.
            steps: how many.
            kept: the tensors to set aside at the best step, by name.
            regularise: see :class:`~sftkit.training.engine.phase.Phase`.
            deltas: φ on the model, if it is there.
            draws: what the order of examples, masks and dropout are drawn for: each phase has its own, or selection
                would see the very noise that phase 2 trains on.
            rewound: whether it begins elsewhere than at θ(0), which is scored once a run.
            more: further attributes of the phase.
        """
        ready, objective, sfts = self._ready, self._ready.objective, self._ready.in_turns(deltas)
        seed = derived(ready.settings.seed, draws)
        phase = Phase(
            model=ready.model,
            kept=kept,
            features=ready.features,
            order=ready.order.seeded(seed),
            collator=objective.collator(ready.tokenizer, seed),
            evaluator=SourcesEvaluator(ready.evaluators, sfts) if sfts else ready.evaluators[0],
            sources=sfts,
            metric=objective.best_metric,
            greater=objective.greater_is_better,
            steps=steps,
            folder=self._folder / name,
            regularise=regularise,
            seed=seed,
            lasting=self._lasting,
            loss=objective.loss,
            start=None if rewound else self._start,
            **more,
        )
        outcome = run_phase(phase, ready.settings, ready.observer)
        if not rewound:
            self._start = outcome.start
        return outcome


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
