"""One process of several that learn; the first prints, by phase, the bytes of gradients a step: promised and counted.

Run under torchrun with a base and a corpus.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from sftkit.training.engine.ranks import is_first
from sftkit.training.lottery import learn
from sftkit.training.observer import Observer, RunPlan
from sftkit.training.settings import settings_for

STEPS = 3


class Counting(Observer):
    """Counts the bytes of each phase."""

    def __init__(self) -> None:
        self.counted, self.current, self.promised = Counter[str](), "", dict[str, int]()

    def planned(self, plan: RunPlan) -> None:
        """Keep what was promised."""
        self.promised = dict(plan.reduced)

    def phase(self, name: str, steps: int) -> None:
        """Count for this one from now on."""
        del steps
        self.current = name

    def summed(self, bucket: Any) -> Any:
        """Called with each bucket of gradients that is summed."""
        self.counted[self.current] += bucket.buffer().nbytes
        return allreduce_hook(torch.distributed.distributed_c10d._get_default_group(), bucket)


def main(base: Path, corpus: str) -> None:
    """Learn, and print."""
    counting = Counting()
    prepare = DistributedDataParallel.__init__

    def counted(self: DistributedDataParallel, *arguments: Any, **options: Any) -> None:
        prepare(self, *arguments, **options)
        self.register_comm_hook(None, lambda _, bucket: counting.summed(bucket))

    DistributedDataParallel.__init__ = counted  # type: ignore[method-assign]
    given: dict[str, Any] = {"steps": STEPS, "k": 200, "batch_size": 4, "device": "cpu"}
    learn(settings_for("mlm", data=(corpus,), base=base, base_name="pico", **given), counting)
    if is_first():
        counted_a_step = {phase: count / STEPS for phase, count in counting.counted.items()}
        print(json.dumps({"promised": counting.promised, "counted": counted_a_step}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
