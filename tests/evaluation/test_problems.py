"""Heads for a number or for several labels are scored by what they are for, and never by the likeliest output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.errors import DataError, MismatchError
from sftkit.evaluation.bootstrap import draws
from sftkit.evaluation.run import Evaluation, Scoring, evaluate
from sftkit.format.files import SftFile
from sftkit.tasks.tally import ExampleTally, correlations
from tests.cli.run import sftkit
from tests.helpers import pico

TEXTS = ("ta mi lo", "ka", "su ra en an", "lo lo su ta", "mi mi", "ra. ka su", "an en", "ta ta ta ka")
NAMES = ("joy", "fear", "anger")
SEVERAL: dict[str, Any] = {
    "problem_type": "multi_label_classification",
    "id2label": dict(enumerate(NAMES)),
    "label2id": {name: i for i, name in enumerate(NAMES)},
}
ONE: dict[str, Any] = {"num_labels": 1}


def _model(folder: Path, model_type: str = "bert", seed: int = 1, **settings: Any) -> Path:
    name = {"bert": "BertForSequenceClassification", "llama": "LlamaForSequenceClassification"}[model_type]
    model = pico.make_as(name, model_type, seed=seed, **settings)
    with torch.no_grad():
        for parameter in model.parameters():  # so that outputs differ from text to text, and are on both sides of 0
            parameter.mul_(30 if parameter.dim() > 1 else 1)
    model.save_pretrained(folder)
    pico.make_tokenizer().save_pretrained(folder)
    return folder


def _table(path: Path, labels: Sequence[Any], texts: Sequence[str] = TEXTS) -> str:
    if path.suffix == ".jsonl":
        rows = ({"text": text, "label": label} for text, label in zip(texts, labels, strict=True))
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = (f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True))
        path.write_text("text\tlabel\n" + "".join(lines))
    return str(path)


def _outputs(folder: Path) -> Any:
    """What plain transformers says of the texts, one at a time: ``[texts, labels]``."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.concatenate([model(**tokenizer(text, return_tensors="pt")).logits.numpy() for text in TEXTS])


def _score(data: str, base: Path, *sfts: Path, objective: str = "classify", **more: Any) -> Evaluation:
    added = [Weighted(SftFile(path), 1.0, path.name) for path in sfts]
    return evaluate(Scoring(objective, device="cpu", resamples=0), [data], base, added, **more)


@pytest.mark.parametrize("model_type", ["bert", "llama"])
def test_a_head_for_a_number_gets_the_correlations_of_scipy(model_type: str, tmp_path: Path) -> None:
    model = _model(tmp_path / "model", model_type, **ONE)
    gold = [1.5, 0, 3, 3, -2, 4.25, 0.1, 7e-1]
    said = _outputs(model)[:, 0]
    found = _score(_table(tmp_path / "x.tsv", gold), model).metrics
    assert found == pytest.approx(
        {"spearman": spearmanr(said, gold).statistic, "pearson": pearsonr(said, gold).statistic}, abs=1e-4
    )


@pytest.mark.parametrize("way", ["|", ", ", "list", "json", "python"])
def test_a_head_for_several_labels_gets_the_f1_of_scikit_learn(way: str, tmp_path: Path) -> None:
    model = _model(tmp_path / "model", **SEVERAL)
    sets = [["joy"], ["fear", "joy"], [], ["anger"], ["joy", "fear"], ["fear"], ["joy"], []]
    cells: list[Any] = sets
    if way in ("json", "python"):
        cells = [json.dumps(each) if way == "json" else str(each) for each in sets]
    elif way != "list":
        cells = [way.join(each) for each in sets]
    gold = np.array([[name in each for name in NAMES] for each in sets])
    said = 1 / (1 + np.exp(-_outputs(model))) > 0.5
    found = _score(_table(tmp_path / ("x.jsonl" if way == "list" else "x.tsv"), cells), model)
    assert found.metrics == pytest.approx({
        "micro_f1": f1_score(gold, said, average="micro", zero_division=0),
        "macro_f1": f1_score(gold, said, average="macro", zero_division=0),
    })  # fmt: skip
    assert [row["support"] for row in found.details["labels"]] == gold.sum(0).tolist()
    assert said.sum(1).max() > 1  # or this would not tell it from the likeliest label


