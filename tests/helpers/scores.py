"""Tables of scores as a sweep writes them, made up."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

COLUMNS = (
    "language", "task", "method", "density", "seed", "metric", "value", "low", "high", "seconds", "k", "base",
    "language_density",
)  # fmt: skip
PLAIN = {
    "language": "mt", "task": "pos", "method": "lottery", "density": "0.08", "seed": "0", "metric": "accuracy",
    "value": "0.5", "low": "0.45", "high": "0.55", "seconds": "3.5", "k": "800", "base": "mbert",
    "language_density": "0.04",
}  # fmt: skip


def row(**cells: object) -> dict[str, str]:
    """A row that differs from the plain one in some cells."""
    return PLAIN | {name: str(cell) for name, cell in cells.items()}


def write(path: Path, rows: Iterable[Mapping[str, str]], columns: Iterable[str] = COLUMNS) -> Path:
    """A table with these rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def sweep(languages: int = 3, seeds: int = 3) -> list[dict[str, str]]:
    """Two tasks, three methods, three sizes: the lottery gains 5 points over random 10 over the task."""
    return [
        row(
            language=f"lang{language}", task=task, method=method, density=density, seed=seed, metric=metric,
            value=round(0.5 + gain + density + language % 10 / 50 + (7 * language + 3 * seed + at) % 5 / 1000, 4),
            k=round(density * 10_000), language_density="" if method == "task-only" else 0.04,
        )
        for task, metrics in (("pos", ("accuracy",)), ("dep", ("uas", "las")))
        for metric in metrics
        for at, (method, gain) in enumerate((("lottery", 0.15), ("random", 0.1), ("task-only", 0.0)))
        for density in (0.01, 0.02, 0.04)
        for language in range(languages)
        for seed in range(seeds)
    ]  # fmt: skip


def grid() -> list[dict[str, str]]:
    """One task in densities of both SFTs."""
    return [
        row(language=language, density=density, language_density=other, seed=seed, k=round(density * 1000),
            value=0.7 - 0.2 * max(0, density + other - 0.6))
        for density in (0.05, 0.3, 1)
        for other in (0.1, 0.3)
        for language in ("mt", "wo")
        for seed in (0, 1)
    ]  # fmt: skip
