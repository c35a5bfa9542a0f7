"""Pictures in the terminal: ``--plot -``."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from sftkit.cli.show import blocks, render
from sftkit.errors import SettingsError
from sftkit.inspecting.pictures.data import Bars, HeatMap
from sftkit.inspecting.pictures.style import columns
from sftkit.inspecting.summary import Histogram
from tests.cli.run import sftkit
from tests.helpers.build import save_sft


@pytest.fixture(scope="module")
def sfts(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sfts")
    names = ("mt", "中文", "العربية")
    return [save_sft(folder / f"{name}.sft", pico_base, seed=seed, k=2000) for seed, name in enumerate(names)]


def heat(rows: int, count: int, *, beside: bool = False) -> HeatMap:
    values = np.linspace(0, 10, rows * count).reshape(rows, count)
    return HeatMap(
        "numbers", tuple(f"row {at}" for at in range(rows)), tuple(f"column {at}" for at in range(count)), values, 0.0,
        10.0, form="{:.1f}", beside=values / 2 if beside else None,
    )  # fmt: skip


def screen(
    monkeypatch: pytest.MonkeyPatch, width: int = 80, *, colours: bool = True, encoding: str = "utf-8"
) -> io.TextIOWrapper:
    """A terminal of a width; returns what is written to it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", write_through=True)
    console = Console(file=stream, width=width, force_terminal=True, color_system="truecolor", no_color=not colours)
    monkeypatch.setattr(render, "stdout", lambda: console)
    return stream


def written(stream: io.TextIOWrapper) -> str:
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode(stream.encoding)


def test_overlap_is_shown_after_the_table_without_codes_where_there_is_no_terminal(sfts: list[Path]) -> None:
    done = sftkit("overlap", *sfts, "--plot", "-")
    assert (done.status, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    picture = done.stdout[done.stdout.rindex("share, %") :].splitlines()
    assert "in brackets: expected at random" in picture[-1]
    assert all(any(line.startswith(name) for line in picture) for name in ("mt", "中文", "العربية"))


def test_inspect_shows_density_and_magnitudes(sfts: list[Path]) -> None:
    done = sftkit("inspect", *sfts, "--plot", "-")
    assert done.status == 0
    for expected in ("mt: density, %", "中文: density, %", "ff out", "entries by |φ|", "highest: "):
        assert expected in done.stdout


@pytest.mark.parametrize("command", ["overlap", "inspect"])
def test_a_picture_in_the_terminal_and_a_document_there_are_refused(command: str, sfts: list[Path]) -> None:
    refused = sftkit(command, *sfts, "--plot", "-", "--json")
    assert (refused.status, refused.stdout) == (2, "")
    assert "name a file" in refused.stderr


@pytest.mark.parametrize("command", ["overlap", "inspect"])
def test_an_ending_that_is_no_pictures_is_refused_before_any_file_is_read(command: str) -> None:
    refused = sftkit(command, "missing-1.sft", "missing-2.sft", "--plot", "x.jpg")
    assert refused.status == 1
    assert refused.stderr == "error: x.jpg: a picture's name ends in .png, .pdf, .svg.\n"


@pytest.mark.parametrize(("width", "shown"), [(200, "10.0 (5.0)"), (80, "10.0"), (40, ""), (16, "")])
def test_as_much_is_shown_as_there_is_room_for(width: int, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = screen(monkeypatch, width, colours=False)
    blocks.show_heat(heat(3, 7, beside=True))
    lines = written(stream).splitlines()[1:-1]
    assert max(map(columns, lines)) <= width
    assert shown in lines[-1]
    assert ("10.0" in lines[-1]) == bool(shown)


def test_too_narrow_a_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    screen(monkeypatch, 40)
    with pytest.raises(SettingsError, match="60 columns do not fit"):
        blocks.show_heat(heat(2, 60))


def test_colours_are_sent_unless_the_user_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = screen(monkeypatch)
    blocks.show_heat(heat(2, 3))
    assert "48;2;8;48;107" in written(stream)  # the darkest of the scale as background
    stream = screen(monkeypatch, colours=False)
    blocks.show_heat(heat(2, 3))
    assert "48;2" not in written(stream)
    assert "10.0 █" in written(stream)


def test_where_blocks_cannot_be_written_other_letters_stand_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = screen(monkeypatch, encoding="ascii", colours=False)
    blocks.show_heat(heat(2, 3))
    blocks.show_bars("accuracy", [Bars("x", {"mt": 0.5}, {"mt": (0.25, 0.75)})])
    blocks.show_histograms(["x"], [Histogram(np.array([0.1, 0.2, 0.3]), np.array([1, 8]))])
    assert "10.0 #" in written(stream)
    assert "?" not in written(stream).replace("|?|", "")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_bars_are_as_long_as_scores_are_high_and_fit(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = screen(monkeypatch, width, colours=False)
    languages = {"mt": 0.8, "العربية": 0.4, "中文": 0.2, "average": 0.8}
    systems = [Bars(name, languages, {}) for name in ("one", "two")]
    blocks.show_bars("accuracy", systems)
    lines = [line for line in written(stream).splitlines() if "█" in line]
    assert max(map(columns, lines)) <= width
    lengths = [line.count("█") for line in lines]
    assert lengths[::2] == [lengths[0], *(round(lengths[0] / part) for part in (2, 4, 1))]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.5, 0.0])
def test_a_score_that_is_no_length_has_no_bar(score: float, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = screen(monkeypatch, colours=False)
    blocks.show_bars("accuracy", [Bars("x", {"aa": score, "bb": 0.5}, {"aa": (score, score)})])
    assert [line.count("█") > 0 for line in written(stream).splitlines()[1:3]] == [False, True]


def test_histograms_have_their_scale_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = screen(monkeypatch, colours=False)
    edges = 10.0 ** (np.arange(5) / 8)
    blocks.show_histograms(
        ["a", "b", "none"],
        [Histogram(edges, np.array([8, 4, 2, 1])), Histogram(edges[2:4], np.array([4])), None],
    )
    lines = written(stream).splitlines()
    assert [line.split(" ", 1)[1] for line in lines[1:3]] == ["   █▄▂▁", "     ▄ "]
