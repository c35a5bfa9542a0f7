"""The table that ``sftkit evaluate --csv`` writes, a row a language and a column a metric, as rows of one score each.

Its means over languages are left out: whoever draws makes their own, with their own intervals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

#: What the table begins with; task and system are there where there are several.
DATA, EXAMPLES, TASK, SYSTEM = "data", "examples", "task", "system"
#: How a system is called that has no name, the one that it was compared with, and the row of the means.
OWN, AGAINST, AVERAGE = "as given", "against", "average"
_ABOUT = ("_low", "_high", "_sd", "_against", "_p")


def is_wide(names: Collection[str]) -> bool:
    """Whether a table with these columns is such a one."""
    return DATA in names and EXAMPLES in names and "value" not in names


def metrics_of(names: Sequence[str]) -> list[str]:
    """The columns that are metrics, not what is said about one."""
    others = {DATA, EXAMPLES, TASK, SYSTEM, "seeds"}
    about = {f"{name}{ending}" for name in names for ending in _ABOUT}
    return [name for name in names if name not in others and name not in about]


def scores_in(row: Mapping[str, str], metrics: Sequence[str], columns: Sequence[str]) -> Iterator[
    dict[str, str]
]:  # fmt: skip
    """The scores of a row, with the columns of a table of scores; those that are not known are empty.

    Args:
        row: of such a table.
        metrics: its columns that are.
        columns: of a table of scores.
    """
    if row[DATA] == AVERAGE:
        return
    known = {"language": row[DATA], "task": row.get(TASK) or "", "method": row.get(SYSTEM) or OWN}
    for name in metrics:
        if not row[name].strip():  # of another task
            continue
        scored = known | {"metric": name, "examples": row[EXAMPLES]}
        empty = dict.fromkeys(columns, "")
        interval = {end: row.get(f"{name}_{end}", "") for end in ("low", "high")}
        yield empty | scored | {"value": row[name]} | interval
        if row.get(f"{name}_against", "").strip():
            yield empty | scored | {"method": AGAINST, "value": row[f"{name}_against"]}
