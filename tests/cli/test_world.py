"""``sftkit demo --world``: what it writes, that it is the same again, and what it does not touch."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path

import pytest
from transformers import AutoModelForMaskedLM, AutoTokenizer

from sftkit.demo.descent import relatedness
from sftkit.demo.world import WorldSettings, files, invent
from sftkit.tasks.readers.conll import tagged_sentences
from tests.cli.run import QUICK, Outcome, sftkit, without_torch

WORLD = ("demo", "--languages", "5", "--seed", "3", "--quick", "--json", "--world")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    folder = tmp_path_factory.mktemp("world") / "w"
    return folder, sftkit(*WORLD, folder)


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_writes_a_base_and_the_data_of_every_language_and_nothing_else(made: tuple[Path, Outcome]) -> None:
    folder, done = made
    assert done.status == 0, done.stderr
    document = json.loads(done.stdout)
    expected = {"world.json", *(name for language in document["languages"] for name in files(language))}
    assert {name for name in everything(folder) if not name.startswith("base/")} == expected
    AutoModelForMaskedLM.from_pretrained(folder / "base")
    AutoTokenizer.from_pretrained(folder / "base")


def test_its_file_says_what_it_printed(made: tuple[Path, Outcome]) -> None:
    folder, done = made
    assert json.loads(done.stdout) == {"folder": str(folder)} | json.loads((folder / "world.json").read_text())


def test_the_base_has_seen_the_source_and_not_all(made: tuple[Path, Outcome]) -> None:
    document = json.loads(made[1].stdout)
    assert document["source"] in document["seen"]
    assert sorted(document["seen"] + document["unseen"]) == sorted(document["languages"])
    assert document["unseen"]


def test_relatedness_is_a_row_a_language_in_the_order_of_the_languages(made: tuple[Path, Outcome]) -> None:
    document = json.loads(made[1].stdout)
    related = relatedness(invent(WorldSettings.quick(5, 3)).tree)
    names = document["languages"]
    assert document["relatedness"] == [[round(related[a, b], 4) for b in names] for a in names]


def test_the_same_arguments_give_the_same_bytes(made: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, _ = made
    assert sftkit(*WORLD, tmp_path / "another").status == 0
    names = sorted(everything(folder))
    assert sorted(everything(tmp_path / "another")) == names
    assert filecmp.cmpfiles(folder, tmp_path / "another", names, shallow=False)[0] == names


def test_train_dev_and_test_are_different_sentences_and_have_the_sizes_that_are_told(
    made: tuple[Path, Outcome],
) -> None:
    folder, done = made
    document = json.loads(done.stdout)
    for language in document["languages"]:
        texts = []
        for split in ("train", "dev", "test"):
            treebank = (folder / f"ud/{language}/{split}.conllu").read_text()
            texts.append([line for line in treebank.splitlines() if line.startswith("# text")])
            assert len(texts[-1]) == document["settings"][split]
            assert len(tagged_sentences(str(folder / f"ner/{language}/{split}.conll")).sentences) == len(texts[-1])
        assert texts[0][: len(texts[1])] != texts[1] != texts[2][: len(texts[1])]


def test_entities_are_of_two_kinds_and_begin_before_they_go_on(made: tuple[Path, Outcome]) -> None:
    folder, done = made
    for language in json.loads(done.stdout)["languages"]:
        for _, tags in tagged_sentences(str(folder / f"ner/{language}/train.conll")).sentences:
            assert set(tags) <= {"O", "B-PER", "I-PER", "B-LOC", "I-LOC"}
            for before, tag in zip(["O", *tags], tags, strict=False):
                assert not tag.startswith("I-") or before[1:] == tag[1:]


@pytest.mark.parametrize("objective", ["mlm", "pos", "dep", "ner"])
def test_every_kind_of_file_can_be_learned_from(objective: str, made: tuple[Path, Outcome], tmp_path: Path) -> None:
    folder, done = made
    source = json.loads(done.stdout)["source"]
    data = {"mlm": f"mlm/{source}.txt", "ner": f"ner/{source}/train.conll"}.get(objective, f"ud/{source}/train.conllu")
    learned = ("--base", folder / "base", "-o", tmp_path / "x.sft", *QUICK)
    assert sftkit("train", f"--{objective}", folder / data, *learned).status == 0


def test_a_dry_run_writes_nothing_and_tells_the_same_world_without_torch(
    made: tuple[Path, Outcome], tmp_path: Path
) -> None:
    told = without_torch(*WORLD, tmp_path / "w", "--dry-run")
    assert not list(tmp_path.iterdir())
    assert "5 languages" in told.stderr
    document = json.loads(told.stdout)
    assert document.pop("bytes") > 0
    assert document.pop("seconds") > 0
    document["folder"] = str(made[0])
    assert document == json.loads(made[1].stdout)


def test_an_earlier_world_is_replaced_only_with_leave_and_only_if_nothing_else_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    assert sftkit(*WORLD, folder).status == 0
    assert "--overwrite" in sftkit(*WORLD, folder).stderr
    assert sftkit(*WORLD, folder, "--seed", "4", "--overwrite").status == 0
    assert json.loads((folder / "world.json").read_text())["settings"]["seed"] == 4
    for name in ("ud/results.csv", "base/results.csv"):
        (folder / name).write_text("precious")
        done = sftkit(*WORLD, folder, "--overwrite")
        assert (done.status, "results.csv" in done.stderr) == (1, True)
        assert (folder / name).read_text() == "precious"
        (folder / name).unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


@pytest.mark.parametrize("marker", [None, "x", "{}", '{"languages": 3}'])
def test_a_folder_that_is_no_world_is_refused_before_torch_is_imported(marker: str | None, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("x")
    if marker is not None:
        (tmp_path / "world.json").write_text(marker)
    done = without_torch(*WORLD, tmp_path, "--overwrite")
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "no world" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--languages", "4"), "--languages is for --world"),
        (("--dry-run",), "--dry-run is for --world"),
        (("--world", "w", "-o", "x"), "leave --output out"),
        (("--world", "w", "--languages", "1"), "greater than or equal to 2"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sftkit("demo", *options)
    assert done.status != 0
    assert said in done.stderr
    assert not list(tmp_path.iterdir())