@pytest.mark.parametrize("settings", [ONE, SEVERAL], ids=["a number", "several labels"])
def test_a_head_that_an_sft_brings_is_scored_in_memory_as_in_the_composed_model(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    base = pico.save_base(tmp_path / "base")
    tuned = _model(tmp_path / "tuned", **settings)
    difference(tuned, base, tmp_path / "d.sft")
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    labels = [1, 2, 3, 4, 0, 7, 5, 6] if settings is ONE else ["joy", "", "fear|joy", "anger", "", "joy", "", "fear"]
    data = _table(tmp_path / "x.tsv", labels)
    assert _score(data, base, tmp_path / "d.sft").metrics == _score(data, tmp_path / "out").metrics


@pytest.mark.parametrize(
    "own", [{"problem_type": "single_label_classification", "num_labels": 3}, SEVERAL, ONE], ids=str
)
@pytest.mark.parametrize("brought", [{"num_labels": 4}, SEVERAL, ONE], ids=str)
def test_the_head_that_an_sft_brings_is_scored_whatever_the_bases_own_is_for(
    brought: dict[str, Any], own: dict[str, Any], tmp_path: Path
) -> None:
    base, tuned = _model(tmp_path / "base", seed=2, **own), _model(tmp_path / "tuned", **brought)
    difference(tuned, base, tmp_path / "d.sft")
    compose(base, [Weighted(SftFile(tmp_path / "d.sft"), 1.0, "d.sft")], tmp_path / "out")
    labels = {1: range(8), 3: ["joy", "fear|joy", "", "anger"] * 2, 4: [f"LABEL_{i % 4}" for i in range(8)]}
    number = len(SftFile(tmp_path / "d.sft").metadata.labels)
    data = _table(tmp_path / "x.tsv", labels[number])
    assert _score(data, base, tmp_path / "d.sft").metrics == _score(data, tmp_path / "out").metrics


def test_pairs_of_texts_get_a_number_from_a_cross_encoder(tmp_path: Path) -> None:
    model = _model(tmp_path / "model", **ONE)
    rows = "".join(f"{a}\t{b}\t{i % 5}.5\n" for i, (a, b) in enumerate(zip(TEXTS, TEXTS[::-1], strict=True)))
    (tmp_path / "sts.tsv").write_text("sentence1\tsentence2\tscore\n" + rows)
    assert sorted(_score(str(tmp_path / "sts.tsv"), model, objective="nli").metrics) == ["pearson", "spearman"]


@pytest.mark.parametrize("suffix", ["tsv", "jsonl"])
@pytest.mark.parametrize("settings", [ONE, SEVERAL], ids=["a number", "several labels"])
def test_what_is_predicted_is_written_as_it_is_read(settings: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    model = _model(tmp_path / "model", **settings)
    numbers: list[Any] = [1.5, 0, 3, 3, -2, 4.25, 0.1, 7e-1]
    sets: list[Any] = [["joy"], ["fear", "joy"], [], [], [], [], [], []]
    labels = numbers if settings is ONE else sets if suffix == "jsonl" else ["|".join(each) for each in sets]
    said = tmp_path / f"said.{suffix}"
    _score(_table(tmp_path / f"x.{suffix}", labels), model, predictions=said)
    found = _score(str(said), model).metrics
    assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_predict_gives_numbers_and_all_labels_above_the_threshold(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("\n".join(TEXTS) + "\n")
    several, number = _model(tmp_path / "several", **SEVERAL), _model(tmp_path / "number", **ONE)
    done = sftkit("predict", number, "--classify", tmp_path / "x.txt", "--device", "cpu", "--quiet")
    said = [float(line.split("\t")[1]) for line in done.stdout.splitlines()[1:]]
    assert said == pytest.approx(_outputs(number)[:, 0].tolist(), abs=1e-4)
    done = sftkit("predict", several, "--classify", tmp_path / "x.txt", "--device", "cpu", "--quiet", "--jsonl")
    scores = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = 1 / (1 + np.exp(-_outputs(several)))
    for row, own in zip(scores, wanted.tolist(), strict=True):
        assert dict(zip(row["labels"], row["scores"], strict=True)) == pytest.approx(
            dict(zip(NAMES, own, strict=True)), abs=1e-4
        )


def test_the_command_shows_both_correlations_with_intervals_as_text_and_as_json(tmp_path: Path) -> None:
    model, data = _model(tmp_path / "model", **ONE), _table(tmp_path / "x.tsv", range(8))
    shown = sftkit("evaluate", model, "--classify", data, "--device", "cpu")
    assert shown.status == 0, shown.stderr
    assert "spearman" in shown.stdout
    assert "pearson" in shown.stdout
    document = json.loads(sftkit("evaluate", model, "--classify", data, "--device", "cpu", "--json").stdout)
    for name in ("spearman", "pearson"):
        low, high = document["intervals"][name]
        assert -1 <= low <= document["metrics"][name] <= high <= 1


REFUSED = [
    (ONE, ["good"] * 8, "line 2: 'good' is no number"),
    (ONE, ["nan"] * 8, "line 2: 'nan' is no number"),
    (ONE, [2] * 8, "All scores in the data are the same"),
    (SEVERAL, ["joy", "bliss"] * 4, "not among the labels that were learned .*: bliss"),
]


@pytest.mark.parametrize(("settings", "labels", "message"), REFUSED)
def test_labels_that_do_not_fit_the_head_are_refused(
    settings: dict[str, Any], labels: list[Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((DataError, MismatchError), match=message):
        _score(_table(tmp_path / "x.tsv", labels), _model(tmp_path / "model", **settings))


def test_a_head_that_gives_several_numbers_is_refused(tmp_path: Path) -> None:
    model = _model(tmp_path / "model", num_labels=3, problem_type="regression")
    with pytest.raises(MismatchError, match="gives 3 numbers"):
        _score(_table(tmp_path / "x.tsv", range(8)), model)


def test_systems_whose_heads_are_for_different_things_are_not_compared(tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base")
    for name, settings in (("one", ONE), ("several", SEVERAL)):
        difference(_model(tmp_path / name, **settings), base, tmp_path / f"{name}.sft")
    other = [Weighted(SftFile(tmp_path / "several.sft"), 1.0, "several.sft")]
    with pytest.raises(MismatchError, match="head is for regression, the other's for multi label"):
        _score(_table(tmp_path / "x.tsv", range(8)), base, tmp_path / "one.sft", against=other)


def test_a_model_that_gives_every_text_the_same_number_gets_a_note(tmp_path: Path) -> None:
    model = _model(tmp_path / "model", **ONE)
    weights: Any = AutoModelForSequenceClassification.from_pretrained(model)
    with torch.no_grad():
        weights.classifier.weight.zero_()
    weights.save_pretrained(model)
    found = _score(_table(tmp_path / "x.tsv", range(8)), model)
    assert found.metrics == {"spearman": 0.0, "pearson": 0.0}
    assert any("the same number" in note for note in found.notes)


def test_correlations_of_draws_are_those_of_the_examples_that_were_drawn() -> None:
    generator = np.random.default_rng(3)
    pairs = np.stack([generator.integers(0, 4, 30), generator.standard_normal(30)], axis=1).astype(np.float64)
    found = draws(ExampleTally(pairs, correlations), 20, seed=5)
    again = np.random.default_rng(5)
    for i in range(20):
        own = pairs[np.sort(again.integers(0, 30, 30))]
        assert found["spearman"][i] == pytest.approx(spearmanr(*own.T).statistic)
        assert found["pearson"][i] == pytest.approx(pearsonr(*own.T).statistic)


def test_an_sft_that_is_given_twice_is_told_when_it_is_scored(tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base")
    difference(_model(tmp_path / "tuned", **ONE), base, tmp_path / "d.sft")
    data = _table(tmp_path / "x.tsv", range(8))
    done = sftkit("evaluate", base, tmp_path / "d.sft", tmp_path / "d.sft", "--classify", data, "--device", "cpu")
    assert done.status == 0, done.stderr
    assert "d.sft is given twice: 2 φ of it are added." in " ".join(done.stderr.split())
