"""The pages as a site, with README.md as its first page: ``python -m tests.site FOLDER``; needs ``sftkit[docs]``.

A link that leads nowhere, to a page or to a heading, ends it with status 1. The site asks for nothing from elsewhere:
no fonts, no scripts of others.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import sftkit
from sftkit.cli.commands.help import PAGES

ROOT = Path(__file__).parents[1]
DOCS = Path(sftkit.__file__).parent / "docs"
#: What lies elsewhere than the pages -> its name in the site.
_OTHERS = {ROOT / "README.md": "index.md"}
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")
_CONFIG = """\
site_name: sftkit
site_url: ""
use_directory_urls: false
docs_dir: {pages}
site_dir: {site}
theme:
  name: material
  font: false
  palette:
    - media: "(prefers-color-scheme: light)"
      scheme: default
    - media: "(prefers-color-scheme: dark)"
      scheme: slate
plugins: [search]
markdown_extensions:
  - tables
  - attr_list
  - toc:  # names of headings as GitHub makes them
      slugify: !!python/object/apply:pymdownx.slugs.slugify {{kwds: {{case: lower}}}}
validation:
  anchors: warn
  omitted_files: warn
nav: {nav}
"""


def write_pages(folder: Path) -> list[str]:
    """Write the pages, with links as they are in the site; returns their names in the order to read them."""
    targets = {path.resolve(): path.name for path in DOCS.iterdir()}
    targets |= {path.resolve(): name for path, name in _OTHERS.items()}
    for path, name in targets.items():
        if path.suffix != ".md":
            shutil.copy(path, folder / name)
            continue
        text = path.read_text(encoding="utf-8")
        moved = _LINK.sub(partial(_moved, at=path, targets=targets), text)
        (folder / name).write_text(moved, encoding="utf-8")
    return ["index.md", *(f"{page}.md" for page in PAGES)]


def _moved(match: re.Match[str], at: Path, targets: dict[Path, str]) -> str:
    """A link as it is in the site; a file that is no page is named on its own."""
    wanted = (at.parent / match[1]).resolve()
    if wanted in targets:
        return f"]({targets[wanted]}{match[2] or ''})"
    return "](index.md)" if wanted.exists() else match[0]  # of the sources; what is not there is told


def build(site: Path) -> int:
    """Build the site; returns the exit status of what builds it."""
    with tempfile.TemporaryDirectory() as temporary:
        pages = Path(temporary, "pages")
        pages.mkdir()
        nav = write_pages(pages)
        config = Path(temporary, "mkdocs.yml")
        config.write_text(_CONFIG.format(pages=pages, site=site.resolve(), nav=nav), encoding="utf-8")
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
        # the theme's makers advertise its successor, which is not at its first release yet
        return subprocess.run(command, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False).returncode


if __name__ == "__main__":
    if find_spec("material") is None:
        sys.exit("The site needs mkdocs-material: pip install 'sftkit[docs]'")
    if len(sys.argv) != 2:
        sys.exit("Say where to: python -m tests.site FOLDER")
    sys.exit(build(Path(sys.argv[1])))
