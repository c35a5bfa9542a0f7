"""The format page says what the code does."""

from __future__ import annotations

import re
import textwrap
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import numpy as np

from sftkit.format.metadata import Base, Metadata
from sftkit.format.writing import write
from tests.format.golden import golden

PAGE = files("sftkit").joinpath("docs/format.md").read_text(encoding="utf-8")


def test_the_recipe_on_the_page_adds_an_sft(tmp_path: Path) -> None:
    recipe = re.findall(r"```python\n(import numpy.*?)```", PAGE, re.S)[0]
    path = write(tmp_path / "x.sft", golden())
    theta = {name: np.zeros(spec.shape, np.float32) for name, spec in golden().metadata.parameters.items()}
    exec(textwrap.dedent(recipe).replace('"mt.sft"', repr(str(path))), {"theta": theta})
    for name in golden().names:
        expected = golden().parameters[name].toarray().reshape(theta[name].shape)
        assert np.array_equal(theta[name], expected)


def test_every_key_of_the_document_is_on_the_page() -> None:
    for kind in (Metadata, Base):
        for field in fields(kind):
            assert f"| `{field.name}` |" in PAGE


def test_the_keys_are_listed_in_the_order_in_which_they_are_written() -> None:
    places = [PAGE.index(f"| `{field.name}` |") for field in fields(Metadata)]
    assert places == sorted(places)


def test_links_inside_the_page_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line[3:]).lower().replace(" ", "-") for line in PAGE.splitlines() if line[:3] == "## "
    }
    assert set(re.findall(r"\(#([\w-]+)\)", PAGE)) <= headings
