"""What is wrong with what was given is said in a line or two, with the file, and nothing is written."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from transformers.integrations import integration_utils

from sftkit.tasks.registry import OBJECTIVES
from tests.cli.run import Outcome, sftkit, without_torch
from tests.helpers import pico
from tests.helpers.build import save_sft

TASKS = sorted(name for name, objective in OBJECTIVES.items() if objective.is_task)
ODD = {
    "empty": (b"", "empty"),
    "blank": (b"\n \n\n", ""),
    "latin": (b"caf\xe9 \xe8\tta\n", "line 1: not UTF-8"),
    "binary": (b"ta\tO\n\0\0mi\n", "line 2: a NUL byte"),
    "utf-16": ("ta\tmi\n".encode("utf-16-le"), "line 1: a NUL byte"),
    "compressed": (gzip.compress(b"ta\tmi\n"), "Unpack it first"),
}


def _is_told(done: Outcome, *words: str) -> None:
    assert done.status == 1
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "internal error" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("objective", TASKS)
def test_a_file_that_is_no_data_is_named(objective: str, odd: str, tmp_path: Path, pico_base: Path) -> None:
    content, says = ODD[odd]
    path = tmp_path / "data.tsv"
    path.write_bytes(content)
    _is_told(sftkit("evaluate", pico_base, f"--{objective}", path), str(path), says)


@pytest.mark.parametrize("objective", TASKS)
def test_a_directory_or_nothing_is_no_data(objective: str, tmp_path: Path, pico_base: Path) -> None:
    _is_told(sftkit("evaluate", pico_base, f"--{objective}", tmp_path), "a directory")
    _is_told(sftkit("evaluate", pico_base, f"--{objective}", tmp_path / "x"), "no such file")


@pytest.mark.parametrize("objective", TASKS)
def test_data_of_another_format_is_named(objective: str, pico_base: Path, treebank: Path, corpus: Path) -> None:
    other = corpus if objective in ("pos", "dep") else treebank
    _is_told(sftkit("evaluate", pico_base, f"--{objective}", other), str(other))


def test_an_empty_name_is_a_usage_error(pico_base: Path) -> None:
    done = sftkit("evaluate", pico_base, "--pos", "")
    assert done.status == 2
    assert "--pos: the name of the file is empty" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("train", "--mlm", "none.txt"), "none.txt: no such file"),
        (("train", "--mlm", "x.txt", "--dev", "none.txt"), "none.txt: no such file"),
        (("train", "--mlm", "x.txt", "--dev", "empty.txt"), "empty.txt: the file is empty"),
        (("train", "--objective", "pos", "--source", "a=l.sft:none.txt"), "none.txt: no such file"),
        (("train", "--mlm", "x.txt", "--avoid", "none.sft"), "none.sft: no such file"),
        (("train", "--mlm", "x.txt", "--mask-from", "x.txt"), "x.txt: not a safetensors file"),
        (("evaluate", "base", "--pos", "none.txt"), "none.txt: no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_files_that_are_not_there_are_told_before_torch_is_imported(
    arguments: tuple[str, ...], complaint: str, tmp_path: Path, pico_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("ta mi\n")
    Path("empty.txt").touch()
    save_sft(Path("l.sft"), pico_base)
    _is_told(without_torch(*arguments), complaint)


def test_a_task_given_to_a_language_objective_is_an_error(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    task = save_sft(tmp_path / "pos.sft", pico_base, objective="pos")
    done = sftkit("evaluate", pico_base, task, "--mlm", corpus)
    _is_told(done, "pos.sft: was trained with --pos, not --mlm")


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_an_encoder_is_no_causal_model(command: str, tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    base = [pico_base] if command == "evaluate" else ["--base", pico_base, "-o", tmp_path / "x.sft"]
    _is_told(sftkit(command, *base, "--clm", corpus), "a bert reads in both directions", "Use --mlm")


def test_a_causal_model_is_no_masked_one(tmp_path: Path, corpus: Path) -> None:
    base = pico.save_base(tmp_path / "gpt", "gpt2")
    _is_told(sftkit("evaluate", base, "--mlm", corpus), "a gpt2 reads from left to right", "Use --clm")


def test_a_task_given_as_source_language_is_noted(tmp_path: Path, pico_base: Path, treebank: Path) -> None:
    task = save_sft(tmp_path / "pos.sft", pico_base, objective="pos")
    quick = ("--steps", 1, "--k", 20, "--device", "cpu", "-o", tmp_path / "x.sft")
    done = sftkit("train", "--pos", treebank, "--base", pico_base, "--with", task, *quick)
    assert done.status == 0, done.stderr
    assert "pos.sft is a task's SFT (--pos); its head is left out" in " ".join(done.stderr.split())


def test_a_logger_that_there_is_not_is_told_before_anything_is_read(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "x").write_text("no treebank")
    done = sftkit(
        "train", "--pos", tmp_path / "x", "--base", pico_base, "--report-to", "nope", "-o", tmp_path / "y.sft"
    )
    _is_told(done, "--report-to nope")
    assert not (tmp_path / "y.sft").exists()


@pytest.mark.parametrize("name", ["tensorboard", "swanlab"])
def test_a_logger_that_is_not_installed_is_told_with_what_installs_it(
    name: str, tmp_path: Path, pico_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration_utils, f"is_{name}_available", lambda: False)
    (tmp_path / "x").write_text("no treebank")
    data = ("--pos", tmp_path / "x", "--base", pico_base, "-o", tmp_path / "y.sft")
    done = sftkit("train", *data, "--report-to", name, "--run-dir", tmp_path / "run")
    _is_told(done, f"not installed here: pip install {name}\n")


def test_logs_that_would_go_away_with_the_run_are_refused(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = sftkit("train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "y.sft", "--report-to", "tensorboard")
    assert done.status == 2
    assert "--run-dir" in done.stderr
