"""``sftkit train``: files and JSON that it leaves, and errors that say what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sftkit.cli.show.progress import TrainingDisplay
from sftkit.format.files import SftFile, read
from tests.cli.run import Outcome, sftkit, train
from tests.helpers.build import save_sft


def in_words(done: Outcome) -> str:
    """What a usage error says, without its frame."""
    return " ".join(done.stderr.replace("│", " ").split())


def test_entries_of_a_random_mask_that_did_not_move_are_told_as_normal(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    said = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--method", "random").stderr
    assert "did not move (no gradient reached them: as is normal of random masks" in said


def test_json_has_the_documented_keys(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--json")
    document = json.loads(done.stdout)
    assert set(document) == {"sft", "objective", "method", "k", "density", "steps", "start", "best", "seconds"}
    assert document["steps"] == {"phase1": 2, "phase2": 2}
    assert set(document["best"]) == {"step", "metric", "value"}
    assert set(document["start"]) == {"metric", "value"}
    assert set(document["seconds"]) == {"phase1", "select", "phase2"}
    assert (document["k"], document["objective"], document["method"]) == (50, "mlm", "lottery")


def test_without_a_base_and_an_output_both_have_their_defaults(
    tmp_path: Path, pico_base: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SFTKIT_BASE", str(pico_base))
    assert train("--mlm", corpus).status == 0
    assert SftFile("corpus.sft").metadata.k == 50


def test_random_masks_have_no_phase_1(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--method", "random", "--json")
    assert json.loads(done.stdout)["steps"] == {"phase1": 0, "phase2": 2}


@pytest.mark.parametrize(("option", "size"), [("--mask-from", ()), ("--avoid", ("--k", "200"))])
def test_entries_are_an_sfts_or_avoid_it(
    option: str, size: tuple[str, ...], tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    donor = save_sft(tmp_path / "donor.sft", pico_base, k=50)
    given = ("--mlm", corpus, "--base", pico_base, "--steps", "2", "--device", "cpu", *size)
    done = sftkit("train", *given, option, donor, "-o", tmp_path / "x.sft")
    assert done.status == 0, done.stderr
    named, found = (
        {(name, at) for name in sft.names for at in sft.entries(name)[0].tolist()}
        for sft in (read(donor), read(tmp_path / "x.sft"))
    )
    assert found <= named if option == "--mask-from" else not found & named
    assert found


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    (tmp_path / "run.toml").write_text(
        f'mlm = ["{corpus}"]\nbase = "{pico_base}"\nk = 70\nmethod = "random"\nlr = 1e-3\neval-every = 1\n'
    )
    done = sftkit(
        "train", "--config", tmp_path / "run.toml", "-o", tmp_path / "x.sft", "--steps", "2", "--k", "60", "--json"
    )
    assert done.status == 0, done.stderr
    metadata = SftFile(tmp_path / "x.sft").metadata
    assert (metadata.k, metadata.method, metadata.training["lr"]) == (60, "random", 1e-3)


def test_an_option_that_may_be_repeated_takes_a_single_value_from_a_file(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    (tmp_path / "run.toml").write_text(f'mlm = "{corpus}"\nbase = "{pico_base}"\nfreeze = "embeddings"\n')
    done = sftkit("train", "--config", tmp_path / "run.toml", "-o", tmp_path / "x.sft", "--steps", "2", "--k", "9")
    assert done.status == 0, done.stderr
    assert SftFile(tmp_path / "x.sft").metadata.training["freeze"] == ["embeddings"]


@pytest.mark.parametrize("text", ["nonsense = 1\n", "k = \n"])
def test_a_file_of_options_that_is_wrong_is_a_usage_error(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(text)
    done = sftkit("train", "--config", "run.toml")
    assert done.status == 2
    assert "run.toml" in done.stderr


def test_several_densities_make_a_file_each(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = sftkit(
        "train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--steps", "2", "--device", "cpu",
        "--density", "0.01,0.05", "--json",
    )  # fmt: skip
    documents = json.loads(done.stdout)
    assert [Path(each["sft"]).name for each in documents] == ["x-0.01.sft", "x-0.05.sft"]
    assert [each["k"] for each in documents] == [SftFile(each["sft"]).metadata.k for each in documents]


def test_two_densities_of_one_file_name_are_wrong_usage(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    options = ("--base", pico_base, "-o", tmp_path / "x.sft", "--density", "0.1,0.2,0.1")
    assert sftkit("train", "--mlm", corpus, *options).status == 2
    assert not list(tmp_path.iterdir())


def test_a_number_of_entries_wins_over_a_density(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    assert train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--density", "0.5").status == 0
    assert SftFile(tmp_path / "x.sft").metadata.k == 50


def test_the_header_says_what_a_run_takes_and_each_part_what_it_took(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    said = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft").stderr
    for part in (
        "mlm on", "K = 50", "frozen: layer norms", "2 + 2 steps of 8", "on cpu", "memory, phase 1: ", "φ 800 B",
        "and activations", "phase 1  2 steps", "selection  ", "phase 2  2 steps",
    ):  # fmt: skip
        assert part in said


def test_one_of_a_kind_is_told_in_the_singular(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "two.txt").write_text("ta mi\nlo ka\n")
    options = ("--base", pico_base, "-o", tmp_path / "x.sft", "--steps", "1", "--k", "9", "--method", "random")
    said = sftkit("train", "--mlm", tmp_path / "two.txt", *options, "--device", "cpu").stderr
    assert "1 example, 1 to choose the best step on; 1 step of 8" in said
    assert "phase 2  1 step in" in said


def test_a_length_that_the_base_does_not_take_is_noted_with_the_one_that_is_used(
    tmp_path: Path, pico_base: Path, corpus: Path
) -> None:
    arguments = ("train", "--mlm", corpus, "--base", pico_base, "--steps", 1, "--k", 50, "--device", "cpu")
    done = sftkit(*arguments, "-o", tmp_path / "x.sft", "--max-length", 65)
    assert "no more than 64 tokens: 64 is used" in done.stderr
    assert SftFile(tmp_path / "x.sft").metadata.training["max_length"] == 64
    assert "is used" not in sftkit(*arguments, "-o", tmp_path / "y.sft", "--max-length", 64).stderr


def test_the_header_counts_the_rounds_of_phase_1(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    said = train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--iterations", "3").stderr
    assert "; 3 × 2 + 2 steps of 8" in said
    assert "phase 1, round 3" in said


def test_progress_tells_the_training_loss_from_the_one_that_chooses(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingDisplay() as display:
        display.phase("phase 1", 2)
        display.step(2, 4.331)
        display.evaluated(1, "loss", 4.8607, 4.8607)
        display.done()
    assert "2 steps in 0:00  training loss 4.331" in capsys.readouterr().err


def test_the_closing_table_has_a_column_for_each_sft(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    done = sftkit(
        "train", "--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--steps", "1", "--device", "cpu",
        "--density", "0.01,0.05",
    )  # fmt: skip
    assert "K = 69, 346 (0.996 %, 4.99 % of 6,928)" in done.stderr
    head, *rows = (line for line in done.stdout.splitlines() if "│" in line or "┃" in line)
    assert "x-0.01.sft" in head
    assert "x-0.05.sft" in head
    assert [row.split("│")[1].strip() for row in rows] == [
        "objective, method",
        "K",
        "before",
        "phase 1",
        "phase 2",
        "time",
    ]


def test_quiet_says_nothing_but_the_result(tmp_path: Path, pico_base: Path, corpus: Path) -> None:
    assert train("--mlm", corpus, "--base", pico_base, "-o", tmp_path / "x.sft", "--quiet").stderr == ""


@pytest.mark.parametrize(
    ("number", "status"), [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_it_with_its_own_status_and_leaves_nothing(
    tmp_path: Path, pico_base: Path, corpus: Path, number: signal.Signals, status: int
) -> None:
    command = [
        sys.executable, "-m", "sftkit", "train", "--mlm", str(corpus), "--base", str(pico_base),
        "-o", str(tmp_path / "x.sft"), "--steps", "100000", "--k", "50", "--device", "cpu", "--eval-every", "1",
    ]  # fmt: skip
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if "steps of 8" in line:  # the header is shown: training begins
            break
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert "nothing was saved" in errors
    assert "Traceback" not in errors
    assert not list(scratch.glob("sftkit-*"))
    assert not (tmp_path / "x.sft").exists()


def test_a_source_language_s_sft_takes_a_weight(tmp_path: Path, pico_base: Path, corpus: Path, treebank: Path) -> None:
    lang = save_sft(tmp_path / "lang.sft", pico_base, scale=0.3)
    task = ("--pos", treebank, "--base", pico_base, "--method", "random")
    assert train(*task, "-o", tmp_path / "alone.sft").status == 0
    assert train(*task, "-o", tmp_path / "none.sft", "--with", f"{lang}:0").status == 0
    assert train(*task, "-o", tmp_path / "half.sft", "--with", f"{lang}:0.5").status == 0
    alone, none, half = (SftFile(tmp_path / f"{name}.sft") for name in ("alone", "none", "half"))
    values = [{name: sft.entries(name)[1].tolist() for name in sft.names} for sft in (alone, none, half)]
    assert values[0] == values[1] != values[2]
    assert half.metadata.training["source_weight"] == 0.5
