"""``sftkit train``: what cannot be done is said in a line, with the right status."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import sftkit, train
from tests.cli.test_train import in_words


def test_sharing_out_to_nobody_is_one_line(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--fsdp", "--quiet")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "torchrun" in done.stderr


@pytest.mark.parametrize("option", [("--method", "diff"), ("--selection", "streaming")], ids=lambda pair: pair[1])
def test_what_cannot_be_shared_out_is_refused(
    option: tuple[str, str], tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--fsdp", *option)
    assert done.status == 2
    assert "--fsdp" in done.stderr


def test_fsdp_of_accelerate_is_refused_with_what_to_do(
    tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--quiet")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "say --fsdp" in done.stderr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [(None, "no such file"), ("", "is empty"), ("\n\n", "only blank lines"), ("one line\n", "too few")],
)
def test_a_corpus_that_cannot_be_used_is_one_line(
    tmp_path: Path, pico_base: Path, text: str | None, complaint: str
) -> None:
    path = tmp_path / "bad.txt"
    if text is not None:
        path.write_text(text)
    done = train("--mlm", path, "--base", pico_base, "-o", tmp_path / "x.sft", "--quiet")
    assert (done.status, done.stdout) == (1, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.sft").exists()


def test_a_malformed_treebank_is_named_by_line(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    path = tmp_path / "bad.conllu"
    path.write_text(treebank.read_text().replace("\tNOUN\t", "\tNUON\t", 3))
    done = train("--pos", path, "--base", pico_base, "-o", tmp_path / "x.sft", "--quiet")
    assert done.status == 1
    assert f"{path}, line 3: unknown part-of-speech tag 'NUON'" in done.stderr


def test_a_k_larger_than_what_may_move_says_how_much_may(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = sftkit("train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--k", 10**7, "--quiet")
    assert done.status == 1
    assert "10,000,000" in done.stderr
    assert "may move" in done.stderr


def test_a_base_that_is_none_is_one_line(tmp_path: Path, corpus: Path) -> None:
    done = train("--mlm", corpus, "--base", tmp_path, "-o", tmp_path / "x.sft", "--quiet")
    assert done.status == 1
    assert "config.json" in done.stderr


def test_a_source_language_that_is_no_sft_is_one_line(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    (tmp_path / "no.sft").write_text("hello")
    done = train(
        "--pos", treebank, "--base", pico_base, "--with", tmp_path / "no.sft", "-o", tmp_path / "x.sft", "--quiet"
    )
    assert done.status == 1
    assert "no.sft" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--mlm", "a.txt", "--pos", "b.conllu"),
        ("--mlm", "a.txt", "--device", "toaster"),
        ("--mlm", "a.txt", "--seed", "-1"),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert sftkit("train", *arguments).status == 2


def test_sources_without_an_objective_are_told_how_to_name_one() -> None:
    done = sftkit("train", "--source", "wo=wo.sft:wo.conllu")
    assert done.status == 2
    assert "--objective" in done.stderr


def test_a_rewinding_past_phase_1_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    arguments = ("train", "--mlm", tmp_path / "none.txt", "--steps", 10)
    assert "phase 1 has 10 steps at most" in in_words(sftkit(*arguments, "--rewind-to", 11))
    assert "no such file" in sftkit(*arguments, "--rewind-to", 10).stderr
    assert "no such file" in sftkit(*arguments, "--rewind-to", 11, "--phase1-steps", 11).stderr


def test_a_density_beside_a_mask_that_has_its_own_is_wrong_usage(pico_base: Path, corpus: Path) -> None:
    done = sftkit("train", "--mlm", corpus, "--base", pico_base, "--method", "bitfit", "--density", "0.1")
    assert done.status == 2
    assert "says itself which entries" in in_words(done)
