"""Every snippet on the page on Python runs, in order, and the page names what there is."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import sftkit
from sftkit import errors
from sftkit.tasks.readers.tag_sets import UPOS
from tests.conftest import treebank_text
from tests.helpers import build, pico
from tests.helpers.build import save_sft

PAGE = files("sftkit").joinpath("docs/python.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the snippets leave behind, run in a folder with files of the names that they use."""
    folder = tmp_path_factory.mktemp("page")
    base = pico.save_base(folder / "mmt-small")
    (folder / "mt-test.conllu").write_text(treebank_text(20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "LABELS", UPOS)
        for at, (name, objective) in enumerate({"mt": "mlm", "yo": "mlm", "pos": "pos"}.items()):
            save_sft(folder / f"{name}.sft", base, seed=at, k=3000, scale=0.1, objective=objective)
        patch.chdir(folder)
        left: dict[str, Any] = {"folder": folder}
        for snippet in SNIPPETS:
            exec(snippet, left)
        return left


def test_every_snippet_runs(names: dict[str, Any]) -> None:
    assert (names["folder"] / "maltese-tagger" / "model.safetensors").exists()
    assert isinstance(names["switch"], sftkit.Switch)


def test_languages_are_tagged_as_by_models_composed_for_each(
    names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(names["folder"])
    found = {}
    for language in ("mt", "yo"):
        sfts = [f"{language}.sft", "pos.sft"]
        (expected,) = sftkit.predict(Path("mmt-small"), ["ta mi lo ka su"], objective="pos", sfts=sfts, device="cpu")
        found[language] = names["tags"](language, "ta mi lo ka su")
        assert found[language] == expected["labels"]


def test_the_page_names_everything_public_and_every_error() -> None:
    assert all(f"`{name}`" in PAGE for name in sftkit.__all__)
    kinds = [
        name for name, kind in vars(errors).items() if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert all(f"`{name}`" in PAGE for name in kinds)
