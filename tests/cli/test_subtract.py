"""``sftkit subtract`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sftkit.cli.app import app
from tests.helpers.build import save_sft
from tests.helpers.pico import save_base


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = save_base(tmp_path / "base")
    save_sft(tmp_path / "mt.sft", base)
    save_sft(tmp_path / "pos.sft", base, objective="pos", seed=1)
    monkeypatch.chdir(tmp_path)
    run("compose", "base", "mt.sft", "pos.sft", "-o", "model")
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments])


def test_a_model_minus_its_sfts_is_the_base_and_says_so(work: Path) -> None:
    result = run("subtract", "model", "mt.sft", "pos.sft", "-o", "again", "--json")
    document = json.loads(result.stdout)
    assert document["exact"] is True
    assert "to the byte" in document["notes"][0]
    name = "model.safetensors"
    assert (work / "again" / name).read_bytes() == (work / "base" / name).read_bytes()


def test_two_models_make_an_sft_of_the_k_largest_differences(work: Path) -> None:
    document = json.loads(run("subtract", "model", "base", "--k", "7", "-o", "d.sft", "--json").stdout)
    assert (document["output"], document["entries"], document["k"]) == ("d.sft", 7, 7)
    assert {"sfts", "overlap", "sign_conflicts"} <= set(document)


def test_weights_count_in_a_difference_of_sfts(work: Path) -> None:
    document = json.loads(run("subtract", "mt.sft", "mt.sft:0.5", "-o", "half.sft", "--json").stdout)
    assert document["entries"] == 200
    assert document["sfts"] == [
        {"path": "mt.sft", "weight": 1.0, "k": 200},
        {"path": "mt.sft", "weight": -0.5, "k": 200},
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mt.sft", "base", "-o", "x.sft"), "The other way round"),
        (("model", "base", "mt.sft", "-o", "x.sft"), "one other model"),
        (("model", "mt.sft", "-o", "x.sft"), "Write -o x/"),
        (("model", "base", "-o", "x"), "Write -o x.sft"),
        (("mt.sft", "pos.sft", "-o", "x"), "Write -o x.sft"),
        (("mt.sft", "pos.sft", "-o", "x.sft", "--k", "3"), "differences of two models"),
    ],
)
def test_what_has_no_meaning_is_one_line_and_status_1(work: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run("subtract", *arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("model", "base"),
        ("model", "base", "-o", "x.sft", "--k", "3", "--density", "0.1"),
        ("model", "base", "-o", "x.sft", "--density", "2"),
        ("model", "base", "-o", "x.sft", "--k", "0"),
    ],
)
def test_wrong_usage_is_status_2(work: Path, arguments: tuple[str, ...]) -> None:
    assert run("subtract", *arguments).exit_code == 2


def test_help_shows_an_example() -> None:
    assert "sftkit subtract tuned/ base/ --density 0.04" in run("subtract", "--help").stdout
