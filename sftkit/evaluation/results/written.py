"""The paper's tables of scores, as Markdown and as LaTeX: methods on average (Table 2), and by language (Table 5).

Below each: the paired differences of every two methods, with intervals and p (the paired t test), for the tables alone
do not say what is noise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from sftkit.errors import SettingsError
from sftkit.evaluation.results.figures import language_numbers, mean_name
from sftkit.evaluation.results.means import difference
from sftkit.evaluation.results.panels import ScorePanel
from sftkit.evaluation.results.table import UNBOUNDED
from sftkit.shown import shown_on_a_line
from sftkit.storage.atomic import atomic_file, check_output

FORMATS = (".md", ".tex")
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}


@dataclass(frozen=True)
class _Table:
    """Cells as text, the first row the heading; which of them are best; what stands below."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]]
    below: tuple[str, ...]
    mean: bool = False  # whether the last row is the others' mean


def check_tables(path: Path, *, overwrite: bool) -> None:
    """Refuse early tables that could not be written at the end.

    Raises:
        SettingsError: if the file's ending is not one of :data:`FORMATS`.
        OutputExistsError: if it exists and may not be replaced.
    """
    if path.suffix.lower() not in FORMATS:
        raise SettingsError(f"{path}: the name of tables ends in {', '.join(FORMATS)}.")
    check_output(path, overwrite=overwrite, directory=False)


def write_tables(panels: Sequence[ScorePanel], path: Path, *, overwrite: bool = False) -> list[dict[str, Any]]:
    """Write the tables of some panels in the format that the name's ending says.

    Returns:
        Of each panel what stands in its table, and under ``comparisons`` what stands below it.
    """
    check_tables(path, overwrite=overwrite)
    written = [language_numbers(panel) | {"comparisons": _comparisons(panel)} for panel in panels]
    tables = [_summary(panels, written), *(_by_language(*each) for each in zip(panels, written, strict=True))]
    form = _latex if path.suffix.lower() == ".tex" else _markdown
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text("\n".join(map(form, tables)), encoding="utf-8")
    return written


def _comparisons(panel: ScorePanel) -> list[dict[str, Any]]:
    """Every two methods at their best settings."""
    best = panel.best()
    units = panel.common(best)
    made = []
    for first, second in combinations(best, 2):
        found = difference(first.values, second.values, units)
        made.append(
            {"first": first.method, "second": second.method, "difference": found.value, "low": found.low,
             "high": found.high, "p": found.p, "over": found.over, "count": found.count}
        )  # fmt: skip
    return made


def _summary(panels: Sequence[ScorePanel], written: Sequence[dict[str, Any]]) -> _Table:
    methods = list(dict.fromkeys(method for panel in panels for method in panel.methods))
    rows, best = [("", *(panel.title for panel in panels))], set()
    found = [{each["method"]: each for each in numbers["methods"]} for numbers in written]
    for method in methods:
        cells = (_average(panel, each.get(method)) for panel, each in zip(panels, found, strict=True))
        rows.append((method, *cells))
    for column, (panel, each) in enumerate(zip(panels, found, strict=True), start=1):
        values = {name: one["mean"] for name, one in each.items()}
        best |= {(methods.index(name) + 1, column) for name in _best(values, panel)}
    known = [each for numbers in written for each in numbers["methods"] if each["low"] is not None]
    over = " or ".join(sorted({f"{each['count']} {each['over']}" for each in known}))  # two or more
    below = f"Means over languages{f'; 95 % intervals over {over}' if over else ''}."
    chosen = "In brackets the method's density: the one whose mean is best here, as the paper chooses."
    dense = any(each["density"] is not None for numbers in written for each in numbers["methods"])
    return _Table("Averages", tuple(rows), frozenset(best), (below, *([chosen] if dense else [])))


def _average(panel: ScorePanel, each: dict[str, Any] | None) -> str:
    if each is None:
        return "–"
    text = _number(each["mean"], panel)
    if each["low"] is not None:
        text += f" [{_number(each['low'], panel)}, {_number(each['high'], panel)}]"
    return text if each["density"] is None else f"{text} ({100 * each['density']:.3g} %)"


