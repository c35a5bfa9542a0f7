"""The data behind pictures: heat maps, histograms and curves as numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from sftkit.format.sft import CsrDifference
from sftkit.inspecting.overlap import METRICS, overlap
from sftkit.inspecting.page.lines import panel_svg
from sftkit.inspecting.pictures.colours import AMOUNT, CONTRAST, Colour, is_dark, shade
from sftkit.inspecting.pictures.data import Line, Panel, curve_panels, density_maps, magnitude_maps, overlap_map
from sftkit.inspecting.summary import summarise_difference
from tests.helpers.build import make_sft


@pytest.fixture(scope="module")
def sfts(pico_base: Path) -> list[CsrDifference]:
    return [make_sft(pico_base, seed=seed, k=400 + 100 * seed) for seed in (0, 1, 2, 0, 1)]


def test_similar_sfts_stand_side_by_side_in_the_map_of_overlap(sfts: list[CsrDifference]) -> None:
    # 0 and 3, 1 and 4 are the same
    report = overlap([sfts[0], sfts[1], sfts[2], sfts[3], sfts[4]], called=list("abcde"))
    names = "".join(overlap_map(report).rows)
    assert any(pair in names for pair in ("ad", "da"))
    assert any(pair in names for pair in ("be", "eb"))
    assert overlap_map(report, ordered=False).rows == report.names


def test_the_map_of_overlap_has_every_pair_where_its_names_say(sfts: list[CsrDifference]) -> None:
    report = overlap(sfts[:4], called=list("abcd"))
    found = overlap_map(report)
    for i, row in enumerate(found.rows):
        for j, column in enumerate(found.columns):
            at = report.names.index(row), report.names.index(column)
            if i != j:
                assert found.values[i, j] == 100 * report.whole.matrix[at]
                assert found.beside is not None
                assert found.beside[i, j] == 100 * report.whole.expected[at]
    assert np.isnan(np.diagonal(found.values)).all()
    assert found.joins is not None
    distances = np.nan_to_num(found.top - found.values)
    again = linkage(squareform(distances, checks=False), "average")
    assert np.allclose(np.sort(found.joins[:, 2]), np.sort(again[:, 2]))


@pytest.mark.parametrize("metric", METRICS)
def test_sfts_without_entries_have_a_map_all_the_same(metric: str, pico_base: Path) -> None:
    empty = make_sft(pico_base, k=0)
    assert np.isnan(overlap_map(overlap([empty, empty], metric)).values).all()
    found = overlap_map(overlap([empty, make_sft(pico_base), make_sft(pico_base, seed=1)], metric))
    assert sorted(found.rows) == ["an SFT #1", "an SFT #2", "an SFT #3"]


def test_layers_and_kinds_add_up_to_the_whole(sfts: list[CsrDifference]) -> None:
    summary = summarise_difference(sfts[0])
    (density,), (magnitude,) = density_maps([summary]), magnitude_maps([summary])
    assert density.rows == ("embeddings", "encoder.layer.0", "encoder.layer.1")
    assert np.isnan(density.values[1, 0])  # a layer has no embeddings
    at = density.columns.index("feed-forward in")
    stats = [s for s in summary.parameters if s.name == "encoder.layer.1.intermediate.dense.weight"]
    assert density.values[2, at] == pytest.approx(100 * stats[0].density)
    assert magnitude.values[2, at] == pytest.approx(stats[0].mean_abs)


def test_several_sfts_have_their_rows_columns_and_colours_in_common(sfts: list[CsrDifference]) -> None:
    maps = density_maps([summarise_difference(sft) for sft in sfts[:3]])
    assert len({(each.rows, each.columns, each.high) for each in maps}) == 1
    assert max(np.nanmax(each.values) for each in maps) == maps[0].high


def test_the_histogram_counts_every_entry_in_its_bin(sfts: list[CsrDifference]) -> None:
    values = np.abs(np.concatenate([matrix.data for matrix in sfts[0].parameters.values()]))
    histogram = summarise_difference(sfts[0]).histogram
    assert histogram is not None
    assert histogram.counts.sum() == len(values)
    assert np.array_equal(histogram.counts, np.histogram(values.astype(np.float64), histogram.edges)[0])
    assert np.allclose(8 * np.log10(histogram.edges), np.round(8 * np.log10(histogram.edges)))


def test_entries_that_are_next_to_nothing_do_not_stretch_the_histogram(pico_base: Path) -> None:
    sft = make_sft(pico_base)
    name = sft.names[0]
    sft.parameters[name].data[:] = 1e-40
    histogram = summarise_difference(sft).histogram
    assert histogram is not None
    assert histogram.counts.sum() == sft.k
    assert histogram.counts[0] >= sft.parameters[name].nnz
    assert len(histogram.counts) <= 8 * 8 + 1


def test_an_overlap_of_what_chance_gives_is_no_darker_than_the_middle_of_the_scale(sfts: list[CsrDifference]) -> None:
    heat = overlap_map(overlap(sfts[:2]))
    assert heat.beside is not None
    assert np.nanmax(heat.beside) <= heat.high / 2
    same = overlap_map(overlap([sfts[0], sfts[0]]))
    assert np.nanmax(same.values) <= same.high <= 100


def test_a_page_s_curves_have_round_steps_and_values() -> None:
    drawn = panel_svg(Panel("loss", (Line("a", 0, "phase2", {0: 6.02, 125: 3.1, 250: 2.38}),)))
    assert re.findall(r">([\d.,]+)</text>", drawn) == ["3", "4", "5", "6", "0", "50", "100", "150", "200", "250"]


@pytest.mark.parametrize("values", [(1e308, -1e308), (5.0, 5.0), (5e-324, 0.0)])
def test_a_page_s_curves_take_any_values(values: tuple[float, float]) -> None:
    assert "<polyline" in panel_svg(Panel("loss", (Line("a", 0, "phase2", dict(enumerate(values))),)))


def test_an_sft_without_entries_has_no_histogram_and_a_map_of_zeros(pico_base: Path) -> None:
    summary = summarise_difference(make_sft(pico_base, k=0))
    assert summary.histogram is None
    (density,), (magnitude,) = density_maps([summary]), magnitude_maps([summary])
    assert np.nanmax(density.values) == 0
    assert np.isnan(magnitude.values).all()


def test_runs_of_one_metric_share_a_panel_and_begin_with_the_start() -> None:
    def record(metric: str, history: list[list[float]]) -> dict[str, object]:
        return {
            "start": {"metric": metric, "value": 9.0}, "best": {"metric": metric, "step": 20, "value": 1.0},
            "history": {"phase1": history, "phase2": [[0, 9.0], [20, 1.0]]}, "losses": {"phase2": [[20, 2.0]]},
        }  # fmt: skip

    panels = curve_panels(
        {
            "a": record("loss", [[10, 3.0]]),
            "b": record("loss", [[0, 9.0], [10, 3.0]]),
            "c": record("accuracy", [[10, 0.5]]),
            "none": {"history": "odd"},
        }
    )
    assert [panel.title.split()[0] for panel in panels] == ["loss,", "accuracy,", "training"]
    assert panels[0].runs == ("a", "b")
    assert [line.points for line in panels[0].lines if line.phase == "phase1"] == [{0: 9.0, 10: 3.0}] * 2
    assert [line.kept for line in panels[0].lines] == [None, 20, None, 20]
    assert [line.number for line in panels[1].lines] == [2, 2]


@pytest.mark.parametrize("scale", [AMOUNT, CONTRAST])
def test_a_scale_runs_from_light_to_dark_without_turning_back(scale: tuple[Colour, ...]) -> None:
    greys = [np.dot((0.299, 0.587, 0.114), shade(scale, value, 0, 100)) for value in range(101)]
    assert (np.diff(greys) < 0).all()
    assert not is_dark(shade(scale, 0, 0, 100))
    assert is_dark(shade(scale, 100, 0, 100))
