"""``sftkit overlap`` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sftkit.cli.commands.overlap import METRICS as OFFERED
from sftkit.inspecting.overlap import METRICS
from tests.cli.run import sftkit
from tests.helpers.build import save_sft
from tests.helpers.pico import save_base


@pytest.fixture(scope="module")
def sfts(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sfts")
    return [
        save_sft(folder / f"{name}.sft", pico_base, seed=seed, k=2000) for seed, name in enumerate(("mt", "ha", "yo"))
    ]


def test_the_metrics_of_the_command_are_those_of_the_library() -> None:
    assert list(OFFERED) == list(METRICS)


@pytest.mark.parametrize("metric", METRICS)
def test_json_has_the_documented_keys(metric: str, sfts: list[Path]) -> None:
    document = json.loads(sftkit("overlap", *sfts, "--metric", metric, "--json").stdout)
    assert document.keys() >= {"files", "metric", "matrix", "expected"}
    assert document["files"] == [str(path) for path in sfts]
    assert document["metric"] == metric
    assert [len(row) for row in document["matrix"]] == [3, 3, 3]
    assert document["matrix"][0][1] == document["matrix"][1][0]
    assert [len(row) for row in document["expected"]] == [3, 3, 3]


def test_the_table_names_the_files_and_says_what_chance_would_give(sfts: list[Path]) -> None:
    shown = sftkit("overlap", *sfts)
    assert shown.status == 0
    for expected in ("mt", "ha", "yo", "100.0", "2,000", "random positions within each parameter would give"):
        assert expected in shown.stdout


def test_layers_are_shown_and_given_in_json(sfts: list[Path]) -> None:
    assert "encoder.layer.1" in sftkit("overlap", *sfts, "--per-layer").stdout
    document = json.loads(sftkit("overlap", *sfts, "--per-layer", "--json").stdout)
    assert [layer["name"] for layer in document["layers"]] == ["embeddings", "encoder.layer.0", "encoder.layer.1"]
    assert document["layers"][0].keys() == {"name", "matrix", "expected", "expected_uniform"}


def test_many_files_by_layer_are_shown_as_a_range(sfts: list[Path]) -> None:
    shown = sftkit("overlap", *sfts, *sfts, "--per-layer", "--metric", "lift").stdout
    assert "lowest" in shown
    assert "mt #2" in shown


@pytest.mark.parametrize("metric", METRICS)
def test_a_picture_and_a_csv_file_are_written(metric: str, sfts: list[Path], tmp_path: Path) -> None:
    options = ("--metric", metric, "--plot", tmp_path / "o.png", "--csv", tmp_path / "o.csv")
    assert sftkit("overlap", *sfts, *options).status == 0
    assert (tmp_path / "o.png").read_bytes()[1:4] == b"PNG"
    assert (tmp_path / "o.csv").read_text().startswith(f"{metric},mt,ha,yo\n")
    again = sftkit("overlap", *sfts, *options)
    assert again.status == 1
    assert "--overwrite" in again.stderr


def test_a_single_file_is_wrong_usage(sfts: list[Path]) -> None:
    refused = sftkit("overlap", sfts[0])
    assert refused.status == 2
    assert "name two SFTs or more" in refused.stderr.splitlines()[0]


def test_sfts_of_two_bases_are_an_error_in_one_line(sfts: list[Path], tmp_path: Path) -> None:
    other = save_sft(tmp_path / "other.sft", save_base(tmp_path / "base", seed=5))
    refused = sftkit("overlap", sfts[0], other, "--json")
    assert (refused.status, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
    assert "another base" in refused.stderr


def test_a_table_does_not_replace_an_sft_that_it_is_made_from(sfts: list[Path]) -> None:
    before = sfts[0].read_bytes()
    done = sftkit("overlap", *sfts, "--csv", sfts[0], "--overwrite")
    assert (done.status, sfts[0].read_bytes()) == (1, before)
    assert "would replace" in done.stderr
