"""``--ner``, ``--nli`` and ``--classify`` from the command line: learned, scored, written out, and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sftkit.format.files import SftFile
from tests.cli.run import Outcome, sftkit

NER = "ta B-PER\nmi I-PER\nlo O\n\nka B-LOC\nsu O\n\nra B-DATE\nlo O\n\n" * 12
QUICK = (
    "--steps", 40, "--eval-every", 10, "--k", 1500, "--lr", "3e-2", "--method", "random", "--device", "cpu", "--quiet",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, pico_base: Path, corpus: Path) -> Path:
    """Data, and ``ner.sft``, ``nli.sft``, ``classify.sft`` and ``lang.sft`` that learned them."""
    folder = tmp_path_factory.mktemp("labels")
    (folder / "ner.txt").write_text(NER)
    pairs = [("ta mi", "ta mi", "yes"), ("ta mi", "lo su", "no"), ("ka", "ka", "yes"), ("ka", "ra ra", "no")] * 8
    (folder / "nli.tsv").write_text("premise\thypothesis\tlabel\n" + "".join("\t".join(row) + "\n" for row in pairs))
    rows = [{"text": text, "label": label} for text, label in (("ta mi", 1), ("lo su", 0), ("ka ka", 2)) * 10]
    (folder / "classify.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for objective, name in (("ner", "ner.txt"), ("nli", "nli.tsv"), ("classify", "classify.jsonl")):
        data = (f"--{objective}", folder / name, "--dev", folder / name)
        done = sftkit("train", *data, "--base", pico_base, "-o", folder / f"{objective}.sft", *QUICK)
        assert done.status == 0, done.stderr
    language = ("train", "--mlm", corpus, "--base", pico_base, "-o", folder / "lang.sft", *QUICK, "--steps", 2)
    assert sftkit(*language).status == 0
    return folder


def document(*arguments: object) -> dict[str, Any]:
    done = sftkit("evaluate", *arguments, "--json")
    assert done.status == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_entities_are_learned_and_told_by_type(pico_base: Path, folder: Path) -> None:
    found = document(pico_base, folder / "ner.sft", "--ner", folder / "ner.txt")
    assert found["metrics"]["f1"] > 0.9
    assert [row["type"] for row in found["details"]["types"]] == ["DATE", "LOC", "PER"]
    assert [row["support"] for row in found["details"]["types"]] == [12, 12, 12]


@pytest.mark.parametrize(
    ("options", "scheme"),
    [((), "strict"), (("--scheme", "conlleval"), "conlleval"), (("--paper-compat",), "conlleval")],
)
def test_both_schemes_of_entities_are_told_and_one_is_in_force(
    options: tuple[str, ...], scheme: str, tmp_path: Path, pico_base: Path, folder: Path
) -> None:
    (tmp_path / "x.txt").write_text(NER + "ta I-PER\nmi I-PER\n\n" * 6)  # gold entities by one scheme only
    found = document(pico_base, folder / "ner.sft", "--ner", tmp_path / "x.txt", *options)
    first, other = found["details"]["schemes"]
    assert (first["scheme"], {first["scheme"], other["scheme"]}) == (scheme, {"strict", "conlleval"})
    assert {name: first[name] for name in found["metrics"]} == found["metrics"]
    assert first["f1"] != other["f1"]
    output = tmp_path / "x.sft"
    done = sftkit(
        "train", "--ner", tmp_path / "x.txt", "--base", pico_base, "-o", output, *QUICK, "--steps", 2, *options
    )
    assert done.status == 0, done.stderr
    assert SftFile(output).metadata.training["options"]["scheme"] == scheme


def test_a_type_is_left_out_at_test_and_at_training(tmp_path: Path, pico_base: Path, folder: Path) -> None:
    left_out = ("--map-label", "DATE=O")
    found = document(pico_base, folder / "ner.sft", "--ner", folder / "ner.txt", *left_out)
    assert found["metrics"]["recall"] > 0.9
    assert found["metrics"]["precision"] < 0.7  # the model still says DATE
    trained = sftkit(
        "train", "--ner", folder / "ner.txt", "--base", pico_base, "-o", tmp_path / "x.sft", *QUICK, *left_out
    )
    assert trained.status == 0, trained.stderr
    told = sftkit("evaluate", pico_base, tmp_path / "x.sft", "--ner", folder / "ner.txt")
    assert told.status == 1
    assert "(O, B-LOC, I-LOC, B-PER, I-PER): B-DATE, I-DATE." in told.stderr
    assert "--map-label DATE=O" in told.stderr
    assert document(pico_base, tmp_path / "x.sft", "--ner", folder / "ner.txt", *left_out)["metrics"]["f1"] > 0.9


@pytest.mark.parametrize(("objective", "name"), [("nli", "nli.tsv"), ("classify", "classify.jsonl")])
def test_labels_of_texts_are_learned_and_told_as_a_confusion_matrix(
    pico_base: Path, folder: Path, objective: str, name: str
) -> None:
    found = document(pico_base, folder / f"{objective}.sft", f"--{objective}", folder / name)
    assert set(found["metrics"]) == {"accuracy", "macro_f1"}
    assert found["metrics"]["accuracy"] > 0.9
    rows = found["details"]["confusion"]
    right = sum(row[row["gold ↓ predicted →"]] for row in rows)
    assert right / found["examples"] == pytest.approx(found["metrics"]["accuracy"])


@pytest.mark.parametrize(
    ("objective", "name"), [("ner", "ner.txt"), ("nli", "nli.tsv"), ("classify", "classify.jsonl")]
)
def test_what_the_model_said_scores_itself_perfectly(
    tmp_path: Path, pico_base: Path, folder: Path, objective: str, name: str
) -> None:
    model, option, said = (pico_base, folder / f"{objective}.sft"), f"--{objective}", tmp_path / name
    first = sftkit("evaluate", *model, option, folder / name, "--predictions", said)
    assert first.status == 0, first.stderr
    assert document(*model, option, said)["metrics"].popitem()[1] == 1
    assert len(said.read_text().splitlines()) == len((folder / name).read_text().splitlines())


def test_texts_that_are_cut_are_told_in_training_and_in_scoring(tmp_path: Path, pico_base: Path, folder: Path) -> None:
    rows = [("ta " * 40, "yes"), ("mi", "no")] * 10
    (tmp_path / "x.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    loud = [argument for argument in QUICK if argument != "--quiet"]
    trained = sftkit(
        "train", "--classify", tmp_path / "x.tsv", "--dev", tmp_path / "x.tsv", "--base", pico_base,
        "-o", tmp_path / "x.sft", "--max-length", 16, *loud,
    )  # fmt: skip
    assert trained.status == 0, trained.stderr
    told = " ".join(trained.stderr.split())
    assert "x.tsv: longer than the window and cut: 10 of 20 examples" in told
    assert "held-out data: longer than the window and cut: 10 of 20 examples" in told
    scored = sftkit(
        "evaluate", pico_base, tmp_path / "x.sft", "--classify", tmp_path / "x.tsv", "--max-length", 16
    )  # fmt: skip
    assert "longer than the window and cut: 10 of 20 examples" in " ".join(scored.stderr.split())


def test_labels_to_be_mapped_that_are_not_there_are_told_in_training_and_in_scoring(
    tmp_path: Path, pico_base: Path, folder: Path
) -> None:
    loud = [argument for argument in QUICK if argument != "--quiet"]
    data = ("--classify", folder / "classify.jsonl", "--map-label", "7=1")
    trained = sftkit("train", *data, "--base", pico_base, "-o", tmp_path / "x.sft", *loud, "--steps", 1)
    scored = sftkit("evaluate", pico_base, tmp_path / "x.sft", *data)
    for done in (trained, scored):
        assert done.status == 0, done.stderr
        assert "--map-label 7=1: there is no label 7 in the data, only 0, 1, 2." in done.stderr


def test_few_held_out_examples_are_told_and_those_that_are_given_are_not(
    tmp_path: Path, pico_base: Path, folder: Path
) -> None:
    loud = [argument for argument in QUICK if argument != "--quiet"]
    data = ("--nli", folder / "nli.tsv")
    common = ("--base", pico_base, "-o", tmp_path / "x.sft", "--overwrite", *loud, "--steps", 1)
    assert "best step on: 2, too few" in sftkit("train", *data, *common).stderr
    assert "too few" not in sftkit("train", *data, "--dev", folder / "nli.tsv", *common).stderr


def test_labels_that_only_held_out_examples_have_are_learned_too(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "x.txt").write_text("".join(f"ta B-T{i}\n\n" for i in range(20)))
    done = sftkit("train", "--ner", tmp_path / "x.txt", "--base", pico_base, "-o", tmp_path / "x.sft", *QUICK)
    assert done.status == 0, done.stderr
    assert len(SftFile(tmp_path / "x.sft").metadata.labels) == 41


def _fails(status: int, *arguments: object) -> str:
    done: Outcome = sftkit(*arguments)
    assert done.status == status, done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("objective", ["ner", "nli", "classify"])
def test_a_language_alone_is_no_model_for_a_task(pico_base: Path, folder: Path, objective: str) -> None:
    data = next(path for path in folder.iterdir() if path.stem == objective and path.suffix != ".sft")
    told = _fails(1, "evaluate", pico_base, folder / "lang.sft", f"--{objective}", data)
    assert f"Add an SFT trained with --{objective}" in told


@pytest.mark.parametrize(
    ("trained", "option", "text", "complaint"),
    [
        ("ner", "--ner", "1\tta\t_\tNOUN\t_\t_\t0\troot\t_\t_\n", "line 1: '_' in the last column is no BIO tag"),
        ("ner", "--ner", "premise\thypothesis\tlabel\n", "line 1: 'label' in the last column is no BIO tag"),
        (
            "ner",
            "--ner",
            "ta B-ORG\n",
            "not among the labels that were learned (O, B-DATE, I-DATE, B-LOC, I-LOC, B-PER, …): B-ORG, I-ORG.",
        ),
        ("nli", "--nli", "only text here\n", "no table. Tables end in .tsv"),
        ("nli", "--nli", "text\tlabel\na\tb\n", "has no column premise or sentence1"),
        ("nli", "--nli", "premise\thypothesis\tlabel\na\tb\t0\n", "--map-label 0=LABEL"),
        ("nli", "--nli", "premise\thypothesis\tlabel\na\tb\tnot so\n", "--map-label 'not so=LABEL'"),
        ("nli", "--classify", "text\tlabel\na\t0\n", "was trained with --nli, not --classify"),
        ("classify", "--classify", "text\tlabel\na\t7\n", "not among the labels that were learned (0, 1, 2): 7."),
    ],
)
def test_data_that_do_not_fit_are_told_in_one_line(
    tmp_path: Path, pico_base: Path, folder: Path, trained: str, option: str, text: str, complaint: str
) -> None:
    (tmp_path / "data.txt").write_text(text)
    told = _fails(1, "evaluate", pico_base, folder / f"{trained}.sft", option, tmp_path / "data.txt")
    assert complaint in told
    assert "data.txt" in told or "nli.sft" in told


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--ner", "x.txt", "--map-label", "B-DATE=O"), "B-DATE is a tag; name entity types, such as DATE=O"),
        (("--nli", "x.tsv", "--columns", "a,b"), "name 3 columns, those of premise, hypothesis, label"),
        (("--classify", "x.tsv", "--columns", "a,b,c"), "name 2 columns, those of text, label"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in _fails(2, "evaluate", "base", *arguments).replace("│ ", "").replace(" │", "")
