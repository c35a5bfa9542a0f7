"""What shells are told, and ``completions/``: what the program would generate now."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not in its __all__

from sftkit.cli.options.completions import FILES, scripts
from sftkit.cli.options.shells import offer
from sftkit.tasks.options import FILES as OBJECTIVES
from sftkit.training.methods.registry import METHODS
from tests.cli.run import answered, sftkit

FOLDER = Path(__file__).parents[2] / "completions"


@pytest.mark.parametrize("name", ["sftkit.bash", "_sftkit", "sftkit.fish"])
def test_completions_are_current(name: str) -> None:
    made = scripts()[name]
    assert (FOLDER / name).read_text(encoding="utf-8") == made, (
        "run: python -m sftkit.cli.options.completions completions"
    )
    assert "sftkit" in made


def test_completions_has_nothing_else() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(scripts())


@pytest.mark.parametrize("name", FILES)
def test_what_is_installed_is_what_completions_has(name: str) -> None:
    offer()
    made = get_completion_script(prog_name="sftkit", complete_var="_SFTKIT_COMPLETE", shell=FILES[name][0])
    assert made + "\n" == scripts()[name]


VALUES = {
    "train --method": METHODS,
    "train --criterion": ("change", "magnitude-increase", "movement", "fisher"),
    "train --selection": ("full", "streaming"),
    "train --precision": ("f32", "bf16", "f16"),
    "train --base-dtype": ("f32", "bf16"),
    "train --objective": OBJECTIVES,
    "train --device": ("auto", "cpu", "cuda", "mps"),
    "train --scheme": ("strict", "conlleval"),
    "train --scheme-in": ("iob2", "iob1", "bioes", "bilou", "bmes"),
    "train --language": ("ar", "de", "en", "es", "hi", "vi", "zh"),
    "train --values": ("f32", "bf16", "f16"),
    "evaluate --decode": ("tree", "greedy"),
    "evaluate --device": ("auto", "cpu", "cuda", "mps"),
    "predict --decode": ("tree", "greedy"),
    "overlap --metric": ("share", "jaccard", "lift", "sign", "cosine"),
    "compose --method": ("sum", "ties", "dare"),
    "convert --objective": OBJECTIVES,
    "subtract --values": ("f32", "bf16", "f16"),
}


@pytest.mark.parametrize("line", VALUES)
def test_the_values_of_an_option_are_offered(line: str) -> None:
    offered = [answer.split("\t")[:2] for answer in answered(f"{line} ")]
    assert sorted(offered) == sorted(["plain", value] for value in VALUES[line])


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("compose ", "sft"), ("inspect ", "sft"), ("overlap a.sft ", "sft"), ("evaluate base/ ", "sft"),
        ("train --with ", "sft"), ("compose --head ", "sft"), ("push ", "sft"),
        ("evaluate ", "dir"), ("predict ", "dir"), ("train --base ", "dir"), ("train --run-dir ", "dir"),
        ("train --mlm ", "file"), ("train --config ", "file"), ("overlap --plot ", "file"),
    ],
)  # fmt: skip
def test_files_are_left_to_the_shell_by_their_kind(line: str, kind: str) -> None:
    assert [answer.split("\t")[0] for answer in answered(line)] == [kind]


def test_help_offers_pages_and_commands() -> None:
    assert [answer.split("\t")[1] for answer in answered("help tra")] == ["transfer", "training", "train"]


def test_sweep_offers_what_comes_along_and_files() -> None:
    assert answered("sweep w")[0].startswith("plain\tworld\tAn invented world")
    assert [answer.split("\t")[0] for answer in answered("sweep w")] == ["plain", "file"]


def test_numbers_and_names_on_the_hub_are_not_completed() -> None:
    for line in ("train --lr ", "pull "):
        assert answered(line) == []


def test_the_completion_that_is_shown_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "zsh")
    assert sftkit("--show-completion").stdout == scripts()["_sftkit"]
