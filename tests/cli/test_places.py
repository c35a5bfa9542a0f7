"""Paths as they are typed: the home folder's short name, one file under two options, outputs that are inputs."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from sftkit.cli.options.arguments import expanded
from sftkit.cli.show import render
from tests.cli.run import sftkit, train
from tests.helpers.build import save_sft

HOME = str(Path.home())


@pytest.fixture
def home(tmp_path: Path, pico_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with two SFTs in it."""
    for seed, name in enumerate(("en", "mt")):
        save_sft(tmp_path / f"{name}.sft", pico_base, seed=seed)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("~/x.sft:0.5", f"{HOME}/x.sft:0.5"),
        ("en=~/en.sft:~/en.txt", f"en={HOME}/en.sft:{HOME}/en.txt"),
        ("~", HOME),
        ("~no such user/x", "~no such user/x"),
        (Path("~no such user/x"), Path("~no such user/x")),
        ("~backup.sft", "~backup.sft"),
        ("a/~/x", "a/~/x"),
        ("hf://owner/~x", "hf://owner/~x"),
        (Path("~/x"), Path(HOME, "x")),
        (["~/x", "y"], [f"{HOME}/x", "y"]),
        (1, 1),
    ],
)
def test_a_tilde_is_the_home_folder_where_a_path_begins(typed: object, meant: object) -> None:
    assert expanded(typed) == meant


def test_an_output_in_the_home_folder_is_written_and_found_again(home: Path) -> None:
    done = sftkit("compose", "~/en.sft", "~/mt.sft:0.5", "--output=~/sum.sft")
    assert (done.status, done.stdout) == (0, f"{home / 'sum.sft'}\n")
    assert sftkit("inspect", "~/sum.sft", "--plot=~/sum.png", "--json").status == 0
    assert (home / "sum.png").is_file()


def test_an_input_in_the_home_folder_is_not_replaced_under_its_long_name(home: Path) -> None:
    before = (home / "en.sft").read_bytes()
    done = sftkit("compose", "~/en.sft", "~/mt.sft", "-o", home / "en.sft", "--overwrite")
    assert (done.status, (home / "en.sft").read_bytes()) == (1, before)
    assert "from which it is made" in done.stderr


def test_options_from_a_file_and_training_know_the_home_folder(home: Path, pico_base: Path, corpus: Path) -> None:
    (home / "corpus.txt").write_bytes(corpus.read_bytes())
    (home / "run.toml").write_text('output = "~/learned.sft"\nrun-dir = "~/run"\n')
    assert train("--mlm", "~/corpus.txt", "--base", pico_base, "--config", "~/run.toml").status == 0
    assert (home / "learned.sft").is_file()
    assert (home / "run" / "run.json").is_file()


def test_two_options_that_name_one_file_are_wrong_usage(home: Path) -> None:
    sfts = (home / "en.sft", home / "mt.sft")
    same = ("--plot", home / "x.png", f"--curves={home}/./x.png")
    done = [sftkit("inspect", sfts[0], *same), sftkit("overlap", *sfts, "--csv", home / "x.png", *same[:2])]
    assert [each.status for each in done] == [2, 2]
    assert not (home / "x.png").exists()


def test_what_is_predicted_with_is_not_replaced(home: Path, pico_base: Path) -> None:
    (home / "t.txt").write_text("ta mi\n")
    before = (home / "en.sft").read_bytes()
    arguments = ("predict", pico_base, home / "en.sft:0.5", "--mlm", home / "t.txt", "--overwrite", "-o")
    assert sftkit(*arguments, home / "en.sft").status == 1
    assert (home / "en.sft").read_bytes() == before


def test_a_base_is_not_replaced_by_what_is_learned_on_it(pico_base: Path, corpus: Path) -> None:
    weights = pico_base / "model.safetensors"
    before = weights.read_bytes()
    done = train("--mlm", corpus, "--base", pico_base, "-o", weights, "--overwrite")
    assert (done.status, weights.read_bytes()) == (1, before)
    assert "a part of" in done.stderr


def bytes_of(document: object, encoding: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    render.as_json(document)
    written = stream.buffer
    assert isinstance(written, io.BytesIO)
    return written.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "latin-1", "cp437", "utf-16"])
@pytest.mark.parametrize("text", ["Ħal Għaxaq, é, θ, 𐍈", "half a pair: \ud800", "plain"])
def test_json_is_json_whatever_standard_output_is(encoding: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = bytes_of({"text": text, "none": [float("nan"), float("inf"), 1.5]}, encoding, monkeypatch)
    assert json.loads(written.decode("utf-8")) == {"text": text, "none": [None, None, 1.5]}


def test_what_is_predicted_is_utf_8_whatever_standard_output_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "cp1252", errors="replace")
    monkeypatch.setattr(sys, "stdout", stream)
    render.raw("Għaxaq\n")
    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue() == "Għaxaq\n".encode()


def test_a_link_to_an_output_stays_and_what_it_leads_to_is_written(home: Path) -> None:
    (home / "there").mkdir()
    (home / "sum.sft").symlink_to("there/sum.sft")
    assert sftkit("compose", home / "en.sft", home / "mt.sft", "-o", home / "sum.sft").status == 0
    assert (home / "sum.sft").is_symlink()
    assert (home / "there" / "sum.sft").is_file()
