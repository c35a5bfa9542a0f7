"""Where ``sftkit train`` writes: outputs that are kept, run directories that are gone on with, places that are none."""

from __future__ import annotations

from pathlib import Path

from tests.cli.run import train


def test_nothing_but_the_output_is_left_behind(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "deep/er/x.sft", "--quiet")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.sft"]


def test_a_run_directory_has_the_learning_curves_and_is_not_taken_by_another_run(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    arguments = ("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--run-dir", tmp_path / "run")
    assert train(*arguments).status == 0
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    refused = train(*arguments, "--overwrite")
    assert refused.status == 1
    assert "--resume" in refused.stderr
    assert train(*arguments, "--overwrite", "--resume").status == 0


def test_a_directory_that_holds_other_things_than_a_run_is_not_taken_for_one(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.part").touch()  # a run that was killed before it could say which it is
    arguments = ("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--run-dir", run, "--resume")
    (run / "model.safetensors").touch()
    refused = train(*arguments)
    assert (refused.status, refused.stderr.count("\n")) == (1, 1)
    assert "other things than a run" in refused.stderr
    (run / "model.safetensors").unlink()
    assert train(*arguments).status == 0


def test_a_run_that_is_done_gives_the_same_file_again(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    output = tmp_path / "x.sft"
    arguments = ("--mlm", corpus, "--base", pico_base, "-o", output, "--run-dir", tmp_path / "run", "--resume")
    assert "finished" not in train(*arguments).stderr
    before = output.read_bytes()
    again = train(*arguments)  # it was killed just before it ended, for all that anyone knows
    assert again.status == 0
    assert "finished already" in again.stderr
    assert train(*arguments, "--overwrite").status == 0
    assert output.read_bytes() == before


def test_a_run_that_goes_on_does_not_replace_another_file(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    output = tmp_path / "x.sft"
    arguments = ("--mlm", corpus, "--base", pico_base, "-o", output, "--run-dir", tmp_path / "run", "--resume")
    train(*arguments)
    output.write_text("precious")
    refused = train(*arguments)
    assert (refused.status, output.read_text()) == (1, "precious")
    assert "--overwrite" in refused.stderr


def test_resume_without_a_directory_is_a_usage_error(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    assert train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--resume").status == 2


def test_an_existing_output_is_kept_unless_it_may_be_replaced(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    output = tmp_path / "x.sft"
    output.write_text("precious")
    refused = train("--mlm", corpus, "--base", pico_base, "-o", output)
    assert (refused.status, output.read_text()) == (1, "precious")
    assert "--overwrite" in refused.stderr
    assert train("--mlm", corpus, "--base", pico_base, "-o", output, "--overwrite").status == 0


def test_an_output_or_a_run_directory_below_a_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below, file = tmp_path / "file" / "x", tmp_path / "file"
    for options in (("-o", below), ("-o", tmp_path / "x.sft", "--run-dir", below),
                    ("-o", tmp_path / "x.sft", "--run-dir", file, "--resume")):  # fmt: skip
        done = train("--mlm", tmp_path / "none.txt", "--base", tmp_path / "none", *options)
        assert (done.status, done.stderr.count("\n")) == (1, 1)
        assert "is a file, not a directory" in done.stderr


def test_an_output_that_is_a_directory_is_refused_without_talk_of_replacing_it(tmp_path: Path) -> None:
    for more in ((), ("--overwrite",)):
        done = train("--mlm", tmp_path / "none.txt", "-o", tmp_path, *more)
        assert (done.status, done.stderr.count("\n")) == (1, 1)
        assert "is a directory, and the output a file" in done.stderr


def test_a_run_directory_that_is_the_output_is_wrong_usage(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x", "--run-dir", f"{tmp_path}/./x")
    assert done.status == 2
    assert not list(tmp_path.iterdir())
