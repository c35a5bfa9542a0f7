"""``sftkit evaluate`` beyond one score: many languages, two systems, predictions, tables."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sftkit.algebra.arithmetic import Weighted
from sftkit.evaluation.grid import Case, evaluate_each
from sftkit.evaluation.run import Scoring
from sftkit.format.files import SftFile
from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers.build import save_sft


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, treebank: Path) -> Path:
    """``pos.sft``, ``lang/{aa,bb,cc}.sft`` and ``data/{aa,bb}.conllu``."""
    folder = tmp_path_factory.mktemp("many")
    quick = ("--base", pico_base, "--steps", 8, "--k", 400, "--lr", "1e-2", "--device", "cpu", "--quiet")
    assert sftkit("train", "--pos", treebank, "-o", folder / "pos.sft", *quick).status == 0
    (folder / "lang").mkdir()
    (folder / "data").mkdir()
    for seed, name in enumerate(("aa", "bb", "cc")):
        save_sft(folder / f"lang/{name}.sft", pico_base, seed=seed, k=900, scale=0.3)
    (folder / "data/aa.conllu").write_text(treebank_text(20))
    (folder / "data/bb.conllu").write_text(treebank_text(31))
    return folder


def found(*arguments: object) -> dict[str, Any]:
    done = sftkit("evaluate", *arguments, "--json")
    assert done.status == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def each(folder: Path) -> tuple[object, ...]:
    return folder / "pos.sft", "--each", f"{folder}/lang/{{}}.sft", "--pos", f"{folder}/data/{{}}.conllu"


def test_each_language_scores_what_it_scores_alone_and_the_average_is_their_mean(pico_base: Path, folder: Path) -> None:
    grid = found(pico_base, *each(folder))
    alone = {
        name: found(pico_base, folder / "pos.sft", folder / f"lang/{name}.sft", "--pos", folder / f"data/{name}.conllu")
        for name in ("aa", "bb")
    }
    assert grid["languages"] == {name: one["metrics"] for name, one in alone.items()}
    assert grid["intervals"]["bb"] == alone["bb"]["intervals"]
    mean = sum(one["metrics"]["accuracy"] for one in alone.values()) / 2
    assert grid["average"]["accuracy"] == pytest.approx(mean)


def test_switching_languages_does_not_load_the_model_again(pico_base: Path, folder: Path) -> None:
    task = Weighted(SftFile(folder / "pos.sft"), 1.0, "pos.sft")
    cases = {
        name: Case(
            (str(folder / f"data/{name}.conllu"),),
            {"": {"": (task, Weighted(SftFile(folder / f"lang/{name}.sft")))}},
        )
        for name in ("aa", "bb")
    }
    assert evaluate_each(Scoring("pos", device="cpu"), pico_base, cases).loads == 1


def test_a_language_without_data_is_left_out_and_named(pico_base: Path, folder: Path) -> None:
    assert "is missing: cc" in sftkit("evaluate", pico_base, *each(folder)).stderr


def test_the_table_has_a_row_a_language_and_the_average(pico_base: Path, folder: Path) -> None:
    table = sftkit("evaluate", pico_base, *each(folder)).stdout
    assert all(f"│ {name} " in table for name in ("aa", "bb", "average"))


def test_csv_has_the_same_figures(tmp_path: Path, pico_base: Path, folder: Path) -> None:
    grid = found(pico_base, *each(folder), "--csv", tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = {row["data"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["aa", "bb", "average"]
    assert float(rows["bb"]["accuracy"]) == grid["languages"]["bb"]["accuracy"]
    assert [float(rows["average"][f"accuracy_{end}"]) for end in ("low", "high")] == grid["intervals"]["average"][
        "accuracy"
    ]


def test_another_system_gets_the_task_sft_if_it_has_none(pico_base: Path, folder: Path) -> None:
    data = ("--pos", folder / "data/bb.conllu")
    compared = found(pico_base, folder / "pos.sft", folder / "lang/aa.sft", *data, "--against", folder / "lang/bb.sft")[
        "against"
    ]
    assert compared["metrics"] == found(pico_base, folder / "pos.sft", folder / "lang/bb.sft", *data)["metrics"]


def test_the_difference_is_the_first_less_the_other_and_p_a_probability(pico_base: Path, folder: Path) -> None:
    data = ("--pos", folder / "data/bb.conllu")
    document = found(pico_base, folder / "pos.sft", folder / "lang/aa.sft", *data, "--against", folder / "pos.sft")
    first, other = document["metrics"]["accuracy"], document["against"]
    assert other["difference"]["accuracy"] == pytest.approx(first - other["metrics"]["accuracy"])
    assert 0 < other["p"]["accuracy"] <= 1


def test_each_language_is_compared_with_its_own_other_system(pico_base: Path, folder: Path) -> None:
    compared = found(pico_base, *each(folder), "--against", folder / "pos.sft")["against"]
    alone = found(pico_base, folder / "pos.sft", "--pos", folder / "data/bb.conllu")["metrics"]
    assert compared["bb"]["metrics"] == alone
    assert set(compared) == {"aa", "bb", "average"}


def test_without_draws_there_are_no_intervals(pico_base: Path, folder: Path) -> None:
    data = ("--pos", folder / "data/bb.conllu")
    assert found(pico_base, folder / "pos.sft", *data, "--resamples", 0)["intervals"] == {}


def test_predictions_are_the_file_with_what_the_model_said(tmp_path: Path, pico_base: Path, folder: Path) -> None:
    data, said = folder / "data/aa.conllu", tmp_path / "said.conllu"
    accuracy = found(pico_base, folder / "pos.sft", "--pos", data, "--predictions", said)["metrics"]["accuracy"]
    before = [line.split("\t") for line in data.read_text().splitlines()]
    after = [line.split("\t") for line in said.read_text().splitlines()]
    assert [row[:3] + row[4:] for row in before] == [row[:3] + row[4:] for row in after]
    words = [(b[3], a[3]) for b, a in zip(before, after, strict=True) if b[0].isdecimal()]
    assert sum(b == a for b, a in words) / len(words) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--each", "lang.sft", "--pos", "data/{}.conllu"), "has no {}"),
        (("--each", "lang/{}.sft", "--pos", "data/aa.conllu"), "has no {}"),
        (("--each", "none/{}.sft", "--pos", "data/{}.conllu"), "No name has all the files"),
        (("--each", "lang/{}.sft", "--pos", "data/{}.conllu", "--predictions", "x"), "leave --each out"),
        (("--pos", "data/aa.conllu", "--pos", "data/bb.conllu", "--predictions", "x"), "name one local file"),
        (("--pos", "data/aa.conllu", "--predictions", "data/aa.conllu"), "exists already"),
        (("--pos", "data/aa.conllu", "--predictions", "data/aa.conllu", "--overwrite"), "would replace"),
        (("--pos", "data/aa.conllu", "--predictions", "pos.sft", "--overwrite"), "would replace"),
        (("--pos", "data/aa.conllu", "--csv", "pos.sft", "--overwrite"), "would replace"),
        (("--each", "lang/{}.sft", "--pos", "data/{}.conllu", "--csv", "lang/aa.sft", "--overwrite"), "would replace"),
        (("--pos", "data/aa.conllu", "--csv", "x", "--predictions", "x"), "each is a file of its own"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: tuple[str, ...], complaint: str, pico_base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = sftkit("evaluate", pico_base, "pos.sft", *arguments)
    assert done.status in (1, 2)
    assert complaint in " ".join(done.stderr.replace("│", " ").split())
