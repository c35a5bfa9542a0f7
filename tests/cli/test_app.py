"""The application itself: what it lists is what it runs."""

import pytest

from sftkit.cli.app import SUMMARIES, built


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_command_is_listed_with_the_first_line_of_its_help(name: str) -> None:
    help_text = built(name).help
    assert help_text is not None
    assert SUMMARIES[name] == help_text.splitlines()[0]
