"""The paper's questions, answered from the laboratory's results beside this file.

Run by hand: ``python -m tests.benchmarks.laboratory``. Means over languages within a world, then over worlds; 95 %
intervals of Student's t over the worlds; differences are paired by world, p is the paired t test's, not corrected
for how many there are. What was not run is left out.

The results are those of ``sftkit sweep laboratory -o laboratory`` and of the files called laboratory-…, each one's
``results.csv`` under its name. ``overlaps.csv`` is written by ``python -m tests.benchmarks.laboratory laboratory/``,
from the SFTs in that folder.
"""

from __future__ import annotations

import csv
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sftkit.evaluation.results.means import Mean, Values, difference, mean
from sftkit.evaluation.results.panels import Point, ScorePanel, panels
from sftkit.evaluation.results.table import read_scores
from sftkit.inspecting.overlap import overlap
from sftkit.storage.documents import read_object

HERE = Path(__file__).parent
OVERLAPS = HERE / "overlaps.csv"


def main(arguments: list[str]) -> None:
    """Print all tables; with a sweep's folder, write the overlaps of its language SFTs first."""
    if arguments:
        collect(Path(arguments[0]))
    for title, name, answer in (
        ("Table 2: unseen languages, density 10 %", "laboratory", _of_tasks(compared)),
        ("The same in worlds 20 to 29 alone", "laboratory", _of_tasks(_second_ten(compared))),
        ("The same, taggers of 60 steps, ten worlds", "laboratory-short", _of_tasks(compared)),
        ("Figure 2: sizes of task SFTs", "laboratory-sizes", _of_tasks(sizes)),
        ("The same in worlds 20 to 29 alone", "laboratory-sizes", _of_tasks(_second_ten(sizes))),
        ("Figure 3: density of the language's SFT x density of the task's", "laboratory-density", _of_tasks(densities)),
        ("Other ways to fine-tune, one unseen language a world", "laboratory-methods", _of_tasks(compared)),
        ("L1 off, layer norms that move, one unseen language a world", "laboratory-settings", _of_tasks(compared)),
        ("Another criterion, another rewinding", "laboratory-criteria", _of_tasks(compared)),
        ("The output matrix tied to the input embedding, one unseen language a world", "tied", tied),
        ("Real text, a base of 5 M parameters: English to Maltese, three seeds", "real-text", _of_tasks(by_language)),
        ("Real text, a base of 31 M parameters, three seeds", "real", _of_tasks(by_language)),
        ("The same base, shorter runs of one seed: English to Maltese", "real-unseen", one_run),
        ("Spanish to Galician", "real-seen", one_run),
        (
            "Table 3: what language SFTs gain in languages that the base has seen, and in others",
            "laboratory-seen",
            gains,
        ),
        ("MAD-X beside the run with taggers of 60 steps", "laboratory-madx-short", beside),
        ("MAD-X beside a sum of SFTs: seconds of a forward pass, medians of pairs", "madx-speed", as_it_is),
        ("Figure 5: overlap of language SFTs, and how related the languages are", "overlaps", related),
    ):
        if (path := HERE / f"{name}.csv").is_file():
            print(f"\n## {title}\n")
            answer(path)


def as_it_is(path: Path) -> None:
    """The file."""
    print(path.read_text(encoding="utf-8"), end="")


