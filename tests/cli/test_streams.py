"""Text from the hub, fetched or streamed, and long text: what ``train`` makes of it, says meanwhile, and refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from sftkit.cli.run import signals
from sftkit.cli.show import bar, progress
from sftkit.cli.show.progress import TrainingDisplay
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.tasks.corpora.lines import Lines
from sftkit.tasks.corpora.pieces import Piece
from sftkit.tasks.options import TaskOptions
from sftkit.training.lottery import learn
from sftkit.training.settings import Settings, settings_for
from tests.cli.run import sftkit
from tests.training.observers import EndAt

QUICK = ("--steps", "2", "--k", "50", "--device", "cpu", "--max-length", "32", "--quiet")


@pytest.fixture
def hub(corpus: Path, tmp_path: Path) -> str:
    """A data set on the hub, played by a local directory."""
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.txt").write_text(corpus.read_text())
    return f"hf://{tmp_path / 'hub'}"


def test_a_stream_gives_the_same_bytes_as_what_was_fetched(tmp_path: Path, pico_base: Path, hub: str) -> None:
    for name, options in (("fetched", ()), ("streamed", ("--streaming",))):
        done = sftkit("train", "--mlm", hub, "--base", pico_base, *QUICK, *options, "-o", tmp_path / f"{name}.sft")
        assert done.status == 0, done.stderr
    assert (tmp_path / "fetched.sft").read_bytes() == (tmp_path / "streamed.sft").read_bytes()


def test_the_first_lines_are_a_shorter_file(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("".join(corpus.read_text().splitlines(keepends=True)[:40]))
    (tmp_path / "run.toml").write_text("max-lines = 40\n")
    options = ("--base", pico_base, *QUICK)
    assert sftkit("train", "--mlm", short, *options, "-o", tmp_path / "short.sft").status == 0
    first = ("--mlm", corpus, *options, "--config", tmp_path / "run.toml", "-o", tmp_path / "first.sft")
    assert sftkit("train", *first).status == 0
    made = [SftFile(tmp_path / f"{name}.sft") for name in ("short", "first")]
    values = [{name: sft.entries(name)[1].tolist() for name in sft.names} for sft in made]
    assert values[0] == values[1]
    assert made[1].metadata.training["options"] == {"max_lines": 40, "pack": True}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mlm", "x.txt", "--streaming"), "local files never need it"),
        (("--pos", "hf://o/n", "--streaming"), "about --mlm and --clm"),
        (("--pos", "x.conllu", "--max-lines", "5"), "about --mlm and --clm"),
        (("--mlm", "x.txt", "--max-lines", "0"), "--max-lines"),
        (("--pos", "x.conllu", "--no-pack"), "--no-pack is about --mlm and --clm, not --pos"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(arguments: tuple[str, ...], says: str, pico_base: Path) -> None:
    for command in (("train", "--base", pico_base), ("evaluate", pico_base)):
        done = sftkit(*command, *arguments)
        assert done.status == 2
        assert says in " ".join(done.stderr.replace("│", " ").split())


def streamed(base: Path, source: str, *, streaming: bool) -> Settings:
    return settings_for(
        "mlm", data=(source,), base=base, base_name="pico", steps=6, k=50, device="cpu", max_length=32,
        options=TaskOptions(streaming=streaming),
    )  # fmt: skip


def test_training_and_scoring_read_a_stream_to_its_end_once(
    tmp_path: Path, pico_base: Path, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, ended = Lines.batches, []

    def counted(lines: Lines) -> Iterator[list[Piece]]:
        yield from batches(lines)
        ended.append(lines.source)

    monkeypatch.setattr(Lines, "batches", counted)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    learn(streamed(pico_base, hub, streaming=True))
    assert ended == [hub]
    evaluate(Scoring("mlm", TaskOptions(max_lines=50), device="cpu"), [hub], pico_base)
    assert ended == [hub, hub]


def test_a_run_on_a_stream_that_was_interrupted_ends_with_the_same_bytes(
    tmp_path: Path, pico_base: Path, hub: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        learn(streamed(pico_base, hub, streaming=True), EndAt(4), run_dir=tmp_path / "run")
    resumed = learn(streamed(pico_base, hub, streaming=True), run_dir=tmp_path / "run")
    undisturbed = learn(streamed(pico_base, hub, streaming=False))
    files = [write(tmp_path / f"{i}.sft", result.sft) for i, result in enumerate((resumed, undisturbed))]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_how_far_long_text_is_is_said_in_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (progress, bar):
        monkeypatch.setattr(module, "_PLAIN_EVERY", -1.0)
    with TrainingDisplay() as display:
        display.reading("reading x[1].txt", 5000, 0.25)
        display.reading("reading x[1].txt", 6000, None)
    with bar.counting_bar(quiet=False) as counter:
        counter.reading("reading x[1].txt", 5000, 0.25)
    assert capsys.readouterr().err.splitlines() == [
        "reading x[1].txt  5,000 lines  25 %",
        "reading x[1].txt  6,000 lines",
        "reading x[1].txt  5,000 lines, 25 %",
    ]


def test_an_interruption_that_was_lost_while_text_is_read_is_not_forgotten() -> None:
    with signals.ended_in_order(), TrainingDisplay(quiet=True) as display:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            display.reading("reading x.txt", 1000, 0.5)


def test_a_signal_while_long_text_is_tokenised_ends_the_program_and_leaves_no_tokens(
    tmp_path: Path, pico_base: Path
) -> None:
    (tmp_path / "x.txt").write_text("ta mi lo su\n" * 2_000_000)
    command = [sys.executable, "-m", "sftkit", "train", "--mlm", str(tmp_path / "x.txt"), "--base", str(pico_base)]
    command += ["--max-length", "64"]  # all that this base takes
    cache = tmp_path / "cache"
    environment = os.environ | {"HF_DATASETS_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "-o", str(tmp_path / "x.sft")], stderr=subprocess.PIPE, text=True, env=environment
    )
    while not list(cache.glob("sftkit/*.part")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("\n")) == (130, 1), errors
    assert [path.suffix for path in (cache / "sftkit").iterdir()] == [".lock"]
