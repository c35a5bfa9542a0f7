"""``sftkit inspect`` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.run import sftkit
from tests.helpers import pico
from tests.helpers.build import save_sft

KEYS = {"k", "density", "objective", "method", "base", "parameters", "layers", "head", "training", "parents"}

TRAINING = {
    "seed": 7, "phase1": {"steps": 40}, "data": [{"name": "mt.txt", "xxh3_128": "e" * 32}], "lr": 5e-5, "l1": 0.1,
    "frozen": "layer norms", "versions": {"sftkit": "9.9"}, "steps": {"phase1": 40, "phase2": 40},
    "best": {"step": 20, "metric": "loss", "value": 3.25},
    "history": {"phase1": [[20, 3.5], [40, 3.125]], "phase2": [[20, 3.25], [40, 3.375]]},
    "losses": {"phase1": [[20, 4.5], [40, 4.25]], "phase2": []},
}  # fmt: skip


@pytest.fixture(scope="module")
def sft(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sfts")
    return save_sft(folder / "mt.sft", pico_base, training=TRAINING, trained_with=("d" * 32,))


@pytest.fixture(scope="module")
def task(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sft(tmp_path_factory.mktemp("sfts") / "pos.sft", pico_base, objective="pos", seed=1, k=300)


def test_json_has_the_documented_keys(sft: Path) -> None:
    document = json.loads(sftkit("inspect", sft, "--json").stdout)
    assert document.keys() >= KEYS
    assert document["k"] == 200
    assert document["objective"] == "mlm"
    assert document["training"]["phase1"] == {"steps": 40}
    for part in ("parameters", "layers", "kinds"):
        assert document[part][0].keys() == {"name", "shape", "nnz", "density", "l1", "l2", "max_abs"}
        assert sum(entry["nnz"] for entry in document[part]) == 200
    assert document["head"][0].keys() >= {"name", "shape"}


def test_json_of_several_files_is_a_list(sft: Path, task: Path) -> None:
    documents = json.loads(sftkit("inspect", sft, task, "--json").stdout)
    assert [document["k"] for document in documents] == [200, 300]


def test_one_file_is_shown_with_kinds_layers_and_provenance(sft: Path, pico_base: Path) -> None:
    shown = sftkit("inspect", sft)
    assert shown.status == 0
    for expected in ("200", "feed-forward in", "encoder.layer.1", "mlm", "lottery", "d" * 32):
        assert expected in shown.stdout
    assert str(pico_base) in shown.stdout
    assert "encoder.layer.1.output.dense.weight" not in shown.stdout


def test_the_training_record_is_shown_in_words_and_its_curves_as_numbers(sft: Path) -> None:
    shown = sftkit("inspect", sft).stdout
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in shown.splitlines() if "│" in line]
    for row in (
        ["data", f"mt.txt  {'e' * 32}"], ["steps", "40 + 40"], ["best step", "20: loss 3.25"],
        ["learning rate", "5e-05"], ["λ (L1)", "0.1"], ["frozen", "layer norms"], ["seed", "7"],
        ["made with", "sftkit 9.9"],
        ["20", "3.5", "4.5", "3.25", ""], ["40", "3.125", "4.25", "3.375", ""],
    ):  # fmt: skip
        assert row in cells


def test_what_a_run_did_not_use_is_not_said_of_it(tmp_path: Path, pico_base: Path) -> None:
    unused = {"held_out": 0.05, "source_weight": 1.0, "temperature": 1.0}
    used = {"held_out": 0.05, "source_weight": 0.5, "temperature": 2.0}
    told = ("held out of the data", "source weight", "temperature")
    dev = {"dev": [{"name": "dev.txt", "xxh3_128": "e" * 32}]}
    without = sftkit("inspect", save_sft(tmp_path / "a.sft", pico_base, training=unused | dev)).stdout
    assert not [name for name in told if name in without]
    with_all = sftkit("inspect", save_sft(tmp_path / "b.sft", pico_base, training=used)).stdout
    assert all(name in with_all for name in told)


def test_sources_and_the_sfts_that_they_were_trained_with_are_named(tmp_path: Path, pico_base: Path) -> None:
    data, sft = {"name": "wo-train.conllu", "xxh3_128": "e" * 32}, {"name": "wo.sft", "xxh3_128": "d" * 32}
    training = {"sources": [{"name": "wo", "data": data, "sft": sft}]}
    made = save_sft(tmp_path / "pos.sft", pico_base, training=training, trained_with=("d" * 32, "c" * 32))
    shown = sftkit("inspect", made).stdout
    assert "wo: wo-train.conllu under wo.sft " in shown
    assert f"wo.sft  {'d' * 32} " in shown
    assert f" {'c' * 32} " in shown


def test_a_record_that_another_program_wrote_is_shown_as_it_is(tmp_path: Path, pico_base: Path) -> None:
    odd = {"best": 3, "steps": "many", "history": [1, 2], "losses": {"phase1": "none"}, "data": [7], "held_out": "some",
           "sources": [{"sft": 7}, 8], "temperature": "hot"}  # fmt: skip
    shown = sftkit("inspect", save_sft(tmp_path / "x.sft", pico_base, training=odd))
    assert shown.status == 0
    assert "many" in shown.stdout


def test_the_score_before_the_first_step_and_a_run_for_nothing_are_told(tmp_path: Path, pico_base: Path) -> None:
    training = {
        "start": {"metric": "loss", "value": 4.5}, "best": {"step": 30, "metric": "loss", "value": 9.25}, "lr": 0.5,
        "history": {"phase2": [[0, 4.5], *([step, 10.0 - step / 40] for step in range(1, 31))]},
    }  # fmt: skip
    shown = sftkit("inspect", save_sft(tmp_path / "x.sft", pico_base, training=training)).stdout
    assert "before the first step" in shown
    assert "loss 4.5" in shown
    assert "nothing was gained: loss was 4.5" in shown
    assert "try --lr 5e-05" in shown
    rows = [line.split("│")[1].strip() for line in shown[shown.index("Learning curves") :].splitlines() if "│" in line]
    assert (rows[0], rows[-1]) == ("0", "30")


def test_curves_are_drawn_from_the_record(sft: Path, tmp_path: Path) -> None:
    assert sftkit("inspect", sft, "--curves", tmp_path / "curves.png").status == 0
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_without_a_record_are_one_line(task: Path, tmp_path: Path) -> None:
    done = sftkit("inspect", task, "--curves", tmp_path / "curves.png")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "no learning curves" in done.stderr


def test_layers_shows_every_parameter(sft: Path) -> None:
    assert "encoder.layer.1.output.dense.weight" in sftkit("inspect", sft, "--layers").stdout


def test_two_files_are_shown_side_by_side(sft: Path, task: Path) -> None:
    lines = sftkit("inspect", sft, task, "--layers").stdout.splitlines()
    row = next(line for line in lines if line.startswith("│ K "))
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["K", "200", "300"]


def test_three_files_side_by_side_fit_into_100_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    base = pico.save_base(Path("base"))
    names = [save_sft(Path(f"{objective}.sft"), base, objective=objective) for objective in ("mlm", "pos", "nli")]
    shown = sftkit("inspect", *names).stdout
    assert "nli" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_what_is_shown_as_names_and_values_has_no_empty_heading(sft: Path) -> None:
    lines = sftkit("inspect", sft).stdout.splitlines()
    assert lines[2].startswith("│ K ")


def test_tokens_are_named_with_the_bases_tokenizer(sft: Path) -> None:
    document = json.loads(sftkit("inspect", sft, "--tokens", "--top", "4", "--json").stdout)
    assert len(document["tokens"]) == 4
    assert document["tokens"][0].keys() == {"row", "token", "nnz", "l2"}
    assert "Tokens changed most" in sftkit("inspect", sft, "--tokens").stdout


def test_markup_in_names_is_shown_as_it_is(pico_base: Path, tmp_path: Path) -> None:
    path = save_sft(tmp_path / "x.sft", pico_base, labels=("[red]", "[/]"), objective="pos")
    assert "[red], [/]" in sftkit("inspect", path).stdout


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_a_picture_is_drawn_and_not_replaced_unasked(ending: str, sft: Path, task: Path, tmp_path: Path) -> None:
    picture = tmp_path / f"x.{ending}"
    assert sftkit("inspect", sft, task, "--plot", picture).status == 0
    before = picture.read_bytes()
    assert len(before) > 1000
    again = sftkit("inspect", sft, "--plot", picture)
    assert again.status == 1
    assert "--overwrite" in again.stderr
    assert picture.read_bytes() == before
    assert sftkit("inspect", sft, "--plot", picture, "--overwrite").status == 0


def test_a_picture_of_unknown_kind_is_refused(sft: Path, tmp_path: Path) -> None:
    refused = sftkit("inspect", sft, "--plot", tmp_path / "x.txt")
    assert refused.status == 1
    assert ".png" in refused.stderr


@pytest.mark.parametrize("what", ["a text file", "a folder", "nothing", "a text file, as JSON"])
def test_what_is_no_sft_is_refused_in_one_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.sft"
    if what.startswith("a text file"):
        path.write_text("hello")
    elif what == "a folder":
        path.mkdir()
    refused = sftkit("inspect", path, *(["--json"] if "JSON" in what else []))
    assert refused.status == 1
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    assert "x.sft" in refused.stderr


def test_files_of_one_name_are_runs_of_their_own(pico_base: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        save_sft(tmp_path / folder / "mt.sft", pico_base, training=TRAINING)
    done = sftkit("inspect", *sorted(tmp_path.glob("*/mt.sft")), "--curves", tmp_path / "x.svg")
    assert done.status == 0, done.stderr
    assert all(f"<!-- {folder}/mt -->" in (tmp_path / "x.svg").read_text() for folder in ("first", "second"))
