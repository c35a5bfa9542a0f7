"""The page on JSON names every key that a command prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import sftkit
from sftkit.cli.app import app
from tests.conftest import treebank_text
from tests.helpers import scores, squad

PAGE = (Path(sftkit.__file__).parent / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
#: Below these keys come names of the data's or the model's own, or what another page describes.
OPEN = {
    "metrics", "intervals", "types", "answerable", "schemes", "labels", "confusion", "difference", "p", "average",
    "quantiles", "rounded", "training", "phase 1", "phase 2", "reduced", "languages",
}  # fmt: skip
TRAIN = ("--steps", "2", "--device", "cpu", "--json", "--quiet")
STRIDE = ("--stride", "8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path) -> Path:
    """Text, a treebank, and SFTs learned from them."""
    made = tmp_path_factory.mktemp("json")
    (made / "mt.txt").write_text("".join(f"ta mi lo mi{i % 7} ka{i % 5}.\n" for i in range(60)))
    (made / "mt.conllu").write_text(treebank_text(20))
    (made / "mlm.conllu").write_text(treebank_text(20))
    (made / "ner.txt").write_text("ta B-PER\nmi I-PER\n\nka B-LOC\nlo B-DATE\n\n" * 10)
    squad.save(made / "qa.json", squad.numbers(12, 0, unanswered=True))
    scores.write(made / "results.csv", scores.sweep())
    files = {"mlm": "mt.txt", "pos": "mt.conllu", "ner": "ner.txt", "dep": "mt.conllu", "qa": "qa.json"}
    for objective, data in files.items():
        more = STRIDE if objective == "qa" else ()
        run(made, "train", f"--{objective}", data, "--base", pico_base, "-o", f"{objective}.sft", *TRAIN, *more)
    run(made, "compose", pico_base, "pos.sft", "mlm.sft", "-o", "made-tagger", "--json")
    return made


def run(folder: Path, *arguments: object) -> Any:
    """The document that a command prints, in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[0] if "--jsonl" in arguments else done.stdout)


def keys(document: Any) -> Iterator[str]:
    """All keys of a document but those below open ones."""
    for each in document if isinstance(document, list) else ():
        yield from keys(each)
    for key, value in document.items() if isinstance(document, dict) else ():
        yield key
        if key not in OPEN:
            yield from keys(value)


@pytest.mark.parametrize(
    ("section", "command"),
    [
        ("train", "train --mlm mt.txt --base BASE -o again.sft --steps 2 --device cpu --json -q"),
        ("train --dry-run", "train --mlm mt.txt --base BASE --steps 2 --device cpu --json --dry-run -q"),
        ("evaluate", "evaluate BASE pos.sft mlm.sft --pos mt.conllu --against pos.sft --json"),
        ("evaluate", "evaluate BASE ner.sft --ner ner.txt --json"),
        ("evaluate", "evaluate BASE pos.sft --each {}.sft --pos {}.conllu --json"),
        ("evaluate", "evaluate BASE qa.sft --qa qa.json --stride 8 --json"),
        ("predict --jsonl", "predict BASE pos.sft --pos mt.txt --jsonl"),
        ("predict --jsonl", "predict BASE dep.sft --dep mt.txt --jsonl"),
        ("predict --jsonl", "predict BASE qa.sft --qa qa.json --stride 8 --jsonl"),
        ("compose, subtract", "compose BASE pos.sft mlm.sft -o tagger --json"),
        ("compose, subtract", "compose BASE pos.sft mlm.sft --dry-run --json"),
        ("compose, subtract", "compose mlm.sft pos.sft -o sum.sft --json"),
        ("compose, subtract", "subtract made-tagger BASE -o difference.sft --json"),
        ("compose, subtract", "subtract made-tagger mlm.sft -o back --json"),
        ("inspect", "inspect mlm.sft --json"),
        ("inspect", "inspect made-tagger --json"),
        ("overlap", "overlap mlm.sft pos.sft --per-layer --json"),
        ("data", "data --pos mt.conllu --test mt.conllu --base BASE --json"),
        ("convert, pull", "convert mlm.sft -o published --json"),
        ("push", "push mlm.sft me/mlm --dry-run --json"),
        ("plot", "plot results.csv --figure sweep -o a.png --json"),
        ("plot", "plot results.csv -o a.md --json"),
        ("plot", "plot mlm.sft pos.sft --figure overlap -o b.png --json"),
        ("report", "report mlm.sft pos.sft -o r.html --json"),
        ("demo --world", "demo --world w --dry-run --json -q"),
    ],
    ids=lambda value: value.partition(" -")[0].replace(" ", "-"),
)
def test_every_key_is_on_the_page(section: str, command: str, folder: Path, pico_base: Path) -> None:
    found = set(keys(run(folder, *(str(pico_base) if word == "BASE" else word for word in command.split()))))
    parts = ("train", "dev", "test", "embeddings")  # of data, and layers: what they are called is explained
    named = set(re.findall(r"`([^`]+)`", SECTIONS[section]))
    unnamed = {key for key in found - named if key not in parts and not re.fullmatch(r"phase[12]|mt|mlm|layer.*", key)}
    assert unnamed == set()


ARITHMETIC = {"output", "sfts", "entries", "overlap", "sign_conflicts", "lost", "exact", "notes"}
LEARNED = {"start", "sft", "objective", "method", "k", "density", "steps", "best", "seconds"}


@pytest.mark.parametrize(
    ("command", "promised"),
    [
        ("train --mlm mt.txt --base BASE -o third.sft --steps 2 --device cpu --json -q", LEARNED),
        ("compose BASE pos.sft -o a-tagger --json", ARITHMETIC),
        ("compose mlm.sft pos.sft -o a-sum.sft --json", ARITHMETIC),
        ("subtract BASE pos.sft -o less --json", ARITHMETIC),
        ("subtract made-tagger BASE -o a-difference.sft --json", ARITHMETIC),
    ],
)
def test_keys_that_scripts_rely_on_are_there(command: str, promised: set[str], folder: Path, pico_base: Path) -> None:
    document = run(folder, *(str(pico_base) if word == "BASE" else word for word in command.split()))
    assert promised - set(document) == set()
