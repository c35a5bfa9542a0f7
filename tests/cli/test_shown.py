"""What stands in files is shown, and never obeyed: by a terminal, a page of Markdown, or a picture."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from sftkit.inspecting.summary import summarise
from sftkit.sharing.card import card
from sftkit.shown import in_markdown, quoted, shown, shown_on_a_line
from tests.cli.run import sftkit
from tests.format.raw import WEIGHT, document, write_raw
from tests.helpers.build import save_sft

EVIL = "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202eback\u2066\rover\x7f"
#: What a terminal obeys, but for line feeds and what rich itself sends between them.
ORDERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """An SFT whose every text holds orders."""
    training = {
        "data": [{"name": EVIL, "xxh3_128": EVIL}], EVIL: EVIL, "note": [EVIL], "best": {"step": 1, "metric": EVIL,
        "value": 1.0}, "history": {"phase1": [[1, 2.0]]}, "dev": EVIL,
    }  # fmt: skip
    parts: dict[str, Any] = {
        "parameters": {WEIGHT: {"shape": [3, 4]}, f"encoder.layer.{EVIL}.x": {"shape": [2]}},
        "base": {"name": EVIL, "model_type": EVIL, "revision": EVIL, "fingerprint": EVIL},
        "labels": [EVIL, "B"], "method": EVIL, "objective": EVIL, "head": EVIL, "trained_with": [EVIL],
        "parents": [{"name": EVIL, "weight": EVIL}], "tied_embeddings": {"input": EVIL, "output": EVIL},
    }  # fmt: skip
    return write_raw(tmp_path / "evil\x1b[2J.sft", sft=document(training=training, **parts))


@pytest.mark.parametrize("options", [(), ("--layers",), ("--json",)], ids=str)
def test_what_a_file_says_is_shown_and_not_sent(options: tuple[str, ...], evil: Path) -> None:
    done = sftkit("inspect", evil, *options)
    assert done.status == 0, done.stderr
    if "--json" in options:
        json.loads(done.stdout)
        assert "\x1b" not in done.stdout
    else:
        assert not ORDERS.search(done.stdout + done.stderr)
        assert r"a\x1b[31mred" in done.stdout
        assert r"evil\x1b[2J.sft" in done.stdout


def test_tables_stay_straight_around_what_is_made_visible(evil: Path) -> None:
    lines = [line for line in sftkit("inspect", evil).stdout.splitlines() if line.startswith(("│", "├"))]
    first = [len(line) for line in lines[:5]]
    assert len(set(first)) == 1


def test_several_files_side_by_side_and_their_overlap_send_nothing(evil: Path, tmp_path: Path) -> None:
    other = shutil.copy(evil, tmp_path / "other.sft")
    for command in (("inspect", evil, other), ("overlap", evil, other), ("compose", evil, other, "--dry-run")):
        done = sftkit(*command)
        assert not ORDERS.search(done.stdout + done.stderr), (command, done)


@pytest.mark.parametrize("command", ["inspect", "compose", "convert", "push"])
def test_what_is_wrong_is_told_on_a_line_that_sends_nothing(command: str, tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[31m\nerror: all is well.sft"
    path.write_bytes(b"no SFT")
    done = sftkit(
        command, path, *{"push": ("a/b",), "compose": ("-o", "y.sft"), "convert": ("-o", "y")}.get(command, ())
    )
    assert done.status in (1, 2)
    assert not ORDERS.search(done.stderr)
    assert len(done.stderr.splitlines()) == 1 or done.status == 2
    assert "\nerror: all is well" not in done.stderr


def test_a_wrong_weight_of_a_file_with_orders_in_its_name_is_told_without_them() -> None:
    done = sftkit("compose", "x\x1b[31m.sft:nonsense", "-o", "y.sft")
    assert done.status == 2
    assert "\x1b[31m" not in done.stderr
    assert r"\x1b" in done.stderr


def test_a_model_card_has_no_marks_but_its_own(tmp_path: Path, pico_base: Path) -> None:
    mark = "![x](http://a/b)<img src=x>`|*\n# head\x1b[0m"
    base = {"name": mark, "model_type": mark, "revision": mark, "fingerprint": mark}
    path = write_raw(
        tmp_path / "x.sft", sft=document(labels=[mark], method=mark, objective=mark, base=base, training={mark: mark})
    )
    text = card(summarise(path), "a/b", "x.sft")
    body = text.split("---\n", 2)[-1]
    outside = re.sub(r"(?<!\\)`[^`]*`", "", body)
    assert not [wrong for wrong in ("![x](", "<img", "\n# head", "\x1b", "`|") if wrong in outside.replace(r"\`\|", "")]
    assert "\x1b" not in text
    assert r"!\[x\](http://a/b)&lt;img src=x&gt;\`\|\*<br># head\\x1b\[0m" in body


def test_pictures_take_labels_as_they_are(tmp_path: Path, pico_base: Path) -> None:
    training = {"history": {"phase1": [[1, 2.0], [2, 1.0]]}, "best": {"step": 2, "metric": r"$\frac{x$", "value": 1.0}}
    path = save_sft(tmp_path / "a.sft", pico_base, training=training)
    for option in ("--plot", "--curves"):
        done = sftkit("inspect", path, option, tmp_path / f"x{option}.png")
        assert done.status == 0, done.stderr
    two = shutil.copy(path, tmp_path / r"$\frac{$.sft")
    assert sftkit("overlap", path, two, "--plot", tmp_path / "o.png").status == 0
    assert sftkit("inspect", two, "--plot", tmp_path / "p.png").status == 0


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"), ("naïve θ 漢字 😀 \u200d", "naïve θ 漢字 😀 \u200d"), ("a\tb\nc", "a\tb\nc"),
        ("\x1b[1m", r"\x1b[1m"),
        ("\x9b", r"\x9b"), ("\u202e", r"\u202e"), (os.fsdecode(b"\xe9"), r"\xe9"), ("\ud800", r"\ud800"),
    ],
)  # fmt: skip
def test_only_what_is_obeyed_is_changed(text: str, seen: str) -> None:
    assert shown(text) == seen
    assert shown(text).encode()


def test_messages_are_cut_in_the_middle_and_stay_on_a_line() -> None:
    cut = shown_on_a_line("a" * 9000 + "\n" + "z" * 9000)
    assert 1900 < len(cut) < 2100
    assert cut.startswith("aaa")
    assert cut.endswith("zzz")
    assert shown_on_a_line("a\nb") == r"a\nb"
    assert quoted("x" * 500) == "'" + "x" * 80 + "'…"
    assert quoted([1] * 500).endswith("…")
    assert quoted("short") == "'short'"
    assert in_markdown("a_b") == "a_b"
