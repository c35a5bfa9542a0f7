"""What SFTs, overlap and evaluations look like in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import sftkit
from sftkit.evaluation.run import Comparison, Evaluation
from tests.helpers.build import make_sft, save_sft

HOSTILE = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>"


LABELS = (HOSTILE, "B", "C")


class Page(HTMLParser):
    """Sees to it that elements close, and remembers them with their text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + "\n"


def harmless(page: Page) -> bool:
    tags = {"table", "thead", "tbody", "tr", "th", "td", "div", "span", "br", "details", "summary"}
    return page.tags <= tags and page.attributes <= {"style", "title", "open"}


@pytest.fixture
def hostile(pico_base: Path, tmp_path: Path) -> Path:
    return save_sft(
        tmp_path / f"{HOSTILE.replace('/', '')}.sft", pico_base, objective="pos", labels=(HOSTILE, "B", "C")
    )


def test_an_sft_shows_what_it_is_and_where_its_entries_sit(hostile: Path) -> None:
    for shown in (sftkit.read(hostile), sftkit.inspect(hostile), 2 * sftkit.read(hostile)):
        page = Page(shown._repr_html_())
        assert harmless(page)
        assert "encoder.layer.1" in page.text
        assert "feed-forward in" in page.text
        assert HOSTILE in page.text


def test_overlap_shows_every_pair_with_what_was_expected(hostile: Path, pico_base: Path) -> None:
    report = sftkit.overlap(hostile, sftkit.read(hostile), *(make_sft(pico_base, seed=seed, k=900) for seed in (1, 2)))
    page = Page(report._repr_html_())
    assert harmless(page)
    assert f"{100 * report.whole.matrix[2, 3]:.1f}" in page.text
    assert f"{100 * report.whole.expected[2, 3]:.1f}" in page.text


def test_an_evaluation_shows_its_metrics_with_intervals_and_its_details() -> None:
    found = Evaluation(
        (HOSTILE,), 12, {"accuracy": 0.5}, {"accuracy": (0.25, 0.75)},
        details={"labels": [{"label": HOSTILE, "f1": 0.125}]},
        against=Comparison({"accuracy": 0.375}, {"accuracy": 0.125}, {"accuracy": 0.03}),
    )  # fmt: skip
    page = Page(found._repr_html_())
    assert harmless(page)
    assert all(text in page.text for text in ("0.5000", "0.2500 to 0.7500", "0.3750", "+0.1250", "0.03", "f1", HOSTILE))


def test_an_sft_without_entries_is_shown(pico_base: Path) -> None:
    empty = make_sft(pico_base, k=0)
    assert harmless(Page(sftkit.inspect(empty)._repr_html_()))
    assert harmless(Page(sftkit.overlap(empty, empty)._repr_html_()))
    assert np.isnan(sftkit.overlap(empty, empty).whole.matrix).all()
