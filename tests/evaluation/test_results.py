"""Tables of scores: what is read and refused, what is compared with what, means, intervals and paired tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from sftkit.errors import DataError, SettingsError
from sftkit.evaluation.results.figures import language_numbers
from sftkit.evaluation.results.means import difference, mean
from sftkit.evaluation.results.panels import panels
from sftkit.evaluation.results.related import in_order, mantel
from sftkit.evaluation.results.table import COLUMNS, ScoreRow, read_scores
from tests.helpers.scores import row, sweep, write


def read(folder: Path, *rows: dict[str, str], where: tuple[tuple[str, str], ...] = ()) -> list[ScoreRow]:
    return read_scores(write(folder / "r.csv", rows), where)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_is_missing_is_named(column: str, tmp_path: Path) -> None:
    write(tmp_path / "r.csv", [row()], [name for name in COLUMNS if name != column])
    with pytest.raises(DataError, match=f"no column {column}"):
        read_scores(tmp_path / "r.csv")


def test_further_columns_and_empty_cells_are_taken(tmp_path: Path) -> None:
    (score,) = read(tmp_path, row(low="", high="", seconds="", k="", density="", language_density=""))
    assert (score.interval, score.k, score.setting.density) == (None, None, None)


@pytest.mark.parametrize(("column", "cell"), [("value", ""), ("value", "abc"), ("k", "nan"), ("density", "inf")])
def test_a_cell_that_is_no_number_is_named_with_its_line(column: str, cell: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"line 3: {column} is '{cell}'"):
        read(tmp_path, row(language="wo"), row(**{column: cell}))


def test_a_share_in_per_cent_is_refused_and_a_loss_is_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: accuracy is 71.1, and has to be a share"):
        read(tmp_path, row(value=71.1))
    assert read(tmp_path, row(value=71.1, metric="perplexity"))[0].value == 71.1


def test_a_table_without_rows_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no scores yet"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b'a,"b'])
def test_what_is_no_table_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"r\.csv"):
        read_scores(tmp_path / "r.csv")


def test_scores_that_only_another_column_tells_apart_are_not_averaged(tmp_path: Path) -> None:
    rows = row(value=0.5), row(value=0.6, base="xlmr")
    with pytest.raises(DataError, match=r"differ in base. Choose with --where base=mbert"):
        read(tmp_path, *rows)
    (score,) = read(tmp_path, *rows, where=(("base", "xlmr"),))
    assert score.value == 0.6


def test_one_score_twice_is_one_and_two_of_one_thing_are_refused(tmp_path: Path) -> None:
    assert len(read(tmp_path, row(), row())) == 1
    with pytest.raises(DataError, match="two different scores"):
        read(tmp_path, row(), row(value=0.7))


def test_a_variant_is_a_method_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "r.csv", [row(variant="tied"), row()], [*COLUMNS, "variant"])
    assert [score.method for score in read_scores(path)] == ["lottery (tied)", "lottery"]


def test_rows_are_chosen_by_any_column_numbers_as_numbers(tmp_path: Path) -> None:
    rows = [row(density=density, language=language) for density in (0.1, 0.2) for language in ("mt", "wo")]
    assert len(read(tmp_path, *rows, where=(("density", "0.10"),))) == 2
    assert len(read(tmp_path, *rows, where=(("density", "0.1"), ("density", ".2"), ("language", "mt")))) == 2
    with pytest.raises(SettingsError, match="no such column"):
        read(tmp_path, *rows, where=(("colour", "x"),))
    with pytest.raises(SettingsError, match="there is mt, wo"):
        read(tmp_path, *rows, where=(("language", "xx"),))


def test_means_and_paired_differences_are_those_of_t_tests_over_seeds() -> None:
    rng = np.random.default_rng(0)
    units = [(language, str(seed)) for language in ("a", "b", "c") for seed in range(5)]
    first = dict(zip(units, rng.normal(0.6, 0.1, 15), strict=True))
    second = dict(zip(units, rng.normal(0.5, 0.1, 15), strict=True))
    seeds = [
        [np.mean([each[language, str(seed)] for language in "abc"]) for seed in range(5)] for each in (first, second)
    ]
    expected = stats.ttest_rel(*seeds)
    found = difference(first, second, units)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert (found.over, found.count) == ("seeds", 5)
    interval = stats.ttest_1samp(seeds[0], 0).confidence_interval()
    assert (mean(first, units).low, mean(first, units).high) == pytest.approx(tuple(interval))


def test_with_one_seed_a_language_is_an_observation_and_one_score_has_no_interval() -> None:
    values = {("a", "0"): 0.5, ("b", "0"): 0.7}
    assert (mean(values, list(values)).over, mean(values, list(values)).count) == ("languages", 2)
    assert mean(values, [("a", "0")]).low is None


def test_observations_without_spread_give_no_nan() -> None:
    values = {("a", str(seed)): 0.3 for seed in range(3)}
    assert mean(values, list(values)).p == 0.0
    assert difference(values, values, list(values)).p == 1.0


def test_a_task_is_told_by_its_main_metrics_or_the_one_asked_for(tmp_path: Path) -> None:
    scores = read(tmp_path, *sweep(), row(task="ner", metric="precision"), row(task="ner", metric="f1"))
    assert [(panel.task, panel.metric) for panel in panels(scores, None, None)] == [
        ("pos", "accuracy"), ("dep", "uas"), ("dep", "las"), ("ner", "f1"),
    ]  # fmt: skip
    assert [panel.task for panel in panels(scores, None, "precision")] == ["ner"]
    with pytest.raises(SettingsError, match="there is pos, dep, ner"):
        panels(scores, "qa", None)
    with pytest.raises(SettingsError, match="there is accuracy"):
        panels(scores, "pos", "f1")


def test_methods_are_compared_on_what_all_of_them_have_and_the_rest_is_told(tmp_path: Path) -> None:
    rows = [each for each in sweep() if not (each["method"] == "random" and each["language"] == "lang2")]
    (panel,) = panels(read(tmp_path, *rows), "pos", None)
    numbers = language_numbers(panel)
    assert numbers["units"] == 6
    assert any("6 of 9" in note and "random" in note for note in panel.notes)
    assert "lang2" not in next(each for each in numbers["methods"] if each["method"] == "random")["languages"]


def test_methods_that_have_nothing_in_common_are_refused(tmp_path: Path) -> None:
    (panel,) = panels(read(tmp_path, row(), row(method="random", language="wo")), None, None)
    with pytest.raises(SettingsError, match="no language and seed"):
        language_numbers(panel)


def test_each_method_stands_with_its_best_density_and_the_lowest_loss_is_best(tmp_path: Path) -> None:
    rows = [row(density=density, value=value) for density, value in ((0.1, 0.5), (0.2, 0.7), (0.3, 0.6))]
    for metric, best in (("accuracy", 0.2), ("perplexity", 0.1)):
        (panel,) = panels(read(tmp_path, *(each | {"metric": metric} for each in rows)), None, None)
        assert language_numbers(panel)["methods"][0]["density"] == best


def test_mantels_test_finds_what_goes_together_and_not_what_does_not() -> None:
    rng = np.random.default_rng(0)
    places = rng.normal(size=(12, 2))
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    noise = rng.normal(size=(12, 12))
    together, alone = mantel(apart + 0.1 * (noise + noise.T), apart), mantel(noise + noise.T, apart)
    assert together is not None
    assert alone is not None
    assert together[0] > 0.9
    assert together[1] < 0.001
    assert alone[1] > 0.05
    assert mantel(np.ones((4, 4)), apart[:4, :4]) is None
    assert mantel(apart[:2, :2], apart[:2, :2]) is None


def test_relatives_stand_side_by_side() -> None:
    matrix = np.full((4, 4), 0.1)
    for a, b in ((0, 2), (1, 3)):
        matrix[a, b] = matrix[b, a] = 0.9
    order = in_order(matrix)
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset((0, 2)), frozenset((1, 3))}
