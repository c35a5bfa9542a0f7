"""What was learned is not lost when its place is not to be had at the end; what cannot be written is told before."""

from __future__ import annotations

import errno
import json
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sftkit.format.files import SftFile
from sftkit.storage.safefile import SafeWriter
from sftkit.training import lottery
from tests.cli.run import sftkit, train


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Sets what happens while a run trains: once each SFT was learned, before it is written."""

    def happens(event: Callable[[], object]) -> None:
        real = lottery.learn_each

        def learn_each(*args: Any, **kwargs: Any) -> Iterator[Any]:
            for result in real(*args, **kwargs):
                event()
                yield result

        monkeypatch.setattr(lottery, "learn_each", learn_each)

    return happens


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def full(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """The disk of these folders is full."""
    real = SafeWriter.write

    def write(self: Any, *args: Any) -> None:
        if any(folder in Path(self._file.name).parents for folder in folders):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, *args)

    monkeypatch.setattr(SafeWriter, "write", write)


def test_an_output_that_appeared_meanwhile_is_kept_and_the_result_is_beside_it(
    tmp_path: Path, pico_base: Path, corpus: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    output = tmp_path / "x.sft"
    meanwhile(lambda: output.write_text("precious"))
    done = train("--mlm", corpus, "--base", pico_base, "-o", output, "--quiet")
    assert (done.status, output.read_text()) == (1, "precious")
    assert done.stderr.count("\n") == 1
    assert f"with --overwrite. What was learned is in {tmp_path / 'x-2.sft'}: move it" in done.stderr
    assert SftFile(tmp_path / "x-2.sft").metadata.k == 50
    assert "x-2.sft" in done.stdout


def test_a_folder_that_has_gone_is_made_again(
    tmp_path: Path, pico_base: Path, corpus: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    meanwhile(lambda: shutil.rmtree(folder))
    assert train("--mlm", corpus, "--base", pico_base, "-o", folder / "x.sft").status == 0
    assert SftFile(folder / "x.sft").metadata.k == 50


def test_a_folder_that_became_a_file_sends_the_result_to_the_temporary_folder(
    tmp_path: Path, pico_base: Path, corpus: Path, scratch: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def becomes_a_file() -> None:
        shutil.rmtree(folder)
        folder.touch()

    meanwhile(becomes_a_file)
    done = train("--mlm", corpus, "--base", pico_base, "-o", folder / "x.sft", "--quiet")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert SftFile(scratch / "x.sft").metadata.k == 50
    assert str(scratch / "x.sft") in done.stderr


def test_on_a_full_disk_every_density_is_kept_in_the_first_place_that_has_room(
    tmp_path: Path, pico_base: Path, corpus: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    full(monkeypatch, folder)
    done = sftkit(
        "train", "--mlm", corpus, "--base", pico_base, "-o", folder / "x.sft", "--steps", 2, "--device", "cpu",
        "--density", "0.01,0.05", "--json",
    )  # fmt: skip
    assert done.status == 1
    assert done.stderr.count("No space left on device. What was learned is in") == 2
    assert [each["sft"] for each in json.loads(done.stdout)] == [str(scratch / f"x-{d}.sft") for d in ("0.01", "0.05")]
    assert len({SftFile(scratch / f"x-{d}.sft").metadata.k for d in ("0.01", "0.05")}) == 2
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_run_with_a_directory_is_kept_there(
    tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, tmp_path / "out")
    run = tmp_path / "run"
    arguments = ("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "out/x.sft", "--run-dir", run)
    done = train(*arguments)
    assert done.status == 1
    assert f"What was learned is in {run / 'x.sft'}: move it" in done.stderr
    monkeypatch.undo()
    assert train(*arguments, "--resume").status == 0
    assert (tmp_path / "out/x.sft").read_bytes() == (run / "x.sft").read_bytes()


def test_values_that_do_not_fit_are_kept_as_f32(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    options = ("--method", "bitfit", "--device", "cpu", "--steps", 2, "--values", "f16", "--lr", 1e6, "--quiet")
    done = sftkit("train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", *options)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "does not fit f16" in done.stderr
    assert SftFile(tmp_path / "x-2.sft").stored_values == "f32"


def test_an_end_after_a_density_was_written_says_that_it_is_there(
    tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lottery.learn_each

    def learn_each(*args: Any, **kwargs: Any) -> Iterator[Any]:
        yield next(real(*args, **kwargs))
        raise KeyboardInterrupt("interrupted")

    monkeypatch.setattr(lottery, "learn_each", learn_each)
    options = ("--density", "0.01,0.05", "--steps", 2, "--device", "cpu", "--quiet")
    done = sftkit("train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", *options)
    assert done.status == 130
    assert f"{tmp_path / 'x-0.01.sft'} is there, and {tmp_path / 'x-0.05.sft'} was not touched" in done.stderr
    assert SftFile(tmp_path / "x-0.01.sft").metadata.k == 69


def test_where_there_is_no_place_at_all_the_reason_is_one_line(
    tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(monkeypatch, Path("/"))
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--quiet")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "No space left" in done.stderr


def test_curves_that_cannot_be_drawn_are_noted_and_no_error(
    tmp_path: Path, pico_base: Path, corpus: Path, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    run = tmp_path / "run"
    meanwhile(lambda: (run / "curves.png").mkdir())
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--run-dir", run)
    assert (done.status, SftFile(tmp_path / "x.sft").metadata.k) == (0, 50)
    assert "could not be drawn" in done.stderr


@pytest.mark.parametrize("name", ["x" * 300 + ".sft", "sub/" + "y" * 256 + "/x.sft"])
def test_a_name_that_is_too_long_is_refused_before_anything_is_read(name: str, tmp_path: Path) -> None:
    done = train("--mlm", tmp_path / "none.txt", "--base", tmp_path, "-o", tmp_path / name)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "cannot be made: File name too long" in done.stderr


def test_a_long_name_of_wide_characters_is_written(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    output = tmp_path / f"{'語' * 80}.sft"
    assert train("--mlm", corpus, "--base", pico_base, "-o", output).status == 0
    assert SftFile(output).metadata.k == 50


@pytest.mark.parametrize("option", ["--mlm", "-o", "--base", "--run-dir", "--dev"])
def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_read(option: str, tmp_path: Path) -> None:
    given = {"--mlm": tmp_path / "none.txt", "-o": tmp_path / "x.sft", "--base": tmp_path, option: tmp_path / "\udce9"}
    done = train(*(part for pair in given.items() for part in pair))
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "\\xe9: this name is not UTF-8" in done.stderr


@pytest.mark.parametrize("room", [20_000, 45_000], ids=["of θ", "of a checkpoint's moments"])
def test_a_disk_that_is_full_while_training_is_one_line_and_the_run_goes_on_once_there_is_room(
    room: int, tmp_path: Path, pico_base: Path, treebank: Path
) -> None:
    arguments = ("--pos", treebank, "--base", pico_base, "--eval-every", 1, "--run-dir", tmp_path / "run")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        failed = train(*arguments, "--quiet", "-o", tmp_path / "x.sft")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (failed.status, failed.stderr.count("\n")) == (1, 1)
    assert str(tmp_path / "run") in failed.stderr
    assert "cannot be written" in failed.stderr
    assert train(*arguments, "--resume", "-o", tmp_path / "x.sft").status == 0
