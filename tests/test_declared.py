"""Options declared once: what the command line, files of options and help make of a field."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from sftkit.cli.app import built
from sftkit.cli.options.declared import Given, takes
from sftkit.declared import DATA, GROUPS, POSITIVE, Declared, by_objective, check_each, declared, option
from sftkit.errors import SettingsError
from sftkit.tasks.options import FILES, TaskOptions
from sftkit.training.length import Lengths
from sftkit.training.recipes import RECIPES
from sftkit.training.settings import Settings, settings_for


@dataclass(frozen=True)
class Table:
    recipes: ClassVar = {"pos": {"size": 3}, "ner": {}, "dep": {}}

    nothing: str = "no option"
    size: int = option(8, "Of something.", DATA, check=POSITIVE)
    ways: tuple[str, ...] = option((), "Several.", DATA, metavar="WAY")
    parts: tuple[int, ...] = option(
        (), "Numbers.", DATA, read=lambda text: tuple(map(int, text.split(","))), joined=True
    )
    kind: str = option("b", "Which.", DATA, "--sort", choices=("a", "b"))
    fast: bool = option(False, "Or not.", DATA)
    whole: bool = option(True, "Or not.", DATA, "--whole/--broken")
    file: Path | None = option(None, "A file.", DATA)


def asked(*arguments: str) -> dict[str, Any]:
    """What a command is told of the table."""
    found: list[Given] = []

    @takes({"pos": "Tags."}, Table)
    def command(given: Given, loud: bool = False) -> None:
        found.append(given)

    app = typer.Typer(add_completion=False)
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments))
    if done.exit_code:
        raise SettingsError(done.output)
    return found[0]


def test_what_was_not_said_is_not_there() -> None:
    assert asked() == {}
    assert asked("--loud") == {}


def test_what_was_said_comes_as_the_field_has_it() -> None:
    said = asked("--size", "8", "--ways", "x", "--ways", "y", "--parts", "1,2", "--sort", "A", "--fast", "--broken",
                 "--file", "f", "--pos", "p")  # fmt: skip
    assert said == {
        "size": 8, "ways": ("x", "y"), "parts": (1, 2), "kind": "a", "fast": True, "whole": False, "file": Path("f"),
        "pos": ("p",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("--size", "0"), "--size is 0; it must be a number more than 0"), (("--sort", "c"), "known are a, b")],
)
def test_a_wrong_value_is_refused_before_the_command_runs(arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(SettingsError) as error:
        asked(*arguments)
    assert told in " ".join(str(error.value).replace("│", " ").split())


def test_a_table_made_in_python_is_checked_by_its_options_names() -> None:
    with pytest.raises(SettingsError, match="--sort is 'c'; known are a, b"):
        check_each(Table(kind="c"))
    check_each(Table())


def by_name(table: type) -> dict[str, Declared]:
    return {each.name: each for each in declared(table)}


def test_help_says_values_and_defaults_by_objective() -> None:
    assert "nothing" not in by_name(Table)
    assert by_name(Table)["size"].help == "Of something.  Default: 8; pos 3."
    assert by_name(Table)["kind"].metavar == "a|b"
    assert "One of lottery, diff, " in by_name(Settings)["method"].help
    assert by_name(TaskOptions)["stride"].help.startswith("qa: ")


@pytest.mark.parametrize("name", [each.name for table in (Settings, Lengths) for each in declared(table)])
def test_a_default_in_words_is_what_holds(name: str) -> None:
    each = by_name(Settings if name in by_name(Settings) else Lengths)[name]
    if not (words := by_objective(name, each.default, RECIPES)):
        return
    groups = [part.rpartition(" ") for part in words.split("; ")]
    held = {objective.strip(","): value for names, _, value in groups for objective in names.split()}
    for objective in RECIPES:
        made = RECIPES[objective].get(name, each.default)
        told = held.get(objective, groups[0][2] if not groups[0][0] else "None").replace(",", "")
        assert told == f"{made:g}" if isinstance(made, float) else told == str(made)


def test_every_option_is_in_a_group_and_every_recipe_is_of_options() -> None:
    options = [each for table in (Settings, Lengths, TaskOptions) for each in declared(table)]
    assert {each.option.group for each in options} <= set(GROUPS)
    assert {name for recipe in RECIPES.values() for name in recipe} <= {each.name for each in options}
    assert {name for each in options for name in each.option.about} <= set(FILES)


def test_the_command_line_of_training_is_its_settings() -> None:
    params: dict[str | None, Any] = {param.name: param for param in built("train").params}
    for each in (each for table in (Settings, Lengths, TaskOptions) for each in declared(table)):
        param = params[each.name]
        assert re.split("/", "/".join(each.names)) == [*param.opts, *param.secondary_opts]
        assert (param.help, getattr(param, "rich_help_panel", "")) == (each.help, each.option.group)


def test_lengths_take_the_place_of_a_recipes() -> None:
    made = settings_for("pos", min_steps=5)
    assert (made.phase1.epochs, made.phase2.epochs, made.phase1.min_steps, made.phase2.min_steps) == (3, 10, 5, 5)
    made = settings_for("mlm", steps=7, phase1_epochs=0.5)
    assert (made.phase1.epochs, made.phase1.steps, made.phase1.min_steps) == (0.5, None, 0)
    assert (made.phase2.epochs, made.phase2.steps, made.phase2.min_steps) == (None, 7, 0)
