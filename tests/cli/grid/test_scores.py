"""``sftkit evaluate`` over systems and seeds: ``{system}`` and ``{seed}`` in the names of SFTs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sftkit.modeling.load import load_model
from sftkit.tasks.pos import PartOfSpeech
from tests.cli.grid.conftest import GRID, LANGUAGES, SEEDED, SEEDS, SYSTEMS
from tests.cli.run import sftkit


def found(*arguments: object) -> dict[str, Any]:
    done = sftkit("evaluate", *arguments, "--json")
    assert done.status == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def alone(base: Path, sft: str, language: str) -> float:
    metrics = found(base, "pos.sft", sft, "--pos", f"data/{language}.conllu", "--resamples", 0)["metrics"]
    return float(metrics["accuracy"])


def test_every_run_scores_what_it_scores_alone_and_means_are_over_seeds_and_then_languages(pico_base: Path) -> None:
    grid = found(pico_base, *GRID)
    assert list(grid["systems"]) == list(SYSTEMS)
    for system, one in grid["systems"].items():
        for language in LANGUAGES:
            runs = {seed: alone(pico_base, f"{system}/{language}-{seed}.sft", language) for seed in SEEDS}
            assert {seed: run["accuracy"] for seed, run in one["seeds"][language].items()} == runs
            assert one["languages"][language]["accuracy"] == pytest.approx(np.mean(list(runs.values())))
            assert one["deviations"][language]["accuracy"] == pytest.approx(np.std(list(runs.values()), ddof=1))
        means = [one["languages"][language]["accuracy"] for language in LANGUAGES]
        assert one["average"]["accuracy"] == pytest.approx(np.mean(means))


def test_systems_are_compared_in_each_language_and_on_the_average(pico_base: Path) -> None:
    grid = found(pico_base, *GRID)
    (pair,) = grid["comparisons"]
    first, second = (grid["systems"][pair[which]] for which in ("first", "second"))
    assert set(pair["languages"]) == set(LANGUAGES)
    for one, own, other in (
        (pair["average"], first["average"], second["average"]),
        (pair["languages"]["aa"], first["languages"]["aa"], second["languages"]["aa"]),
    ):
        assert one["difference"]["accuracy"] == pytest.approx(own["accuracy"] - other["accuracy"])
        low, high = one["intervals"]["accuracy"]
        assert low <= one["difference"]["accuracy"] <= high
        assert 0 < one["p"]["accuracy"] <= 1


def test_one_system_has_the_keys_of_a_grid_without_seeds_and_those_of_seeds(pico_base: Path) -> None:
    grid = found(pico_base, *SEEDED)
    assert set(grid) == {"objective", "data", "examples", "languages", "average", "intervals", "seeds", "deviations"}
    assert list(grid["seeds"]["average"]) == list(SEEDS)


def test_seeds_need_neither_each_nor_several_languages(pico_base: Path) -> None:
    grid = found(pico_base, "pos.sft", "lottery/aa-{seed}.sft", "--pos", "data/aa.conllu")
    assert grid["languages"] == {"data/aa.conllu": found(pico_base, *SEEDED)["languages"]["aa"]}


def test_languages_may_be_those_of_the_data_alone(pico_base: Path) -> None:
    grid = found(pico_base, "pos.sft", "--pos", "data/{lang}.conllu")
    assert set(grid["languages"]) == set(LANGUAGES)


def test_another_system_is_compared_seed_by_seed(pico_base: Path) -> None:
    grid = found(pico_base, *SEEDED, "--against", "random/{lang}-{seed}.sft")
    both = found(pico_base, *GRID)
    assert grid["against"]["bb"]["metrics"] == both["systems"]["random"]["languages"]["bb"]
    for kind in ("difference", "p", "intervals"):
        assert grid["against"]["average"][kind] == both["comparisons"][0]["average"][kind]


def test_the_base_is_loaded_once_and_each_test_set_read_and_tokenised_once(
    pico_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()
    read, evaluator = PartOfSpeech.read, PartOfSpeech.evaluator

    def reading(self: PartOfSpeech, sources: Any) -> Any:
        calls["read"] += 1
        return read(self, sources)

    def tokenising(self: PartOfSpeech, *arguments: Any) -> Any:
        calls["tokenised"] += 1
        return evaluator(self, *arguments)

    def loading(*arguments: Any, **more: Any) -> Any:
        calls["loaded"] += 1
        return load_model(*arguments, **more)

    monkeypatch.setattr(PartOfSpeech, "read", reading)
    monkeypatch.setattr(PartOfSpeech, "evaluator", tokenising)
    monkeypatch.setattr("sftkit.evaluation.stage.load_model", loading)
    found(pico_base, *GRID)
    assert calls == {"read": 2, "tokenised": 2, "loaded": 1}


def test_tables_have_a_column_a_system_a_row_a_language_and_the_differences(pico_base: Path) -> None:
    printed = sftkit("evaluate", pico_base, *GRID).stdout
    assert "│ language │ examples │" in printed.replace("┃", "│")
    assert all(text in printed for text in ("aa", "bb", "average", *SYSTEMS, "lottery − random", "means of 3 seeds"))


def test_one_seed_is_no_seeds(pico_base: Path) -> None:
    each = "lottery/{lang}-{seed}0.sft"  # of 1, 2 and 10 the last
    printed = sftkit("evaluate", pico_base, "pos.sft", "--each", each, "--pos", "data/{lang}.conllu").stdout
    assert "means of 1 seed" in printed
    assert "1 seeds" not in printed


def test_csv_has_a_row_a_system_and_language(tmp_path: Path, pico_base: Path) -> None:
    grid = found(pico_base, *GRID, "--csv", tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["system"], row["data"]) for row in rows] == [
        (system, name) for system in SYSTEMS for name in (*LANGUAGES, "average")
    ]
    system = grid["systems"]["random"]
    assert float(rows[4]["accuracy"]) == system["languages"]["bb"]["accuracy"]
    assert float(rows[5]["accuracy_sd"]) == system["deviations"]["average"]["accuracy"]
    assert {row["seeds"] for row in rows} == {"3"}


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_picture_is_drawn_in_the_format_of_its_name(ending: str, tmp_path: Path, pico_base: Path) -> None:
    path = tmp_path / f"x.{ending}"
    assert sftkit("evaluate", pico_base, *GRID, "--plot", path).status == 0
    assert path.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])


def test_the_picture_names_languages_systems_and_the_metric(tmp_path: Path, pico_base: Path) -> None:
    path = tmp_path / "x.svg"
    sftkit("evaluate", pico_base, *GRID, "--plot", path)
    text = path.read_text()  # each text is in a comment beside its outlines
    assert all(f"<!-- {name} -->" in text for name in (*LANGUAGES, "average", *SYSTEMS))
    assert "<!-- accuracy; lines: 95 % bootstrap intervals -->" in text


def test_one_set_of_data_has_a_picture_too(tmp_path: Path, pico_base: Path) -> None:
    done = sftkit(
        "evaluate", pico_base, "pos.sft", "--pos", "data/aa.conllu", "--against", "lottery/aa-1.sft",
        "--plot", tmp_path / "x.png",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert (tmp_path / "x.png").is_file()


def test_more_sfts_than_files_may_be_open_are_opened(pico_base: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no such limit there")
    script = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "from sftkit.cli.run import request\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); request._allow_open_files(300)\n"
        "print(min(556, hard if hard > 0 else 556) <= resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_a_weight_and_a_pick_of_parameters_are_no_part_of_the_names(pico_base: Path) -> None:
    weighted, picked = (
        found(pico_base, "pos.sft", f"lottery/aa-{{seed}}.sft:{weight}", "--pos", "data/aa.conllu")
        for weight in ("0.5", "0.5@encoder")
    )
    one = found(pico_base, "pos.sft", "lottery/aa-10.sft:0.5", "--pos", "data/aa.conllu")
    assert weighted["seeds"]["data/aa.conllu"]["10"] == one["metrics"]
    assert list(picked["seeds"]["average"]) == list(SEEDS)


def test_without_draws_there_are_means_and_no_intervals(pico_base: Path) -> None:
    grid = found(pico_base, *GRID, "--resamples", 0)
    assert grid["systems"]["lottery"]["intervals"] == {"aa": {}, "bb": {}, "average": {}}
    assert grid["comparisons"][0]["average"]["p"] == {}
    printed = sftkit("evaluate", pico_base, *GRID, "--resamples", 0).stdout
    assert "lottery − random" in printed
    assert "bootstrap" not in printed


@pytest.fixture(scope="module")
def entities(folder: Path, pico_base: Path) -> Path:
    """``ner.sft`` and ``data/{aa,bb}.txt``, beside what is there of words' classes."""
    text = "ta B-PER\nmi I-PER\nlo O\n. O\n\nka O\nsu B-LOC\n\n"
    (folder / "ner.txt").write_text(text * 20)
    for language, times in (("aa", 5), ("bb", 7)):
        (folder / f"data/{language}.txt").write_text(text * times)
    quick = ("--base", pico_base, "--steps", 4, "--k", 300, "--lr", "1e-2", "--device", "cpu", "--quiet")
    assert sftkit("train", "--ner", folder / "ner.txt", "-o", folder / "ner.sft", *quick).status == 0
    return folder


