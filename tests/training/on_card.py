"""Learns the same on the CPU and on a device that only looks like another; a JSON document says what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np

from sftkit.tasks.options import TaskOptions
from sftkit.training.lottery import Result, learn
from sftkit.training.settings import CRITERIA, settings_for
from tests.conftest import treebank_text
from tests.helpers import card, pico, squad
from tests.helpers.build import save_sft

#: What is learned: the objective, and options.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"mlm, {method}": ("mlm", {"method": method}) for method in ("lottery", "random", "diff", "bitfit")},
    **{f"mlm, {each}": ("mlm", {"criterion": each}) for each in CRITERIA[2:]},
    "mlm, layer norms": ("mlm", {"train_norms": True}),
    "mlm, streaming": ("mlm", {"selection": "streaming"}),
    "clm": ("clm", {"family": "gpt2"}),
    "pos": ("pos", {}),
    "pos, with an SFT": ("pos", {"with_sft": True}),
    "dep": ("dep", {}),
    "qa": ("qa", {"options": TaskOptions(stride=8), "max_length": 48}),
}


def main(folder: Path) -> None:
    """Every case, in a folder of its own making."""
    card.set_up()
    (folder / "corpus.txt").write_text("".join(f"ta mi{i % 7} lo su.\n" for i in range(30)))
    (folder / "train.conllu").write_text(treebank_text(20))
    squad.save(folder / "train.json", squad.numbers(15, 0, unanswered=False))
    print(json.dumps({name: _compared(folder, *case) for name, case in CASES.items()}))


def _compared(folder: Path, objective: str, options: dict[str, Any]) -> str:
    """What is different, "" for nothing."""
    try:
        cpu, there = (_learned(folder, objective, device, **options) for device in ("cpu", card.NAME))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    scores = cpu.phase2.best_value, there.phase2.best_value
    if not isclose(*scores, rel_tol=1e-6):  # attention is another kernel's
        return f"scores: {scores}"
    common = sum(len(np.intersect1d(cpu.sft.entries(name)[0], there.sft.entries(name)[0])) for name in cpu.sft.names)
    return "" if common > 0.99 * cpu.sft.k == 0.99 * there.sft.k else f"{common} of {cpu.sft.k} entries in common"


def _learned(folder: Path, objective: str, device: str, family: str = "bert", **options: Any) -> Result:
    base = folder / family
    if not base.exists():
        pico.save_base(base, family)
    data = {"mlm": "corpus.txt", "clm": "corpus.txt", "qa": "train.json"}.get(objective, "train.conllu")
    if options.pop("with_sft", False):
        options["source_sft"] = save_sft(folder / f"{device}.sft", base, k=500)
    given: dict[str, Any] = {"steps": 4, "eval_every": 2, "lr": 1e-2} | options
    if given.get("method") != "bitfit":
        given["k"] = 300
    made = settings_for(objective, data=(str(folder / data),), base=base, base_name="pico", device="cpu", **given)
    return learn(replace(made, device=device))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
