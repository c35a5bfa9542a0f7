"""``sftkit plot``: every figure and table is made, says what it drew, and is refused in a line where it cannot be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from sftkit.demo.descent import grow, relatedness
from sftkit.format.writing import write as write_sft
from tests.cli.run import sftkit, without_torch
from tests.format.golden import golden
from tests.helpers.scores import grid, row, sweep, write


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results.csv", sweep())


def world(folder: Path, size: int) -> tuple[Path, list[str]]:
    tree = grow(size, 0)
    names, related = [language.name for language in tree.living()], relatedness(tree)
    document = {"languages": names, "relatedness": [[related[a, b] for b in names] for a in names]}
    (folder / "world.json").write_text(json.dumps(document))
    return folder / "world.json", names


def matrix(path: Path, names: list[str]) -> Path:
    values = np.random.default_rng(0).random((len(names), len(names)))
    lines = [",".join([name, *(f"{value:.3f}" for value in line)]) for name, line in zip(names, values + values.T)]  # noqa: B905
    path.write_text("\n".join([",".join(["share", *names]), *lines]) + "\n")
    return path


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
@pytest.mark.parametrize("figure", ["sweep", "languages"])
def test_figures_of_scores_are_drawn(figure: str, ending: str, results: Path, tmp_path: Path) -> None:
    done = sftkit("plot", results, "--figure", figure, "-o", tmp_path / f"x.{ending}", "--json")
    assert done.status == 0, done.stderr
    assert (tmp_path / f"x.{ending}").stat().st_size > 1000
    document = json.loads(done.stdout)
    assert (document["figure"], len(document["panels"])) == (figure, 3)


def test_a_sweep_says_the_mean_and_interval_of_every_method_and_size(results: Path, tmp_path: Path) -> None:
    done = sftkit("plot", results, "--figure", "sweep", "--task", "pos", "-o", tmp_path / "x.png", "--json")
    (panel,) = json.loads(done.stdout)["panels"]
    assert [series["method"] for series in panel["series"]] == ["lottery", "random", "task-only"]
    for series in panel["series"]:
        assert [point["k"] for point in series["points"]] == [100, 200, 400]
        assert all(point["low"] <= point["mean"] <= point["high"] for point in series["points"])


def test_densities_against_densities_are_drawn(tmp_path: Path) -> None:
    table = write(tmp_path / "grid.csv", grid())
    done = sftkit("plot", table, "--figure", "contour", "-o", tmp_path / "x.png", "--json")
    (panel,) = json.loads(done.stdout)["panels"]
    assert (panel["density"], panel["language_density"]) == ([0.05, 0.3, 1], [0.1, 0.3])
    assert np.array(panel["values"])[1, 2] == pytest.approx(0.7 - 0.2 * 0.7)
    refused = sftkit("plot", table, "--figure", "sweep", "-o", tmp_path / "y.png")
    assert (refused.status, "--where language_density=0.1" in refused.stderr) == (1, True)


@pytest.mark.parametrize("size", [2, 3, 40])
@pytest.mark.parametrize("known", [True, False])
def test_overlap_is_drawn_relatives_side_by_side(size: int, known: bool, tmp_path: Path) -> None:
    file, names = world(tmp_path, size)
    table = matrix(tmp_path / "overlap.csv", sorted(names))
    more = ("--relatedness", file) if known else ()
    done = sftkit("plot", table, "--figure", "overlap", *more, "-o", tmp_path / "x.png", "--json")
    assert done.status == 0, done.stderr
    document = json.loads(done.stdout)
    assert sorted(document["names"]) == sorted(names)
    assert ("mantel" in document) == known


def test_overlap_takes_sfts_under_their_languages_names(tmp_path: Path) -> None:
    file, names = world(tmp_path, 3)
    sfts = [write_sft(tmp_path / f"{name}-0.1.sft", golden()) for name in names]
    done = sftkit("plot", *sfts, "--figure", "overlap", "--relatedness", file, "-o", tmp_path / "x.png", "--json")
    assert done.status == 0, done.stderr
    stranger = write_sft(tmp_path / "other.sft", golden())
    done = sftkit("plot", sfts[0], stranger, "--figure", "overlap", "--relatedness", file, "-o", tmp_path / "y.png")
    assert (done.status, "other names none" in done.stderr) == (1, True)


def test_no_torch_is_needed(results: Path, tmp_path: Path) -> None:
    assert without_torch("plot", results, "--figure", "sweep", "-o", tmp_path / "x.png").status == 0


def test_markdown_has_the_averages_and_each_task_by_language_the_best_in_bold(results: Path, tmp_path: Path) -> None:
    assert sftkit("plot", results, "-o", tmp_path / "t.md").status == 0
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert re.findall("^## (.*)", text, re.MULTILINE) == [
        "Averages", "pos: accuracy (%)", "dep: UAS (%)", "dep: LAS (%)",
    ]  # fmt: skip
    rows = [line for line in text.splitlines() if line.startswith(("| lang", "| average"))]
    assert len(rows) == 3 * 4
    assert all(line.split("|")[2].strip().startswith("**") and line.count("**") == 2 for line in rows)
    assert "- lottery − random: +5.0 [" in text


def test_latex_is_whole_and_escapes_what_it_obeys(tmp_path: Path) -> None:
    rows = [row(method=r"50%_a\b", value=0.5), row(method="other", value=0.6)]
    assert sftkit("plot", write(tmp_path / "r.csv", rows), "-o", tmp_path / "t.tex").status == 0
    text = (tmp_path / "t.tex").read_text(encoding="utf-8")
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert r"50\%\_a\textbackslash{}b" in text
    assert r"\textbf{60.0}" in text


def test_what_one_method_lacks_is_told_beside_the_figure(tmp_path: Path) -> None:
    rows = [each for each in sweep() if (each["method"], each["seed"]) != ("random", "2")]
    done = sftkit("plot", write(tmp_path / "r.csv", rows), "--figure", "sweep", "-o", tmp_path / "x.png", "--json")
    assert "compared on the 6 of 9" in done.stderr
    assert len(json.loads(done.stdout)["notes"]) == 3


@pytest.mark.parametrize("size", [1, 40])
def test_one_language_and_many_are_drawn(size: int, tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", sweep(languages=size, seeds=1))
    for figure in ("sweep", "languages"):
        assert sftkit("plot", table, "--figure", figure, "-o", tmp_path / f"{figure}.png").status == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--figure", "sweep", "-o", "x.md"), "is a picture"),
        (("-o", "x.txt"), "ends in"),
        (("--figure", "contour", "-o", "x.png"), "two or more densities"),
        (("--figure", "overlap", "-o", "x.png"), "no matrix"),
        (("--figure", "overlap", "-o", "x.png", "--task", "pos"), "has none"),
        (("--figure", "sweep", "-o", "x.png", "--relatedness", "w.json"), "--relatedness is for"),
        (("results.csv", "-o", "x.png"), "too many"),
        (("-o", "x.png", "--task", "qa"), "there is pos, dep"),
        (("-o", "x.png", "--task", "depp"), "Did you mean dep?"),
        (("-o", "x.png", "--metric", "acuracy"), "Did you mean accuracy?"),
        (("-o", "x.png", "--where", "methd=random"), "has no such column, but language, task, method"),
        (("-o", "x.png", "--where", "methd=random"), "Did you mean method?"),
        (("-o", "x.png", "--where", "method=randm"), "there is lottery, random, task-only. Did you mean random?"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_line(
    options: tuple[str, ...], said: str, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sftkit("plot", results, *options)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr
    assert not list(tmp_path.glob("x.*"))


def test_a_picture_is_replaced_only_with_leave(results: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("precious")
    assert "--overwrite" in sftkit("plot", results, "-o", tmp_path / "x.png").stderr
    assert (tmp_path / "x.png").read_text() == "precious"
    assert sftkit("plot", results, "-o", tmp_path / "x.png", "--overwrite").status == 0


def test_text_of_the_table_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    rows = [row(language="a$x_{$b", method="\x1b[31m<b>|*"), row(language="中文", method="\x1b[31m<b>|*")]
    table = write(tmp_path / "r.csv", rows)
    for name in ("x.png", "x.md", "x.tex"):
        done = sftkit("plot", table, "-o", tmp_path / name)
        assert done.status == 0, done.stderr
        assert b"\x1b" not in (tmp_path / name).read_bytes() or name == "x.png"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "the file is empty. Scores are read from what sftkit sweep writes, results.csv, or sftkit evaluate --csv.",
        ),
        ("\n\n", "the file is empty."),
        ("a,b\n1,2\n", "no table of scores, by its first line. Scores are read from what sftkit sweep writes"),
        ("data,examples,accuracy\n", "holds no scores yet"),
        ("data,examples,accuracy\nmt,3,x\n", "line 2: value is 'x', and has to be a number"),
    ],
)
def test_a_file_that_is_no_table_of_scores_is_told_as_what_it_is(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(text)
    done = sftkit("plot", tmp_path / "r.csv", "-o", tmp_path / "x.png")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert said in done.stderr


def test_a_misspelt_name_of_results_is_answered_with_the_nearest(results: Path) -> None:
    done = sftkit("plot", results.with_name("result.csv"), "-o", results.with_name("x.png"))
    assert f"Did you mean {results}?" in done.stderr


def test_a_column_that_older_results_lack_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    table = write(tmp_path / "r.csv", sweep(), [name for name in sweep()[0] if name != "language_density"])
    done = sftkit("plot", table, "-o", tmp_path / "x.png", "--where", "language_density=0.1")
    assert "of an older one, the same sweep again; what is done stays" in done.stderr


SEVERAL = """system,data,examples,seeds,accuracy,accuracy_low,accuracy_high,accuracy_sd
lottery,mt,40,2,0.6,0.5,0.7,0.01
lottery,wo,40,2,0.8,0.7,0.9,0.01
lottery,average,80,2,0.7,0.6,0.8,0.01
random,mt,40,2,0.5,0.4,0.6,0.01
random,wo,40,2,0.7,0.6,0.8,0.01
random,average,80,2,0.6,0.5,0.7,0.01
"""
COMPARED = """task,data,examples,uas,uas_low,uas_high,uas_against,uas_p,las,las_low,las_high,las_against,las_p,f1
dep,mt,40,0.6,0.5,0.7,0.3,0.01,0.4,0.3,0.5,0.2,0.01,
ner,mt,40,,,,,,,,,,,0.9
"""


def test_what_evaluate_writes_is_drawn_and_averaged_anew(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(SEVERAL)
    done = sftkit("plot", tmp_path / "scores.csv", "-o", tmp_path / "x.png", "--json")
    (panel,) = json.loads(done.stdout)["panels"]
    assert (panel["task"], panel["metric"]) == ("", "accuracy")  # it names no task, and no file does
    found = {each["method"]: (each["mean"], each["languages"]) for each in panel["methods"]}
    assert {name: mean for name, (mean, _) in found.items()} == pytest.approx({"lottery": 0.7, "random": 0.6})
    assert {name: (one["mean"], one["low"], one["high"]) for name, one in found["lottery"][1].items()} == {
        "mt": (0.6, 0.5, 0.7), "wo": (0.8, 0.7, 0.9),
    }  # fmt: skip


def test_of_what_evaluate_compares_both_are_drawn_a_panel_a_task(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(COMPARED)
    done = sftkit("plot", tmp_path / "scores.csv", "-o", tmp_path / "x.png", "--json")
    panels = json.loads(done.stdout)["panels"]
    assert [(panel["task"], panel["metric"]) for panel in panels] == [("dep", "uas"), ("dep", "las"), ("ner", "f1")]
    assert [(each["method"], each["mean"]) for each in panels[0]["methods"]] == [("as given", 0.6), ("against", 0.3)]


def test_an_axis_of_shares_ends_with_them_however_far_intervals_reach(tmp_path: Path) -> None:
    from sftkit.evaluation.results.figures import _of_shares

    assert _of_shares((-160.0, 320.0)) == (0.0, 102.0)
    assert _of_shares((40.0, 70.0)) == (40.0, 70.0)
