"""The picture of learning: several runs in one panel, with a scale in common, from the start as point 0."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError
from sftkit.inspecting.curves import PHASES
from sftkit.inspecting.pictures.data import Line, Panel, curve_panels
from sftkit.inspecting.pictures.style import Picture, picture, series, whole_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

#: Phase -> how its lines are drawn; runs differ in colour and in marks.
_LOOKS: dict[str, dict[str, Any]] = {
    "phase1": {"linestyle": "--", "linewidth": 1.0, "fillstyle": "none"},
    "phase2": {"linestyle": "-", "linewidth": 1.4, "fillstyle": "full"},
}
#: Points up to which each has its mark.
_MARKED = 40


def learning_curves(records: Mapping[str, Mapping[str, Any]], path: Path, *, overwrite: bool = False) -> None:
    """Draw what training records say of their phases: the metric on held-out data, and the training loss.

    Args:
        records: name -> ``training`` of an SFT's metadata; all are drawn into the same panels.
        path: where.
        overwrite: replace an existing picture.

    Raises:
        SettingsError, OutputExistsError: as :func:`~sftkit.inspecting.pictures.style.check_picture`; a SettingsError,
            too, if no record has curves.
    """
    panels = curve_panels(records)
    if not panels:
        raise SettingsError(f"{', '.join(records)}: no learning curves are recorded.")
    runs = dict.fromkeys(line.run for panel in panels for line in panel.lines)
    height = 3.4 + 0.18 * (len(runs) // 3)
    with picture(path, 4.8 * len(panels), height, overwrite=overwrite) as made:
        labels = dict(zip(runs, made.labels(list(runs)), strict=True))
        handles: dict[str, Any] = {}
        for ax, panel in zip(made.figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            handles |= _draw_panel(made, ax, panel, labels)
        made.figure.legend(handles.values(), handles.keys(), loc="outside lower left", ncols=min(4, 2 * len(panels)))


def _draw_panel(made: Picture, axes: Axes, panel: Panel, labels: Mapping[str, str]) -> dict[str, Any]:
    """Lines for each run and phase, a ring around the step that was kept; returns what the legend says of them."""
    handles = {}
    for line in panel.lines:
        look = series(line.number)
        steps, values = list(line.points), list(line.points.values())
        (drawn,) = axes.plot(
            steps, values, color=look.colour, marker=look.marker, markersize=3,
            markevery=max(1, len(steps) // _MARKED), **_LOOKS[line.phase],
        )  # fmt: skip
        handles[_called(line, labels)] = drawn
        if line.kept is not None:
            (ring,) = axes.plot(
                line.kept, line.points[line.kept], "o", markersize=9, fillstyle="none", color=look.colour,
            )  # fmt: skip
            handles["ringed: the step that was kept"] = ring
    axes.set_title(made.label(panel.title, 60))
    axes.set_xlim(left=0)
    axes.margins(x=0.02)
    axes.grid(visible=True)
    whole_steps(axes)
    return handles


def _called(line: Line, labels: Mapping[str, str]) -> str:
    # the phase first: a name that is read from right to left would turn around what follows it
    return f"{PHASES[line.phase]}: {labels[line.run]}"
