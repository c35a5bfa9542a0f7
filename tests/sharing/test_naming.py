"""What a word means that leads to nothing here: a model on the hub, or a path that is misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest

from sftkit.sharing import naming
from sftkit.sharing.naming import looks_like_hub_id, why_no_model
from sftkit.storage.nearby import nearby


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models, SFTs and a text in it."""
    for folder in ("base", "lang/mt", "xlm-roberta-base", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("fo.sft", "mt.sft", "corpus.txt", "Straße.sft", "lang/es.sft"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "bert-base-multilingual-cased", "xlm-roberta-bas", "gpt2", "t5-small", "distilgpt2", "owner/name", "owner/fo",
        "meta-llama/Llama-3.2-1B", "EleutherAI/pythia-1.4b", "Qwen/Qwen2.5-0.5B-Instruct", "google/t5-v1_1-base",
        "openai/whisper-tiny.en", "owner/name@v1.0", "lang/mt-small@main", "zzz@main",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("here")
def test_ids_are_the_hubs(name: str) -> None:
    assert looks_like_hub_id(name.partition("@")[0])
    assert why_no_model(name) == ""


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("fo.stf", "fo.sft"), ("fo", "fo.sft"), ("FO.SFT", "fo.sft"), ("bse", "base"), ("base/x", ""),
        ("./bse", "base"),
        ("lang/m", "lang/mt"), ("lnag/mt", "lang/mt"), ("lang/zz", ""), ("zzz", ""), ("a/b/c", ""), ("zu.sft", ""),
        ("../nowhere", ""), ("corpus.tx", "corpus.txt"), ("straße.stf", "Straße.sft"), ("owner/x.sft", ""),
        ("owner/x.conllu", ""), ("/no/where", ""),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("here")
def test_words_of_a_paths_shape_are_paths_and_near_names_are_offered(name: str, meant: str) -> None:
    told = why_no_model(name)
    assert told.startswith(f"{name}: no such file or directory.")
    assert (f"Did you mean {meant}?" in told) if meant else ("Did you mean" not in told)
    assert "\n" not in told


def test_what_was_downloaded_before_is_the_hubs_whatever_is_here(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_no_model("lang/m")
    monkeypatch.setattr(naming, "cached_model", lambda _: here)
    assert why_no_model("lang/m") == why_no_model("bse") == ""


def test_another_hub_may_have_ids_without_an_owner(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del here
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert why_no_model("zzz") == ""
    assert why_no_model("bse")


def test_a_language_is_not_near_to_another_for_its_suffix(here: Path) -> None:
    assert nearby("zu.sft") == []
    assert nearby(here / "mt.stf") == [str(here / "mt.sft")]
    assert nearby("hidden") == []


def test_a_folder_that_cannot_be_read_offers_nothing(tmp_path: Path) -> None:
    assert nearby(tmp_path / "no" / "such" / "folder" / "x") == []
    assert nearby("") == []
