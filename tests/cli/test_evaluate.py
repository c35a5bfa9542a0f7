"""``sftkit evaluate``: a model on disk and the same one composed in memory score the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.helpers import pico
from tests.helpers.build import save_sft


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, corpus: Path, treebank: Path) -> Path:
    """A folder with ``lang.sft`` and ``pos.sft``, each after a few steps."""
    folder = tmp_path_factory.mktemp("trained")
    quick = ("--base", pico_base, "--steps", 12, "--k", 400, "--lr", "1e-2", "--device", "cpu", "--quiet")
    assert sftkit("train", "--mlm", corpus, "-o", folder / "lang.sft", *quick).status == 0
    assert (
        sftkit("train", "--pos", treebank, "--with", folder / "lang.sft", "-o", folder / "pos.sft", *quick).status == 0
    )
    return folder


def scores(*arguments: object) -> dict[str, float]:
    done = sftkit("evaluate", *arguments, "--json")
    assert done.status == 0, done.stderr
    metrics: dict[str, float] = json.loads(done.stdout)["metrics"]
    return metrics


def test_json_has_the_documented_keys(pico_base: Path, trained: Path, treebank: Path) -> None:
    done = sftkit("evaluate", pico_base, trained / "lang.sft", trained / "pos.sft", "--pos", treebank, "--json")
    document = json.loads(done.stdout)
    assert set(document) == {"objective", "data", "examples", "metrics", "intervals"}
    assert (document["objective"], document["data"], document["examples"]) == ("pos", [str(treebank)], 60)
    assert 0 <= document["metrics"]["accuracy"] <= 1


def test_a_tagger_learns_its_treebank(pico_base: Path, trained: Path, treebank: Path) -> None:
    assert scores(pico_base, trained / "lang.sft", trained / "pos.sft", "--pos", treebank)["accuracy"] > 0.9


@pytest.mark.parametrize("order", [("lang.sft", "pos.sft"), ("pos.sft", "lang.sft")])
def test_composed_on_disk_and_in_memory_score_the_same(
    tmp_path: Path, pico_base: Path, trained: Path, treebank: Path, order: tuple[str, str]
) -> None:
    sfts = [trained / name for name in order]
    assert sftkit("compose", pico_base, *sfts, "-o", tmp_path / "model").status == 0
    on_disk = scores(tmp_path / "model", "--pos", treebank)
    assert on_disk == scores(pico_base, *sfts, "--pos", treebank)


def test_a_language_composed_on_disk_has_the_loss_that_it_has_in_memory(
    tmp_path: Path, pico_base: Path, trained: Path, corpus: Path
) -> None:
    assert sftkit("compose", pico_base, trained / "lang.sft", "-o", tmp_path / "model").status == 0
    on_disk = scores(tmp_path / "model", "--mlm", corpus)
    assert on_disk == scores(pico_base, trained / "lang.sft", "--mlm", corpus)
    assert on_disk["loss"] < scores(pico_base, "--mlm", corpus)["loss"]


def test_a_weight_of_zero_is_the_language_left_out(pico_base: Path, trained: Path, treebank: Path) -> None:
    without = scores(pico_base, trained / "pos.sft", "--pos", treebank)
    assert without == scores(pico_base, trained / "pos.sft", f"{trained / 'lang.sft'}:0", "--pos", treebank)


def test_a_model_without_a_tagger_is_an_error_that_says_what_to_add(pico_base: Path, treebank: Path) -> None:
    done = sftkit("evaluate", pico_base, "--pos", treebank)
    assert done.status == 1
    assert "Add an SFT trained with --pos" in done.stderr


def test_a_language_given_as_task_is_an_error(pico_base: Path, trained: Path, treebank: Path) -> None:
    done = sftkit("evaluate", pico_base, trained / "lang.sft", "--pos", treebank)
    assert done.status == 1
    assert "Add an SFT trained with --pos" in done.stderr


@pytest.mark.parametrize("sfts", [(), ("lang.sft",)])
def test_a_composed_tagger_is_no_language_model_and_its_base_is_named(
    tmp_path: Path, pico_base: Path, trained: Path, corpus: Path, sfts: tuple[str, ...]
) -> None:
    assert sftkit("compose", pico_base, trained / "pos.sft", "-o", tmp_path / "tagger").status == 0
    done = sftkit("evaluate", tmp_path / "tagger", *(trained / name for name in sfts), "--mlm", corpus)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "is a BertForTokenClassification, without a head for --mlm" in done.stderr
    assert f"such as {pico_base.name}" in done.stderr


def test_a_composed_causal_tagger_is_no_language_model_either(tmp_path: Path, corpus: Path) -> None:
    base = pico.save_base(tmp_path / "gpt2", "gpt2")  # its output matrix is the embedding, which the tagger has moved
    sft = save_sft(tmp_path / "pos.sft", base, objective="pos")
    assert sftkit("compose", base, sft, "-o", tmp_path / "tagger").status == 0
    done = sftkit("evaluate", tmp_path / "tagger", "--clm", corpus)
    assert done.status == 1
    assert "without a head for --clm" in done.stderr


def test_an_sft_that_the_model_was_composed_with_is_added_once_more_and_that_is_said(
    tmp_path: Path, pico_base: Path, trained: Path, treebank: Path
) -> None:
    assert sftkit("compose", pico_base, f"{trained / 'pos.sft'}:0.5", "-o", tmp_path / "half").status == 0
    told = f"{trained / 'pos.sft'} is in {tmp_path / 'half'} already, with weight 0.5"
    assert told in sftkit("evaluate", tmp_path / "half", trained / "pos.sft", "--pos", treebank).stderr
    assert told in sftkit("compose", tmp_path / "half", trained / "pos.sft", "-o", tmp_path / "more").stderr
    taken = sftkit("compose", tmp_path / "half", f"{trained / 'pos.sft'}:-0.25", "-o", tmp_path / "less")
    assert taken.status == 0
    assert "already" not in taken.stderr


def test_another_base_is_an_error(tmp_path: Path, trained: Path, treebank: Path) -> None:
    other = pico.save_base(tmp_path / "other", seed=1)
    done = sftkit("evaluate", other, trained / "pos.sft", "--pos", treebank)
    assert done.status == 1
    assert "fingerprint" in done.stderr
    assert sftkit("evaluate", other, trained / "pos.sft", "--pos", treebank, "--force").status == 0


def test_an_unknown_tag_is_named_by_line(tmp_path: Path, pico_base: Path, trained: Path, treebank: Path) -> None:
    bad = tmp_path / "bad.conllu"
    bad.write_text(treebank.read_text().replace("\tVERB\t", "\tFOO\t", 1))
    done = sftkit("evaluate", pico_base, trained / "pos.sft", "--pos", bad)
    assert done.status == 1
    assert "line 4: unknown part-of-speech tag 'FOO'" in done.stderr


@pytest.mark.parametrize(("length", "told"), [((), False), (("--max-length", 32), True)])
def test_windows_of_another_length_than_a_language_was_learned_in_are_told(
    length: tuple[object, ...], told: bool, pico_base: Path, trained: Path, corpus: Path
) -> None:
    done = sftkit("evaluate", pico_base, trained / "lang.sft", "--mlm", corpus, *length)
    assert ("was learned in windows of 64 tokens; these have 32 (--max-length 64)" in done.stderr) is told