DATA = ("--pos", "data/{lang}.conllu", "--ner", "data/{lang}.txt")


TASKS = ("{task}.sft", "--each", "{system}/{lang}-{seed}.sft", *DATA)


def test_several_tasks_score_what_each_scores_alone(entities: Path, pico_base: Path) -> None:
    both = found(pico_base, *TASKS, "--scheme", "conlleval", "--csv", "both.csv")
    assert list(both["tasks"]) == ["pos", "ner"]
    assert both["tasks"]["pos"] == found(pico_base, *GRID)
    ner = ("ner.sft", "--each", "{system}/{lang}-{seed}.sft", "--ner", "data/{lang}.txt", "--scheme", "conlleval")
    assert both["tasks"]["ner"] == found(pico_base, *ner)
    with (entities / "both.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert Counter(row["task"] for row in rows) == {"pos": 6, "ner": 6}
    assert all(bool(row["accuracy"]) == (row["task"] == "pos") for row in rows)


def test_several_tasks_without_the_mark_of_a_task_are_wrong_usage(entities: Path, pico_base: Path) -> None:
    done = sftkit("evaluate", pico_base, "pos.sft", *TASKS[1:])
    assert done.status == 2
    assert "One objective at a time" in done.stderr


def test_a_picture_is_of_one_task(entities: Path, pico_base: Path) -> None:
    done = sftkit("evaluate", pico_base, *TASKS, "--plot", "x.png")
    assert done.status == 2
    assert not Path("x.png").exists()
