"""The page on recipes says what the settings are."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from sftkit.cli.app import built
from sftkit.tasks.registry import objective_of
from sftkit.training.recipes import LANGUAGE_DENSITY, LANGUAGE_K, PAPER_BACKBONES, RECIPES, TASK_DENSITY, TASK_K
from sftkit.training.settings import settings_for

PAGE = files("sftkit").joinpath("docs/recipes.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
OURS = {(who, setting): ours for whom, setting, _, _, ours, _ in ROWS for who in whom.split(", ")}


def groups(objective: str) -> tuple[str, ...]:
    return objective, "languages" if objective in ("mlm", "clm") else "tasks", "all"


def says(objective: str, setting: str) -> bool:
    """Whether the page says something of one objective."""
    return any((group, setting) in OURS for group in groups(objective))


def ours(objective: str, setting: str) -> str:
    """What it says."""
    return next(OURS[group, setting] for group in groups(objective) if (group, setting) in OURS)


def number(text: str) -> float:
    """The number that a cell begins with."""
    found = re.match(r"[\d,]+(\.\d+)?(e-\d+)?", text)
    assert found is not None, text
    return float(found[0].rstrip(",").replace(",", ""))


@pytest.mark.parametrize("objective", list(RECIPES))
def test_numbers_on_the_page_are_those_of_the_settings(objective: str) -> None:
    made = settings_for(objective)
    assert number(ours(objective, "sequences a step")) == made.batch_size * made.accumulate
    assert number(ours(objective, "tokens a sequence")) == made.max_length
    assert number(ours(objective, "learning rate")) == made.lr
    assert number(ours(objective, "epochs, phase 1")) == made.phase1.epochs
    assert number(ours(objective, "epochs, phase 2")) == made.phase2.epochs
    assert number(ours(objective, "steps between evaluations")) == made.eval_every
    assert number(ours(objective, "λ of L1")) == made.l1
    assert re.search(r"(\d+) %", ours(objective, "held out")), "a share"
    assert f"{made.held_out:.0%}".replace("%", " %") in ours(objective, "held out")
    assert ours(objective, "precision").startswith(made.precision)
    assert (made.train_norms, made.iterations, made.density, made.k) == (False, 1, None, None)


@pytest.mark.parametrize("objective", ["mlm", "clm"])
def test_a_languages_steps_on_the_page_are_those_of_the_settings(objective: str) -> None:
    made = settings_for(objective)
    for phase in (made.phase1, made.phase2):
        assert number(ours(objective, "most steps a phase")) == phase.steps
        assert number(ours(objective, "fewest steps a phase")) == phase.min_steps


@pytest.mark.parametrize(
    ("objective", "k", "density"), [("mlm", LANGUAGE_K, LANGUAGE_DENSITY), ("pos", TASK_K, TASK_DENSITY)]
)
def test_k_and_densities_on_the_page_are_those_of_the_settings(objective: str, k: int, density: float) -> None:
    assert ours(objective, "K").startswith(f"{k:,} on mBERT and XLM-R base, elsewhere {100 * density:.2f} %")
    assert f"{k:,} / 177,262,848 = {100 * density:.2f} %" in PAGE
    assert all(f"{size:,}" in PAGE for _, _, size in PAPER_BACKBONES.values())


@pytest.mark.parametrize("objective", list(RECIPES))
def test_the_metric_on_the_page_is_what_the_best_step_is_chosen_by(objective: str) -> None:
    named = [setting for _, setting in OURS if "best step by" in setting]
    (said,) = {ours(objective, setting) for setting in named if says(objective, setting)}
    assert objective_of(objective).best_metric in said.lower().replace("exact match", "")


def test_every_option_that_the_page_names_is_there() -> None:
    found = {
        option
        for name in ("train", "evaluate")
        for part in built(name).params
        for option in (*part.opts, *part.secondary_opts)
    }
    assert set(re.findall(r"`(--[a-z0-9-]+)", PAGE)) - {"--lang"} <= found
