"""The pages in a terminal: code that can be copied, whole tables, links that lead somewhere."""

from __future__ import annotations

import re

import pytest

from sftkit.cli.commands.help import PAGES, page
from tests.cli.run import sftkit
from tests.helpers.screen import on_terminal

_CODE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", PAGES)
def test_every_line_of_code_is_whole(name: str) -> None:
    shown = {line.strip() for line in on_terminal("help", name).printed}
    for block in _CODE.findall(page(name)):
        assert not [line for line in block.splitlines() if line.strip() not in shown]


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_of_a_page_is_cut_and_no_link_leads_to_a_file(name: str, width: int) -> None:
    lines = on_terminal("help", name, width=width).printed
    code = {line.strip() for block in _CODE.findall(page(name)) for line in block.splitlines()}
    prose = [line for line in lines if line.strip() not in code]
    text = "\n".join(prose)
    assert max(map(len, (line for line in prose if "http" not in line))) <= width
    assert text.count("…") == _CODE.sub("", page(name)).count("…")  # none is of a table that was cut
    assert ".md)" not in text
    assert "<!--" not in text


def test_a_link_to_another_page_is_the_command_that_shows_it() -> None:
    text = " ".join(" ".join(on_terminal("help", "start").printed).split())
    assert "transfer (sftkit help transfer)" in text


def test_a_wide_terminal_is_used_for_tables_but_not_for_prose() -> None:
    narrow, wide = (on_terminal("help", "recipes", width=width).printed for width in (80, 200))
    assert len(wide) < 0.6 * len(narrow)
    assert max(map(len, wide)) > 150
    prose = on_terminal("help", "start", width=200).printed
    assert max(len(line) for line in prose if line[:1] not in " ┏┃┡│└") <= 100


def test_a_word_that_is_no_page_leads_to_pages_that_have_it() -> None:
    told = sftkit("help", "dendrogram").stderr
    assert "there is no such page. The word stands in: " in told
    assert "there is no such page. There are start, " in sftkit("help", "xyzzyx").stderr


def test_a_page_that_is_called_as_a_command_is_named() -> None:
    assert "transfer: there is no such command. It is a page: sftkit help transfer" in sftkit("transfer").stderr