def one_run(path: Path) -> None:
    """Scores of one seed, with their intervals over test sentences."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            value, low, high = (100 * float(row[each]) for each in ("value", "low", "high"))
            print(f"{row['language']} {row['method']:<10} {row['metric']} {value:.1f} [{low:.1f}, {high:.1f}]")


def _of_tasks(answer: Callable[[ScorePanel], None]) -> Callable[[Path], None]:
    """What answers for one task, for all that a file has."""

    def answered(path: Path) -> None:
        for panel in panels(read_scores(path), None, None):
            answer(panel)

    return answered


def _second_ten(answer: Callable[[ScorePanel], None]) -> Callable[[ScorePanel], None]:
    """What answers from the worlds that came after a choice alone."""

    def answered(panel: ScorePanel) -> None:
        points = [
            replace(point, values={unit: value for unit, value in point.values.items() if int(unit[1]) >= 20})
            for point in panel.points
        ]
        answer(replace(panel, points=tuple(points)))

    return answered


def compared(panel: ScorePanel) -> None:
    """Every method, and each less the next ones."""
    points = panel.best()
    units = panel.common(points)
    for point in points:
        print(f"{panel.title:<16} {point.method:<14} {told(mean(point.values, units))}")
    for at, first in enumerate(points):
        for second in points[at + 1 :]:
            print(f"{panel.title:<16} {first.method} - {second.method}: {less(first.values, second.values)}")


def by_language(panel: ScorePanel) -> None:
    """The same, of each language and of their mean."""
    for language in (*panel.languages, *([""] if len(panel.languages) > 1 else [])):
        points = [replace(point, values=_only(point.values, language)) for point in panel.points]
        print(f"{language or 'all languages'}:")
        compared(replace(panel, points=tuple(points)))


def beside(theirs: Path) -> None:
    """Another table's methods, and Table 2's less each of them, and what each gains by the language's adapter."""
    ours = theirs.with_name(theirs.name.replace("-madx", ""))
    mine, others = (panels(read_scores(path), None, None) for path in (ours, theirs))
    for own, other in ((own, other) for other in others for own in mine if own.title == other.title):
        table_2 = [point for point in own.points if point.method in ("lottery", "random", "task-only")]
        for point in other.points:
            size = f"K {point.k:,.0f}"
            print(f"{own.title:<16} {point.method:<24} {size:<9} {told(mean(point.values, point.values))}")
            for each in table_2:
                print(f"{own.title:<16} {each.method} - {point.method}: {less(each.values, point.values)}")
        for at, first in enumerate(other.points):
            for second in other.points[at + 1 :]:
                print(f"{own.title:<16} {first.method} - {second.method}: {less(first.values, second.values)}")


def sizes(panel: ScorePanel) -> None:
    """Every method at every density, and the largest less the smallest."""
    for method in panel.methods:
        points = sorted(panel.of(method), key=lambda point: point.setting.density or 0)
        for point in points:
            found = told(mean(point.values, point.values))
            size = f"{100 * (point.setting.density or 0):>5.1f} %  K {point.k:>9,.0f}"
            print(f"{panel.title:<16} {method:<10} {size}  {found}")
        for point in points[:-1]:
            found = less(points[-1].values, point.values)
            print(f"{panel.title:<16} {method}: largest - {100 * (point.setting.density or 0):.1f} %: {found}")
    by_name = {(point.method, point.setting.density): point for point in panel.points}
    for first, second in (("lottery", "random"), ("lottery", "task-only"), ("random", "task-only")):
        for (method, density), point in by_name.items():
            if method == first:
                found = less(point.values, by_name[second, density].values)
                print(f"{panel.title:<16} {first} - {second} at {100 * (density or 0):.1f} %: {found}")


def densities(panel: ScorePanel) -> None:
    """The mean of every two densities, and each less the best of those of 30 % and less."""
    found = {(one.setting.language_density or 0, one.setting.density or 0): one for one in panel.points}
    best = max((pair for pair in found if max(pair) <= 0.3), key=lambda pair: middle(found[pair]))
    print("language's, task's")
    for pair, point in sorted(found.items()):
        apart = "the best" if pair == best else f"- the best: {less(point.values, found[best].values)}"
        named = f"{100 * pair[0]:>5.0f} % {100 * pair[1]:>5.0f} %"
        print(f"{panel.title:<16} {named}  {told(mean(point.values, point.values))}  {apart}")
    for at, whose in enumerate(("language's", "task's")):
        steps = sorted({pair[at] for pair in found})
        over = {step: [point.values for pair, point in found.items() if pair[at] == step] for step in steps}
        averages = {step: _averaged(each) for step, each in over.items()}
        for less_dense, denser in itertools.pairwise(steps):
            named = f"{whose} {100 * denser:.0f} % - {100 * less_dense:.0f} %, over all of the other's"
            print(f"{panel.title:<16} {named}: {less(averages[denser], averages[less_dense])}")


def gains(seen: Path) -> None:
    """Lottery less the task alone, in both groups, and the one gain less the other."""
    unseen = HERE / "laboratory-short.csv"
    for other, one in zip(*(panels(read_scores(path), None, None) for path in (unseen, seen)), strict=True):
        made = []
        for group, panel in (("unseen", other), ("seen", one)):
            by_name = {point.method: point for point in panel.best()}
            alone, lottery = by_name["task-only"], by_name["lottery"]
            print(f"{panel.title:<16} {group}: task alone {told(mean(alone.values, alone.values))}, "
                  f"gain {less(lottery.values, alone.values)}")  # fmt: skip
            made.append(of_seeds({unit: lottery.values[unit] - alone.values[unit] for unit in alone.values}))
        print(f"{other.title:<16} gain in unseen - gain in seen: {less(*made)}")


