"""Pictures as files: their formats, their letters, what stands in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]
from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]
from matplotlib import font_manager
from scipy.cluster.hierarchy import dendrogram

from sftkit.errors import SettingsError
from sftkit.format.sft import CsrDifference
from sftkit.inspecting.overlap import overlap
from sftkit.inspecting.pictures import style
from sftkit.inspecting.pictures.bars import draw_scores
from sftkit.inspecting.pictures.curves import learning_curves
from sftkit.inspecting.pictures.data import Bars, overlap_map
from sftkit.inspecting.pictures.heat import plot_overlap
from sftkit.inspecting.pictures.layers import plot_summaries
from sftkit.inspecting.summary import summarise_difference
from tests.helpers.build import make_sft

LONG = "a-very-long-name-" * 4
NAMES = ("mt.sft", "العربية.sft", "中文.sft", f"{LONG}1.sft", f"{LONG}2.sft", r"$\frac{x$.sft")
RECORD = {
    "start": {"metric": "loss", "value": 3.0}, "best": {"metric": "loss", "step": 2, "value": 1.0},
    "history": {"phase1": [[0, 3.0], [2, 1.5]], "phase2": [[0, 3.0], [2, 1.0]]}, "losses": {"phase2": [[2, 1.2]]},
}  # fmt: skip
Draw = Callable[[Path], None]


@pytest.fixture(scope="module")
def sfts(pico_base: Path) -> list[CsrDifference]:
    return [make_sft(pico_base, seed=seed, k=300) for seed in range(len(NAMES))]


@pytest.fixture(scope="module")
def pictures(sfts: list[CsrDifference]) -> dict[str, Draw]:
    summaries = [summarise_difference(sft, name) for sft, name in zip(sfts, NAMES, strict=True)]
    scores = [Bars(name, dict.fromkeys(NAMES, 0.5), dict.fromkeys(NAMES, (0.4, 0.6))) for name in NAMES]
    return {
        "overlap": lambda path: plot_overlap(overlap(sfts, called=NAMES), path),
        "layers": lambda path: plot_summaries(summaries, path),
        "curves": lambda path: learning_curves(dict.fromkeys(NAMES, RECORD), path),
        "bars": lambda path: draw_scores("accuracy", scores, path),
    }


@pytest.fixture
def own_font_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any fonts but matplotlib's own."""
    entries = [entry for entry in font_manager.fontManager.ttflist if entry.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    style._font_with.cache_clear()
    yield
    style._font_with.cache_clear()


def texts(path: Path) -> list[str]:
    """What is written in an SVG: each text is in a comment beside its outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("kind", ["overlap", "layers", "curves", "bars"])
def test_a_letter_that_no_font_has_is_written_as_its_number(
    kind: str, pictures: dict[str, Draw], own_font_alone: None, tmp_path: Path
) -> None:
    pictures[kind](tmp_path / "x.svg")
    written = " ".join(texts(tmp_path / "x.svg"))
    assert r"\u4e2d\u6587" in written
    assert "中" not in written
    assert "No font of this machine has the letters" in written


@pytest.mark.parametrize("kind", ["overlap", "layers", "curves", "bars"])
@pytest.mark.parametrize("ending", ["png", "pdf"])
def test_every_picture_is_drawn_in_the_format_of_its_name(
    kind: str, ending: str, pictures: dict[str, Draw], own_font_alone: None, tmp_path: Path
) -> None:
    pictures[kind](tmp_path / f"x.{ending}")
    assert (tmp_path / f"x.{ending}").read_bytes().startswith({"png": b"\x89PNG", "pdf": b"%PDF"}[ending])


def test_a_letter_is_taken_from_a_font_of_the_machine_that_has_it(
    own_font_alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = font_with("中", tmp_path / "font.ttf")
    own = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(file)
    try:
        style._font_with.cache_clear()
        assert style.label("中文") == "中\\u6587"
        learning_curves({"中": RECORD}, tmp_path / "x.svg")
        assert "中" in texts(tmp_path / "x.svg")
    finally:
        font_manager.fontManager.ttflist[:] = own


def font_with(letter: str, path: Path) -> Path:
    """A font that has one letter."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    pen.lineTo((500, 0))
    pen.lineTo((500, 500))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "own"])
    builder.setupCharacterMap({ord(letter): "own"})
    builder.setupGlyf({".notdef": pen.glyph(), "own": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "own": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "One Letter", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def test_names_that_the_cut_makes_the_same_are_told_apart() -> None:
    names = ["x" * 100 + str(at) + "x" * 100 for at in range(2)]
    assert len(set(style.labels(names))) == 2
    assert max(map(len, style.labels(names))) <= style.LONGEST + 3


@pytest.mark.parametrize(("text", "most"), [("abcdefghij", 5), ("中文中文中文", 5), ("a\u0301" * 9, 5), ("", 5)])
def test_a_name_is_cut_in_its_middle_by_the_room_that_it_takes(text: str, most: int) -> None:
    cut = style.cut(text, most)
    assert style.columns(cut) <= most
    assert cut == text or (cut[0], cut[-1]) == (text[0], text[-1])


@pytest.mark.parametrize(("count", "times"), [(1, 1), (3, 2), (7, 4)])
def test_layers_are_named_once_in_each_row_of_maps(
    count: int, times: int, sfts: list[CsrDifference], tmp_path: Path
) -> None:
    summaries = [summarise_difference(sfts[at % len(sfts)], f"{at}.sft") for at in range(count)]
    plot_summaries(summaries, tmp_path / "x.svg")
    assert texts(tmp_path / "x.svg").count("encoder.layer.0") == times


def test_what_is_expected_stands_beside_what_was_found(sfts: list[CsrDifference], tmp_path: Path) -> None:
    report = overlap(sfts[:2], called=("a", "b"))
    plot_overlap(report, tmp_path / "x.svg")
    written = texts(tmp_path / "x.svg")
    for matrix in (report.whole.matrix, report.whole.expected):
        assert f"{100 * matrix[0, 1]:.1f}" in written


def test_the_leaves_of_the_dendrogram_are_the_columns(sfts: list[CsrDifference]) -> None:
    joins = overlap_map(overlap(sfts, called=NAMES)).joins
    assert dendrogram(joins, no_plot=True)["leaves"] == list(range(len(sfts)))


def test_a_picture_without_entries_is_drawn(pico_base: Path, tmp_path: Path) -> None:
    empty = make_sft(pico_base, k=0)
    plot_summaries([summarise_difference(empty)], tmp_path / "one.png")
    plot_summaries([summarise_difference(empty)] * 2, tmp_path / "two.png")
    plot_overlap(overlap([empty, empty, empty]), tmp_path / "overlap.png")
    bare = CsrDifference({}, replace(empty.metadata, parameters={}, tied_embeddings=None))
    plot_summaries([summarise_difference(bare)], tmp_path / "bare.png")


def test_steps_are_whole_and_the_start_is_point_0(tmp_path: Path) -> None:
    record = {"start": {"metric": "loss", "value": 300.0}, "history": {"phase1": [[2, 100.0]]}}
    learning_curves({"a": record}, tmp_path / "x.svg")
    written = texts(tmp_path / "x.svg")
    assert {"0", "1", "2"} <= set(written)
    assert not [text for text in written if "." in text]


def test_the_same_numbers_make_the_same_picture_whatever_the_users_settings(
    pictures: dict[str, Draw], tmp_path: Path
) -> None:
    pictures["curves"](tmp_path / "a.svg")
    with matplotlib.rc_context({"font.family": "serif", "axes.facecolor": "red", "figure.dpi": 30}):
        pictures["curves"](tmp_path / "b.svg")
        assert matplotlib.rcParams["figure.dpi"] == 30
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_neighbouring_series_differ_in_lightness_hatch_and_dash() -> None:
    looks = [style.series(number) for number in range(21)]
    for one, other in pairwise(looks):
        grey = [np.dot(matplotlib.colors.to_rgb(look.colour), (0.299, 0.587, 0.114)) for look in (one, other)]
        assert abs(grey[0] - grey[1]) > 0.1
        assert one.hatch != other.hatch
        assert one.dash != other.dash
    for own in ([(look.colour, look.dash) for look in looks], [(look.colour, look.hatch) for look in looks]):
        assert len(set(own)) == len(own)


def test_what_would_be_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too much to be drawn"), style.picture(tmp_path / "x.png", 5000, 1):
        pass
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.5, 0.0])
def test_a_score_of_any_value_can_be_drawn(score: float, tmp_path: Path) -> None:
    draw_scores("x", [Bars("one", {"aa": score}, {"aa": (score, score)})], tmp_path / "one.png")
    draw_scores("x", [Bars("two", {"aa": score, "bb": 0.5}, {})], tmp_path / "two.svg")
    assert ("−0.4" in texts(tmp_path / "two.svg")) == (score < 0)
