"""A table of scores as ``sftkit sweep`` writes it: a CSV file, a row a score.

Columns beside those in :data:`COLUMNS` are axes or remarks of the sweep's own: rows can be chosen by them. Two scores
of one thing that only such columns tell apart are never averaged in silence.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sftkit.errors import DataError, SettingsError
from sftkit.evaluation.results.wide import is_wide, metrics_of, scores_in
from sftkit.shown import brief, meant

#: What every table of scores has. density, k and seconds are the task's SFT's; a cell of them may be empty.
COLUMNS = ("language", "task", "method", "density", "seed", "metric", "value", "low", "high", "seconds", "k")
#: What more may set a point apart: the density of the language's SFT, and a variant of a method.
LANGUAGE_DENSITY, VARIANT = "language_density", "variant"
#: Metrics that are worse the larger they are, and are no shares.
UNBOUNDED = ("loss", "perplexity")
_MAY_BE_EMPTY = ("density", "low", "high", "seconds", "k")
_EXPECTED = "Scores are read from what sftkit sweep writes, results.csv, or sftkit evaluate --csv."
#: Columns that tables of older sweeps lack, and what to do for them; values of a column that are listed.
_LATER = ("base", "language_k", "language_seconds", "examples")
_LATELY = " What sftkit sweep writes has it: of an older one, the same sweep again; what is done stays."
_LISTED = 12


@dataclass(frozen=True)
class Setting:
    """How dense the SFTs of a score are: shares of the backbone, None where there is none or nobody says."""

    density: float | None
    language_density: float | None


@dataclass(frozen=True)
class ScoreRow:
    """A row.

    Attributes:
        language, task, seed, metric: as the table has them; task is "" in a table of one that does not name it.
        method: with its variant, where there is one.
        setting: how dense.
        value: of the metric, shares from 0 to 1.
        interval: 95 %, over examples; None if there is none.
        k: entries of the task's SFT.
    """

    language: str
    task: str
    method: str
    setting: Setting
    seed: str
    metric: str
    value: float
    interval: tuple[float, float] | None
    k: float | None


def read_scores(path: Path, where: Sequence[tuple[str, str]] = ()) -> list[ScoreRow]:
    """The scores of a table, in its order.

    Args:
        path: the CSV file.
        where: (column, value): only the rows that have it; of several values of one column, any. Numbers are compared
            as numbers.

    Raises:
        DataError: if it is no such table, a cell is no number, or two scores of one thing differ.
        SettingsError: if a column of ``where`` is not there, or no row is left.
    """
    rows = _chosen(path, _rows(path), where)
    scores: dict[tuple[object, ...], tuple[ScoreRow, dict[str, str]]] = {}
    for line, row in rows:
        score = _score(path, line, row)
        key = (score.language, score.task, score.method, score.setting, score.seed, score.metric)
        if key in scores and scores[key][0] != score:
            raise _ambiguous(path, scores[key][1], row)
        scores[key] = score, row
    return [score for score, _ in scores.values()]


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            names = reader.fieldnames or []
            _check_columns(path, names)
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise DataError(f"{path}: the column {brief(twice[0], 40)} is there twice.")
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        if path.suffix == ".sft":
            raise DataError(f"{path}: an SFT, not a table of scores. SFTs are drawn by --figure overlap.") from None
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): is it a CSV file?") from None
    except csv.Error as error:
        raise DataError(f"{path}: no CSV ({error}).") from None
    for line, row in rows:
        if row.get(""):
            raise DataError(f"{path}, line {line}: more cells than columns.")
        if None in row.values():
            raise DataError(f"{path}, line {line}: fewer cells than columns. Is the file cut? Make it once more.")
    if is_wide(names):
        metrics = metrics_of(names)
        rows = [(line, score) for line, row in rows for score in scores_in(row, metrics, COLUMNS)]
    if not rows:
        raise DataError(f"{path} holds no scores yet.")
    return rows


def _check_columns(path: Path, names: Sequence[str]) -> None:
    """See that it is a table of scores, by its first line."""
    missing = [name for name in COLUMNS if name not in names]
    if not missing or is_wide(names):
        return
    if not names:
        raise DataError(f"{path}: the file is empty. {_EXPECTED}")
    if len(missing) > len(COLUMNS) // 2:
        raise DataError(f"{path}: no table of scores, by its first line. {_EXPECTED}")
    raise DataError(f"{path}: no column {', '.join(missing)}. {_EXPECTED}")


def _chosen(
    path: Path, rows: list[tuple[int, dict[str, str]]], where: Sequence[tuple[str, str]]
) -> list[tuple[int, dict[str, str]]]:
    wanted: dict[str, list[str]] = {}
    for column, value in where:
        if column not in rows[0][1]:
            names = list(rows[0][1])
            told = _LATELY if column in (LANGUAGE_DENSITY, *_LATER) else meant(column, names)
            raise SettingsError(f"--where {column}={value}: {path} has no such column, but {', '.join(names)}.{told}")
        wanted.setdefault(column, []).append(value)
    for column, values in wanted.items():
        left = [(line, row) for line, row in rows if any(_alike(row[column], value) for value in values)]
        if not left:
            there = sorted({brief(row[column], 40) for _, row in rows})
            told = "".join(meant(value, there) for value in values[:1])
            listed = ", ".join(there[:_LISTED]) + (", …" if len(there) > _LISTED else "")
            raise SettingsError(f"{path}: no {column} is {' or '.join(values)}; there is {listed}.{told}")
        rows = left
    return rows


def _alike(cell: str, value: str) -> bool:
    try:
        return float(cell) == float(value)
    except ValueError:
        return cell == value


def _score(path: Path, line: int, row: dict[str, str]) -> ScoreRow:
    def number(name: str) -> float | None:
        text = row.get(name, "").strip()
        if not text and (name in _MAY_BE_EMPTY or name == LANGUAGE_DENSITY):
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"{path}, line {line}: {name} is {brief(repr(text), 40)}, and has to be a number.")
        return value

    low, high, variant = number("low"), number("high"), row.get(VARIANT, "").strip()
    value = number("value")
    assert value is not None
    if abs(value) > 1 and row["metric"] not in UNBOUNDED:
        raise DataError(
            f"{path}, line {line}: {brief(row['metric'], 40)} is {value:g}, and has to be a share from 0 to 1."
        )
    return ScoreRow(
        row["language"], row["task"], f"{row['method']} ({variant})" if variant else row["method"],
        Setting(number("density"), number(LANGUAGE_DENSITY)), row["seed"], row["metric"], value,
        None if low is None or high is None else (low, high), number("k"),
    )  # fmt: skip


def _ambiguous(path: Path, first: dict[str, str], second: dict[str, str]) -> DataError:
    known = {*COLUMNS, LANGUAGE_DENSITY, VARIANT}
    apart = [name for name in first if name not in known and first[name] != second[name]]
    what = ", ".join(f"{name} {brief(first[name], 30)}" for name in ("language", "task", "method", "seed", "metric"))
    if not apart:
        return DataError(f"{path}: two different scores of {what}.")
    chosen = f"--where {apart[0]}={first[apart[0]]}"
    return DataError(f"{path}: several scores of {what}, which differ in {', '.join(apart)}. Choose with {chosen}.")