def tied(path: Path) -> None:
    """Scores, and the share of K that is in the word embeddings, with the matrix tied and parted."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for column in ("accuracy", "words"):
        one, other = (
            {(row["language"], row["seed"]): float(row[column]) for row in rows if row["method"] == method}
            for method in ("tied", "lottery")
        )
        print(f"{column:<9} tied {told(mean(one, one))}, parted {told(mean(other, other))}, less {less(one, other)}")


def related(path: Path) -> None:
    """Overlap of close and of distant languages; r of overlap and relatedness in each world, and its mean."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    worlds = sorted({row["seed"] for row in rows})
    close, far, correlation = (dict[tuple[str, str], float]() for _ in range(3))
    for seed in worlds:
        of = [(float(row["relatedness"]), float(row["share"])) for row in rows if row["seed"] == seed]
        near, distant = ([share for kin, share in of if (kin > 0) == wanted] for wanted in (True, False))
        if near and distant:
            close[("", seed)], far[("", seed)] = float(np.mean(near)), float(np.mean(distant))
        if np.ptp([kin for kin, _ in of]) > 0:
            correlation[("", seed)] = float(np.corrcoef(np.array(of).T)[0, 1])
    chance = 100 * float(np.mean([float(row["by_module"]) for row in rows]))
    print(f"{len(rows)} pairs in {len(worlds)} worlds; by chance 10 %, within each parameter {chance:.1f} %")
    for kin in sorted({float(row["relatedness"]) for row in rows}):
        shares = [float(row["share"]) for row in rows if float(row["relatedness"]) == kin]
        print(f"relatedness {kin:<5} {len(shares):>3} pairs  {100 * np.mean(shares):.1f}")
    print(f"related (> 0)   {told(mean(close, close))}")
    print(f"unrelated (0)   {told(mean(far, far))}")
    print(f"difference      {less(close, far)}")
    found = mean(correlation, correlation)
    above = sum(value > 0 for value in correlation.values())
    told_of = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}], p {found.p:.2g}; above 0 in {above}"
    print(f"r, mean of the worlds' {told_of}")


def collect(place: Path) -> None:
    """Write the overlap and the relatedness of every two languages that have an SFT at 10 %, world by world."""
    with OVERLAPS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("seed", "first", "second", "relatedness", "share", "by_module", "density"))
        for world in sorted(place.glob("worlds/*.json")):
            writer.writerows(_pairs(place, read_object(world)))


def _pairs(place: Path, world: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    seed, names, kin = world["settings"]["seed"], world["languages"], world["relatedness"]
    files = {name: sorted(place.glob(f"sft/{name}-lottery-{seed}-*/{name}-0.1.sft")) for name in names}
    there = {name: found[0] for name, found in files.items() if found}
    report = overlap(list(there.values()), "share")
    order = list(there)
    for at, first in enumerate(order):
        for other in range(at + 1, len(order)):
            second = order[other]
            related_by = kin[names.index(first)][names.index(second)]
            share, by_module = report.whole.matrix[at, other], report.whole.expected[at, other]
            yield seed, first, second, related_by, f"{share:.4f}", f"{by_module:.4f}", 0.1


def middle(point: Point) -> float:
    """The mean of all its scores."""
    return mean(point.values, point.values).value


def _only(values: Values, language: str) -> dict[tuple[str, str], float]:
    """Those of a language; of all if none is named."""
    return {unit: value for unit, value in values.items() if language in ("", unit[0])}


def _averaged(each: Sequence[Values]) -> Values:
    return {unit: float(np.mean([one[unit] for one in each])) for unit in each[0]}


def of_seeds(values: Values) -> Values:
    """The mean over languages of every seed."""
    seeds = dict.fromkeys(seed for _, seed in values)
    return {("", seed): float(np.mean([value for unit, value in values.items() if unit[1] == seed])) for seed in seeds}


def less(first: Values, second: Values) -> str:
    """The paired difference, in points."""
    units = [unit for unit in first if unit in second]
    found = difference(first, second, units)
    return f"{told(found, sign='+')}, p {found.p:.2g} ({found.count} {found.over})"


def told(found: Mean, sign: str = "") -> str:
    """Per cent, with the interval."""
    form: Callable[[float | None], str] = lambda value: "?" if value is None else f"{100 * value:{sign}.1f}"  # noqa: E731
    return f"{form(found.value)} [{form(found.low)}, {form(found.high)}]"


if __name__ == "__main__":
    main(sys.argv[1:])
