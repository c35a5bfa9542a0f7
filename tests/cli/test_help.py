"""``--help``: what to do first, groups, and eighty columns without a word broken."""

from __future__ import annotations

import re

import pytest

from sftkit.cli.app import SUMMARIES, built
from sftkit.cli.show.help import said, value_of
from sftkit.declared import GROUPS
from tests.cli.run import sftkit


@pytest.fixture(autouse=True)
def eighty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["alone", "--help"])
def test_the_first_words_are_of_what_to_do_first_and_where_the_pages_are(arguments: tuple[str, ...]) -> None:
    done = sftkit(*arguments)
    head = (done.stdout + done.stderr).split("─ Options")[0]
    assert re.search(r"First: +sftkit demo ", head)
    assert re.search(r"pages: +sftkit help ", head)


@pytest.mark.parametrize("command", SUMMARIES)
def test_eighty_columns_hold_every_word_whole(command: str) -> None:
    shown = sftkit(command, "--help").stdout
    assert max(map(len, shown.splitlines())) <= 80
    words = set(re.sub("[│╭╮╰╯─]", " ", shown).split())
    for param in built(command).params:
        expected = " ".join(said(param)).split()
        if param.param_type_name == "option" and not getattr(param, "is_flag", False):
            expected += value_of(param).split()
        assert set(expected) - words == set()
        assert {f"{name}" for name in param.opts if name.startswith("-")} - {
            word.rstrip(",") for word in words
        } == set()


@pytest.mark.parametrize("command", SUMMARIES)
def test_each_line_of_an_example_is_one_line(command: str) -> None:
    shown = sftkit(command, "--help").stdout
    examples = (built(command).help or "").partition("Examples:\n")[2]
    assert all(line.rstrip() in shown for line in examples.splitlines() if line.strip())


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "data", "compose"])
def test_many_options_stand_in_groups_in_one_order(command: str) -> None:
    titles = re.findall(r"^╭─ (.*?) ─", sftkit(command, "--help").stdout, re.MULTILINE)
    groups = [title for title in titles if title != "Arguments"]
    assert groups == [group for group in GROUPS if group in groups]
    assert len(groups) >= 3


def test_training_has_every_group() -> None:
    assert all(f"─ {group} ─" in sftkit("train", "--help").stdout for group in GROUPS)


def test_an_example_is_not_broken_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert (
        "  sftkit train --mlm mt.txt --base mmt-small/ --steps 2000 --lr 5e-4 -o mt.sft\n"
        in sftkit("train", "-h").stdout
    )
