"""The picture of learning: several runs in one panel, with a scale in common, from the start as point 0."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftkit.errors import SettingsError
from sftkit.inspecting.curves import PHASES
from sftkit.inspecting.pictures.colours import INK
from sftkit.inspecting.pictures.data import Panel, curve_panels
from sftkit.inspecting.pictures.style import label, labels, picture, series, whole_steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

#: Phase -> how its lines are drawn; runs differ in colour and in marks.
_LOOKS: dict[str, dict[str, Any]] = {
    "phase1": {"linestyle": "--", "linewidth": 1.0, "fillstyle": "none"},
    "phase2": {"linestyle": "-", "linewidth": 1.4, "fillstyle": "full"},
}
_RING: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 9, "fillstyle": "none"}
#: Marks on a line.
_MARKED = 15


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
    runs = {line.run: line.number for panel in panels for line in panel.lines}
    across = min(5, 2 * len(panels))
    height = 3.4 + 0.18 * ((len(runs) + len(_LOOKS)) // across)
    with picture(path, 4.8 * len(panels), height, overwrite=overwrite) as figure:
        for ax, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw_panel(ax, panel)
        handles = _legend(dict(zip(labels(list(runs)), runs.values(), strict=True)), panels)
        figure.legend(handles=handles, loc="outside upper left", ncols=across)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    """Lines for each run and phase, and a ring around the step that was kept."""
    for line in panel.lines:
        look = series(line.number)
        steps, values = list(line.points), list(line.points.values())
        axes.plot(
            steps, values, color=look.colour, marker=look.marker, markersize=3.5,
            markevery=-(-len(steps) // _MARKED), **_LOOKS[line.phase],
        )  # fmt: skip
        if line.kept is not None:
            axes.plot(line.kept, line.points[line.kept], color=look.colour, **_RING)
    axes.set_title(label(panel.title, 60))
    last = max(1, *(max(line.points) for line in panel.lines))
    axes.set_xlim(-0.015 * last, 1.02 * last)
    axes.grid(visible=True)
    whole_steps(axes)


def _legend(runs: Mapping[str, int], panels: Sequence[Panel]) -> list[Any]:
    """A mark for each run in its colour, a line for each phase, and the ring, of what is there."""
    from matplotlib.lines import Line2D

    lines = [line for panel in panels for line in panel.lines]
    looks = {name: series(number) for name, number in runs.items()}
    made = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in looks.items()]
    phases = [phase for phase in _LOOKS if any(line.phase == phase for line in lines)]
    made += [Line2D([], [], color=INK, label=PHASES[phase], **_LOOKS[phase]) for phase in phases]
    if any(line.kept is not None for line in lines):
        made.append(Line2D([], [], color=INK, label="the step that was kept", **_RING))
    return made
