"""``sftkit compose`` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sftkit.cli.app import app
from sftkit.format.files import SftFile
from tests.helpers.build import save_sft
from tests.helpers.pico import save_base


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = save_base(tmp_path / "base")
    save_sft(tmp_path / "mt.sft", base)
    save_sft(tmp_path / "pos.sft", base, objective="pos", seed=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["compose", *arguments])


def test_a_base_and_sfts_make_a_model_and_the_json_keys_are_those_promised(work: Path) -> None:
    result = run("base", "mt.sft", "pos.sft:0.5", "-o", "model", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["output"] == "model"
    assert document["sfts"] == [
        {"path": "mt.sft", "weight": 1.0, "k": 200},
        {"path": "pos.sft", "weight": 0.5, "k": 200},
    ]
    assert document["entries"] + document["overlap"] == 400
    assert document["sign_conflicts"] <= document["overlap"]
    assert (work / "model" / "config.json").is_file()


def test_sfts_alone_make_an_sft(work: Path) -> None:
    assert run("mt.sft", "pos.sft", "-o", "sum.sft", "--values", "bf16").exit_code == 0
    assert SftFile(work / "sum.sft").stored_values == "bf16"


def test_a_file_whose_name_holds_the_colon_wins(work: Path) -> None:
    (work / "mt.sft").rename(work / "mt.sft:0.5")
    document = json.loads(run("base", "mt.sft:0.5", "-o", "model", "--json").stdout)
    assert document["sfts"] == [{"path": "mt.sft:0.5", "weight": 1.0, "k": 200}]


def test_quiet_says_nothing_and_plain_says_where(work: Path) -> None:
    quiet, plain = run("base", "mt.sft", "-o", "a", "-q"), run("base", "mt.sft", "-o", "b")
    assert (quiet.stdout, quiet.stderr) == ("", "")
    assert plain.stdout == "b\n"


def test_a_dry_run_reports_and_writes_nothing(work: Path) -> None:
    result = run("base", "mt.sft", "pos.sft", "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert document["head"] == {"kind": "task", "from": "pos.sft", "untied": False}
    assert (document["output"], document["problems"], document["dtype"]) == (None, [], "float32")
    assert {"entries", "overlap", "sign_conflicts", "lost", "rounding"} <= set(document)
    assert sorted(path.name for path in work.iterdir()) == ["base", "mt.sft", "pos.sft"]


def test_a_dry_run_counts_what_a_low_precision_base_would_round_away(work: Path) -> None:
    import ml_dtypes
    from safetensors.numpy import load_file, save_file

    path = work / "base" / "model.safetensors"
    save_file({k: v.astype(ml_dtypes.bfloat16) for k, v in load_file(path).items()}, path, {"format": "pt"})
    save_sft(work / "small.sft", work / "base", scale=1e-6)
    document = json.loads(run("base", "small.sft", "--dry-run", "--json").stdout)
    assert document["dtype"] == "bfloat16"
    assert document["lost"] > 50
    assert document["rounding"] > 0.2


def test_a_dry_run_lists_every_name_and_shape_that_does_not_fit(work: Path) -> None:
    other = save_base(work / "other", vocab_size=130, num_hidden_layers=3)
    save_sft(work / "other.sft", other)
    result = run("base", "other.sft", "--dry-run", "--json")
    problems = json.loads(result.stdout)["problems"]
    assert result.exit_code == 1
    assert any("[130, 16]" in line and "[120, 16]" in line for line in problems)
    assert sum("encoder.layer.2" in line for line in problems) == 16


def test_the_plain_dry_run_names_the_head_that_wins(work: Path) -> None:
    assert "a task's (pos.sft)" in run("base", "mt.sft", "pos.sft", "--dry-run").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("base", "base", "mt.sft", "-o", "x"), "both models"),
        (("mt.sft", "-o", "x"), "Write -o x.sft"),
        (("base", "mt.sft", "-o", "x.sft"), "Write -o x/"),
        (("base", "no.sft", "-o", "x"), "no.sft: no such file"),
        (("no/such/base", "mt.sft", "-o", "x"), "no/such/base: no such file or directory"),
        (("base", "base/config.json", "-o", "x"), "not a safetensors file"),
        (("base", "mt.sft", "-o", "base"), "exists already"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_status_1(work: Path, arguments: tuple[str, ...], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (work / "x").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("base", "mt.sft"),
        ("base", "mt.sft:much", "-o", "x"),
        ("base:2", "mt.sft", "-o", "x"),
        ("base", "mt.sft", "-o", "x", "--method", "slerp"),
        ("base", "mt.sft", "-o", "x", "--trim", "1.5"),
        ("base", "mt.sft", "-o", "x", "--shard-size", "big"),
        ("mt.sft", "-o", "x.sft", "--values", "f8"),
    ],
)
def test_wrong_usage_is_status_2(work: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_help_shows_an_example() -> None:
    assert "sftkit compose mmt-small/ mt.sft pos.sft" in run("--help").stdout


_CHECK = """
import sys
from sftkit.cli.app import app
try:
    app(sys.argv[1:])
except SystemExit as stop:
    assert not stop.code, stop.code
assert not {"torch", "transformers", "scipy"} & set(sys.modules), sorted(sys.modules)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("compose", "--help"),
        ("compose", "base", "mt.sft", "pos.sft", "-o", "out"),
        ("compose", "base", "mt.sft", "pos.sft", "--dry-run"),
        ("compose", "mt.sft", "pos.sft", "-o", "out.sft"),
        ("subtract", "mt.sft", "pos.sft", "-o", "out.sft"),
        ("subtract", "base", "mt.sft", "-o", "out"),
        ("subtract", "tuned", "base", "-o", "out.sft", "--k", "3"),
    ],
    ids=" ".join,
)
def test_neither_torch_nor_transformers_is_imported(work: Path, command: tuple[str, ...]) -> None:
    if "tuned" in command:
        save_base(work / "tuned", seed=1)
    root = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", _CHECK, *command], check=True, env=os.environ | {"PYTHONPATH": root})


@pytest.mark.usefixtures("work")
def test_an_option_of_another_method_is_a_usage_error() -> None:
    done = run("base", "mt.sft", "-o", "model", "--trim", "0.3")
    assert done.exit_code == 2
    assert "--method ties" in done.output


@pytest.mark.parametrize(
    ("extra", "says"),
    [(("--seed", "1"), "--seed is about --method dare"), (("--values", "bf16"), "--values is about SFTs alone")],
)
def test_an_option_that_would_have_no_effect_is_told(
    extra: tuple[str, ...], says: str, pico_base: Path, tmp_path: Path
) -> None:
    save_sft(tmp_path / "a.sft", pico_base)
    done = run(str(pico_base), str(tmp_path / "a.sft"), *extra, "-o", str(tmp_path / "out"))
    assert done.exit_code != 0
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()