def _by_language(panel: ScorePanel, numbers: dict[str, Any]) -> _Table:
    methods = numbers["methods"]
    rows, best = [("", *(each["method"] for each in methods))], set()
    names = (*panel.languages, mean_name(panel.languages))
    for at, name in enumerate(names):
        found = [each["languages"].get(name) if at < len(panel.languages) else each for each in methods]
        rows.append((name, *("–" if one is None else _number(one["mean"], panel) for one in found)))
        values = {str(column): one["mean"] for column, one in enumerate(found, start=1) if one is not None}
        best |= {(len(rows) - 1, int(column)) for column in _best(values, panel)}
    return _Table(panel.title, tuple(rows), frozenset(best), _told(panel, numbers), mean=True)


def _best(values: dict[str, float], panel: ScorePanel) -> list[str]:
    """The names of the best values as they are shown; of one alone there is no best."""
    if len(values) < 2:
        return []
    shown = {name: float(_number(value, panel)) for name, value in values.items()}
    top = min(shown.values()) if panel.metric in UNBOUNDED else max(shown.values())
    return [name for name, value in shown.items() if value == top]


def _told(panel: ScorePanel, numbers: dict[str, Any]) -> tuple[str, ...]:
    """A line a pair, and the notes."""
    lines = []
    for each in numbers["comparisons"]:
        text = f"{each['first']} − {each['second']}: {_signed(each['difference'], panel)}"
        if each["p"] is not None:
            p = f"{each['p']:.2g}" if each["p"] >= 0.001 else "< 0.001"
            ends = f"[{_signed(each['low'], panel)}, {_signed(each['high'], panel)}]"
            text += f" {ends}, p {p} ({each['count']} {each['over']})"
        lines.append(text)
    return (*lines, *panel.notes)


def _number(value: float, panel: ScorePanel) -> str:
    return f"{panel.scale * value:.1f}" if panel.scale == 100 else f"{value:.3f}"


def _signed(value: float, panel: ScorePanel) -> str:
    digits = 1 if panel.scale == 100 else 3
    return f"{round(panel.scale * value, digits) + 0.0:+.{digits}f}"  # 0.0 has no sign of its own


def _markdown(table: _Table) -> str:
    def cells(at: int, row: Sequence[str]) -> str:
        texts = [_escaped(text) for text in row]
        bold = (f"**{text}**" if (at, column) in table.best else text for column, text in enumerate(texts))
        return f"| {' | '.join(bold)} |"

    lines = [cells(at, row) for at, row in enumerate(table.rows)]
    lines.insert(1, "|---" + "|---:" * (len(table.rows[0]) - 1) + "|")
    below = [f"- {_escaped(text)}" for text in table.below]
    return "\n".join([f"## {_escaped(table.title)}", "", *lines, "", *below, ""])


def _escaped(text: str) -> str:
    return re.sub(r"([|\\`*_<>])", r"\\\1", shown_on_a_line(text))


def _latex(table: _Table) -> str:
    def cells(at: int, row: Sequence[str]) -> str:
        texts = [_in_latex(text) for text in row]
        bold = (rf"\textbf{{{text}}}" if (at, column) in table.best else text for column, text in enumerate(texts))
        return " & ".join(bold) + r" \\"

    rows = [cells(at, row) for at, row in enumerate(table.rows)]
    if table.mean:
        rows.insert(-1, r"\midrule")
    caption = " ".join([table.title + ".", *(text.rstrip(".") + "." for text in table.below)])
    columns = "l" + "r" * (len(table.rows[0]) - 1)
    return "\n".join(
        [r"% \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{columns}}}", r"\toprule",
         rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}", rf"\caption{{{_in_latex(caption)}}}",
         r"\end{table}", ""]
    )  # fmt: skip


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in shown_on_a_line(text)).replace("−", "$-$")
