"""``sftkit report``: one page that needs nothing else and obeys nobody."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sftkit.format.writing import write
from sftkit.inspecting.page.frame import Cell, document, rows
from tests.cli.run import sftkit
from tests.format.golden import golden
from tests.helpers import scores

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Elements that have no end.
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Sees that every element ends where it should, and keeps the elements, the attributes and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def trained(name: str) -> dict[str, object]:
    return {
        "history": {"phase1": [[0, 3.0], [2, 2.5]], "phase2": [[0, 3.0], [2, 2.7], [4, float("2.4")]]},
        "best": {"step": 4, "value": 2.4, "metric": name}, "start": {"metric": name, "value": 3.0},
    }  # fmt: skip


@pytest.fixture
def sfts(tmp_path: Path) -> list[Path]:
    metadata = golden().metadata
    made = [
        replace(golden(), metadata=replace(metadata, objective=objective, training=trained(name)))
        for objective, name in (("mlm", "loss"), (HOSTILE, HOSTILE))
    ]
    return [write(tmp_path / f"{name}.sft", sft) for name, sft in zip("ab", made, strict=True)]


def report(*arguments: object) -> Page:
    done = sftkit("report", *arguments)
    assert done.status == 0, done.stderr
    return Page(Path(done.stdout.strip()).read_text(encoding="utf-8"))


def test_a_page_tells_what_sfts_are_and_how_they_overlap(sfts: list[Path], tmp_path: Path) -> None:
    page = report(*sfts, "-o", tmp_path / "r.html")
    assert page.tags.count("h1") == 1
    for words in ("2 sparse fine-tunings", "At a glance", "Overlap", "How they were learned", "Where its entries sit"):
        assert words in page.text
    assert "svg" in page.tags


def test_of_one_sft_nothing_is_said_of_overlap(sfts: list[Path], tmp_path: Path) -> None:
    assert "by chance" not in report(sfts[0], "-o", tmp_path / "r.html").text


def test_names_and_records_of_strangers_are_shown_and_never_obeyed(sfts: list[Path], tmp_path: Path) -> None:
    page = report(*sfts, "-o", tmp_path / "r.html")
    assert page.tags.count("script") == 1  # the page's own
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_nothing_is_asked_of_the_network(sfts: list[Path], tmp_path: Path) -> None:
    report(*sfts, "-o", tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.search(r"https?://|@import|url\(", text) is None
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text


def test_the_same_files_give_the_same_page(sfts: list[Path], tmp_path: Path) -> None:
    report(*sfts, "-o", tmp_path / "one.html")
    report(*sfts, "-o", tmp_path / "two.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_scores_of_a_sweep_are_on_the_page(sfts: list[Path], tmp_path: Path) -> None:
    scores.write(tmp_path / "results.csv", scores.sweep())
    assert "Scores" in report(sfts[0], "--scores", tmp_path / "results.csv", "-o", tmp_path / "r.html").text


@pytest.mark.parametrize(
    "scores_of",
    [
        {"objective": "pos", "data": ["x.conllu"], "examples": 3, "metrics": {"accuracy": 0.4321},
         "intervals": {"accuracy": [0.4, 0.5]}},
        {"objective": "pos", "languages": {"mt": {"accuracy": 0.4321}}, "average": {"accuracy": 0.4321}},
        {"tasks": {"pos": {"objective": "pos", "systems": {
            "random": {"languages": {"mt": {"accuracy": 0.4321}}, "average": {"accuracy": 0.4321}}}}}},
    ],
)  # fmt: skip
def test_scores_of_evaluate_are_on_the_page(scores_of: object, sfts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(json.dumps(scores_of))
    assert "0.4321" in report(sfts[0], "--scores", tmp_path / "s.json", "-o", tmp_path / "r.html").text


@pytest.mark.parametrize("text", ["[]", "{}", '{"objective": "pos", "metrics": 3}', "no json", '{"tasks": {}}'])
def test_other_json_is_refused_in_one_line_and_no_page_is_written(text: str, sfts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(text)
    done = sftkit("report", sfts[0], "--scores", tmp_path / "s.json", "-o", tmp_path / "r.html")
    assert done.status == 1
    assert "s.json" in done.stderr
    assert not (tmp_path / "r.html").exists()


def test_a_page_that_is_there_is_kept_unless_it_may_be_replaced(sfts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("mine")
    assert sftkit("report", sfts[0], "-o", tmp_path / "r.html").status == 1
    assert (tmp_path / "r.html").read_text() == "mine"
    report(sfts[0], "-o", tmp_path / "r.html", "--overwrite")


def test_another_ending_than_a_pages_is_refused(sfts: list[Path], tmp_path: Path) -> None:
    done = sftkit("report", sfts[0], "-o", tmp_path / "r.pdf")
    assert done.status == 1
    assert ".html" in done.stderr


def test_sfts_of_different_bases_have_a_page_without_overlap(sfts: list[Path], tmp_path: Path) -> None:
    base = golden().metadata.base
    assert base is not None
    other = replace(golden().metadata, base=replace(base, fingerprint="0" * 32, rounded={}))
    write(tmp_path / "c.sft", replace(golden(), metadata=other))
    done = sftkit("report", sfts[0], tmp_path / "c.sft", "-o", tmp_path / "r.html")
    assert done.status == 0
    assert "nothing of overlap" in done.stderr


def test_an_sft_without_entries_or_record_has_a_page(tmp_path: Path) -> None:
    empty = replace(golden(), parameters={}, head={}, metadata=replace(golden().metadata, training={}, k=0, head=None))
    report(write(tmp_path / "e.sft", empty), "-o", tmp_path / "r.html")


def dom(path: Path) -> str:
    """What a browser makes of a page."""
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", f"file://{path}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_runs_the_pages_own_script_under_its_policy(sfts: list[Path], tmp_path: Path) -> None:
    report(*sfts, "-o", tmp_path / "r.html")
    assert 'data-sorts="yes"' in dom(tmp_path / "r.html")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_in_a_browser_a_click_on_a_heading_sorts_what_is_missing_last_or_first(tmp_path: Path) -> None:
    missing = ("–", float("-inf"))
    values: list[Cell] = [("3", 3.0), missing, ("1", 1.0), missing, ("2", 2.0)]
    cells: list[list[Cell]] = [[name, value] for name, value in zip("abcde", values, strict=True)]
    text = document("x", rows(["name", "value"], cells))
    click = "document.querySelectorAll('th button')[1].click();"
    body, script = text.rsplit("<script>", 1)
    # the page's own policy lets no other script run, so the click is made part of a copy without it
    copy = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", body) + "<script>" + script
    (tmp_path / "c.html").write_text(copy.replace("</body>", f"<script>{click}</script></body>"), encoding="utf-8")
    table = dom(tmp_path / "c.html").split("<tbody>")[1]
    assert re.findall(r"<td>(\w)</td>", table) == ["b", "d", "c", "e", "a"]
