"""The pages build into a site, whose links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import site


def test_every_link_between_pages_leads_to_a_page(tmp_path: Path) -> None:
    names = site.write_pages(tmp_path)
    dead = [
        (page.name, link)
        for page in tmp_path.glob("*.md")
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (tmp_path / link).exists()
    ]
    assert dead == []
    assert sorted(names) == sorted(path.name for path in tmp_path.glob("*.md"))


@pytest.mark.slow
def test_the_site_builds_and_a_dead_link_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("material", reason="needs sftkit[docs]")
    assert site.build(tmp_path / "site") == 0
    home = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    assert "demo.svg" in home
    assert re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css)', home) == []
    real = site.write_pages

    def broken(folder: Path) -> list[str]:
        names = real(folder)
        (folder / "start.md").write_text("[gone](gone.md) and [none](method.md#no-such-heading)\n")
        return names

    monkeypatch.setattr(site, "write_pages", broken)
    assert site.build(tmp_path / "broken") != 0
    told = capfd.readouterr().err
    assert "gone.md" in told
    assert "no-such-heading" in told
