"""The application itself: what it lists is what it runs."""

import re

import pytest

from sftkit.cli.app import SUMMARIES, built
from tests.cli.run import sftkit


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_command_is_listed_with_the_first_line_of_its_help(name: str) -> None:
    help_text = built(name).help
    assert help_text is not None
    assert SUMMARIES[name] == help_text.splitlines()[0]


def test_what_is_wrong_in_another_process_than_the_first_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    done = sftkit("train", "--mlm", "none.txt")
    assert (done.status, done.stderr, len(waited)) == (1, "error: none.txt: no such file.\n", 1)


@pytest.mark.parametrize("arguments", [("--help",), *((name, "--help") for name in SUMMARIES)], ids=" ".join)
def test_an_option_without_a_value_is_shown_without_a_type(arguments: tuple[str, ...]) -> None:
    shown = sftkit(*arguments).stdout
    assert re.search("--help, -h +Show", shown)
    assert "<bool>" not in shown
