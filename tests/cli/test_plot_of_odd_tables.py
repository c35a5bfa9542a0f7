"""``sftkit plot`` of tables that are cut, odd or nearly empty: drawn right or refused, without a warning."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.helpers.scores import grid, row, sweep, write

pytestmark = pytest.mark.filterwarnings("error")
OVERLAP = "share,a,b,c\nc,.2,.3,1\na,1,.1,.2\nb,.1,1,.3\n"


def refused(*arguments: object) -> str:
    done = sftkit("plot", *arguments)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    return done.stderr


def test_a_row_that_is_cut_is_refused_with_its_line(tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", [row(), row(language="wo")])
    table.write_text(table.read_text().rpartition(",mbert")[0][:-1])  # within k
    assert "r.csv, line 3: fewer cells than columns. Is the file cut?" in refused(table, "-o", tmp_path / "x.md")


def test_rows_of_an_overlap_are_found_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text(OVERLAP)
    done = sftkit("plot", tmp_path / "o.csv", "--figure", "overlap", "-o", tmp_path / "x.png", "--json")
    document = json.loads(done.stdout)
    at = {name: number for number, name in enumerate(document["names"])}
    found = {a + b: document["matrix"][at[a]][at[b]] for a in "abc" for b in "abc"}
    assert found == {"aa": 1, "bb": 1, "cc": 1, "ab": 0.1, "ba": 0.1, "ac": 0.2, "ca": 0.2, "bc": 0.3, "cb": 0.3}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("\nb,", "\nd,"), "do not have the same names, each of them once"),
        (("\nb,", "\na,"), "do not have the same names, each of them once"),
        (("a,b,c", "a,b,b"), "do not have the same names, each of them once"),
        ((".3,1", "inf,1"), "'inf' in the line c is no number of an overlap"),
        ((".3,1", "nan,1"), "'nan' in the line c is no number of an overlap"),
        ((".3,1", "x,1"), "'x' in the line c is no number of an overlap"),
        ((",.1,1,.3\n", ",.1"), "no matrix"),
    ],
)
def test_an_overlap_of_other_names_or_without_numbers_is_refused(
    change: tuple[str, str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "o.csv").write_text(OVERLAP.replace(*change))
    assert said in refused(tmp_path / "o.csv", "--figure", "overlap", "-o", tmp_path / "x.png")


def test_an_overlap_that_no_two_have_is_refused_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("sign,a,b\na,1,\nb,,1\n")
    assert "known of no two" in refused(tmp_path / "o.csv", "--figure", "overlap", "-o", tmp_path / "x.png")


def test_a_language_called_average_has_its_own_score_beside_the_mean(tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", [row(language="average", value=0.9), row(language="wo", value=0.1)])
    assert sftkit("plot", table, "-o", tmp_path / "x.md").status == 0
    text = (tmp_path / "x.md").read_text(encoding="utf-8")
    assert re.findall(r"\| (average|wo|average of all) \| ([\d.]+)", text) == [
        ("average", "90.0"), ("wo", "10.0"), ("average of all", "50.0"),
    ]  # fmt: skip


def test_bars_of_a_language_called_average_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn = list[float]()
    monkeypatch.setattr(Axes, "barh", lambda *given, **_: drawn.extend(given[2]))
    monkeypatch.setattr("sftkit.evaluation.results.look.legend", lambda *_: None)
    table = write(tmp_path / "r.csv", [row(language="average", value=0.9), row(language="wo", value=0.1)])
    assert sftkit("plot", table, "-o", tmp_path / "x.png").status == 0
    assert drawn[:3] == pytest.approx([90, 10, 50])


def test_a_combination_that_a_contour_lacks_is_told(tmp_path: Path) -> None:
    rows = [each for each in grid() if (each["density"], each["language_density"]) != ("0.05", "0.1")]
    done = sftkit("plot", write(tmp_path / "r.csv", rows), "--figure", "contour", "-o", tmp_path / "x.png")
    assert "lottery has no score at density 0.05 (language_density 0.1): left white." in done.stderr


def test_a_contour_of_combinations_without_an_area_is_refused(tmp_path: Path) -> None:
    rows = [each for each in grid() if (each["density"], each["language_density"]) in (("0.05", "0.1"), ("1", "0.3"))]
    said = refused(write(tmp_path / "r.csv", rows), "--figure", "contour", "-o", tmp_path / "x.png")
    assert "no score at density 1 (language_density 0.1), 0.05 (language_density 0.3): no area can be drawn" in said


def test_tables_speak_of_intervals_only_where_there_are_some(tmp_path: Path) -> None:
    for seeds, said in ((1, ".\n"), (3, "; 95 % intervals over 3 seeds.\n")):
        table = write(tmp_path / f"{seeds}.csv", sweep(languages=1, seeds=seeds))
        assert sftkit("plot", table, "-o", tmp_path / f"{seeds}.md").status == 0
        assert f"- Means over languages{said}" in (tmp_path / f"{seeds}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("cells", [{"k": 0}, {"k": "", "density": 0}])
def test_sizes_that_are_all_0_are_refused_without_a_warning(cells: dict[str, object], tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", [row(**cells)])
    assert "is above 0" in refused(table, "--figure", "sweep", "-o", tmp_path / "x.png")


def test_a_size_of_0_among_others_is_left_out_with_a_note(tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", [row(), row(method="none", k=0)])
    done = sftkit("plot", table, "--figure", "sweep", "-o", tmp_path / "x.png", "--json")
    assert "none of size 0 is left out" in done.stderr
    assert [each["method"] for each in json.loads(done.stdout)["panels"][0]["series"]] == ["lottery"]


def test_negative_values_are_drawn_without_a_warning(tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", [row(metric="mcc", value=-0.5, low=-0.6, high=-0.4)])
    for figure in ("languages", "sweep"):
        done = sftkit("plot", table, "--figure", figure, "-o", tmp_path / f"{figure}.png")
        assert (done.status, done.stderr) == (0, "")
