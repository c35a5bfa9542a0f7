"""Labels of texts and pairs: how data is read, what the model is fed, and scores as scikit-learn has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from sftkit.errors import DataError, MismatchError
from sftkit.modeling.load import fit_tokenizer
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.registry import objective_of
from sftkit.tasks.sequences import SequenceEvaluator, SequenceLabels
from tests.helpers import pico

WORDS = ("entailment", "neutral", "contradiction")
LABELS = tuple(sorted(WORDS))
PAIRS = [["ta mi lo", "ka"], ["su ra " * 9, "en an ta mi"], ["lo", "lo lo su ta " * 3], ["mi.", "ka su"]]


def _file(folder: Path, labels: Sequence[str], name: str = "x.tsv") -> str:
    rows = [f"{i}\t{PAIRS[i % 4][0]}\t{PAIRS[i % 4][1]}\t{label}\n" for i, label in enumerate(labels)]
    (folder / name).write_text("pairID\tsentence1\tsentence2\tgold_label\n" + "".join(rows))
    return str(folder / name)


def _rows(labels: Sequence[str | None]) -> Dataset:
    return Dataset.from_dict({"texts": [PAIRS[i % 4] for i in range(len(labels))], "label": list(labels)})


def _objective(name: str = "nli", labels: Sequence[str] = LABELS, **options: Any) -> SequenceLabels:
    made = objective_of(name, TaskOptions(**options)).with_labels(labels)
    assert isinstance(made, SequenceLabels)
    return made


def _model(model_type: str = "bert", labels: Sequence[str] = LABELS) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    config = pico.make_model(model_type).config
    config.update(_objective(labels=labels).config())
    torch.manual_seed(4)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)
    tokenizer = pico.make_tokenizer()
    fit_tokenizer(tokenizer, model, Path("pico"))
    return model.eval(), tokenizer


@pytest.mark.parametrize(
    ("found", "labels"),
    [(["b", "A", "b"], ("A", "b")), (["10", "9", "-2"], ("-2", "9", "10")), (["1", "b", "10"], ("1", "10", "b"))],
)
def test_labels_are_sorted_and_whole_numbers_by_size(found: list[str], labels: tuple[str, ...], tmp_path: Path) -> None:
    objective = objective_of("nli")
    assert objective.labels_in(objective.read([_file(tmp_path, found)])) == labels


def test_pairs_without_agreement_are_left_out_and_still_predicted(tmp_path: Path) -> None:
    source = _file(tmp_path, ["neutral", "-", "entailment", "contradiction"])
    objective, (model, tokenizer) = _objective(), _model()
    rows = objective.read([source])
    features = objective.features(rows, tokenizer, 64)
    assert (len(rows), len(features)) == (4, 3)
    assert objective.remarks(rows, features) == ("without a label and left out: 1 of 4 examples.",)
    evaluator = objective.evaluator(rows, tokenizer, 64, 0)
    assert evaluator.notes == objective.remarks(rows, features)
    predicted = evaluator.predict(model, 2)
    scores = evaluator.scores(predicted)
    assert (len(predicted), scores.examples, len(scores.tally.counts)) == (4, 3, 3)
    assert sum(row["support"] for row in scores.details["labels"]) == 3


def test_a_dash_is_a_label_like_others_in_classification(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("text\tlabel\nta\t-\nmi\t+\n")
    objective = objective_of("classify")
    assert objective.labels_in(objective.read([str(tmp_path / "x.tsv")])) == ("+", "-")


def test_numbers_stand_for_words_where_the_user_says_so(tmp_path: Path) -> None:
    mapped = tuple((str(i), word) for i, word in enumerate(WORDS))
    rows = _objective(map_label=mapped).read([_file(tmp_path, ["0", "2", "1"])])
    assert rows["label"][:] == ["entailment", "contradiction", "neutral"]


def test_a_label_that_was_not_learned_is_named_with_what_to_do(tmp_path: Path) -> None:
    rows = _objective().read([_file(tmp_path, ["0", "1"])])
    with pytest.raises(MismatchError, match=r"x.tsv: not among the labels .*: 0, 1\. .*--map-label 0=LABEL"):
        _objective().check_labels(rows, ["x.tsv"])


@pytest.mark.parametrize(
    "columns", [("sentence2", "sentence1", "gold_label"), ("Sentence2", "sentence1", "gold_label")]
)
def test_columns_are_those_that_the_user_names(columns: tuple[str, ...], tmp_path: Path) -> None:
    rows = _objective(columns=columns).read([_file(tmp_path, ["neutral"])])
    assert rows["texts"][:] == [PAIRS[0][::-1]]


def test_a_file_without_a_header_is_read_by_the_numbers_of_its_columns(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("1\t*\tta mi\n0\t\tlo\n")
    rows = _objective("classify", columns=("3", "1")).read([str(tmp_path / "x.tsv")])
    assert (rows["texts"][:], rows["label"][:]) == ([["ta mi"], ["lo"]], ["1", "0"])


@pytest.mark.parametrize(
    ("labels", "complaint"), [(["neutral", " "], "line 3: the label is empty"), (["-", "-"], "no example has a label")]
)
def test_missing_labels_are_told(labels: list[str], complaint: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=complaint):
        _objective().read([_file(tmp_path, labels)])


def test_one_label_teaches_nothing() -> None:
    with pytest.raises(DataError, match="only the label 'neutral'"):
        _objective(labels=("neutral",)).features(_rows(["neutral"]), pico.make_tokenizer(), 32)


def test_data_on_the_hub_has_words_for_labels_and_none_for_minus_one(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features(
        {"premise": datasets.Value("string"), "hypothesis": datasets.Value("string"), "label": ClassLabel(names=WORDS)}
    )
    found = Dataset.from_dict(
        {"premise": ["ta", "mi"], "hypothesis": ["lo", "ka"], "label": [2, -1]}, features=features
    )
    monkeypatch.setattr("sftkit.tasks.readers.sources.hub_rows", lambda _: found)
    rows = _objective().read(["hf://snli"])
    assert (rows["texts"][:], rows["label"][:]) == ([["ta", "lo"], ["mi", "ka"]], ["contradiction", None])


def test_predictions_are_written_into_the_label_column(tmp_path: Path) -> None:
    source = _file(tmp_path, ["neutral", "-"])
    _objective().write_predictions(source, ["entailment", "neutral"], tmp_path / "out")
    assert (tmp_path / "out").read_text() == Path(_file(tmp_path, ["entailment", "neutral"], "y.tsv")).read_text()


def test_long_pairs_are_cut_the_longer_text_first_and_counted() -> None:
    tokenizer, objective = pico.make_tokenizer(), _objective()
    rows = _rows(["neutral"] * 4)
    features = objective.features(rows, tokenizer, 12)
    assert objective.remarks(rows, features) == ("longer than the window and cut: 2 of 4 examples (--max-length).",)
    assert features["cut"][:] == [False, True, True, False]
    for ids, texts in zip(features["input_ids"][:], PAIRS, strict=True):
        assert ids == tokenizer(*texts, truncation="longest_first", max_length=12)["input_ids"]
    assert objective.evaluator(rows, tokenizer, 12, 0).notes == objective.remarks(rows, features)


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_scikit_learns_whichever_labels_there_are(seed: int) -> None:
    gold, said = np.random.default_rng(seed).choice(LABELS[: 1 + seed // 2], (2, 3 * seed + 2)).tolist()
    found = SequenceEvaluator(_rows(gold), LABELS, pico.make_tokenizer(), 64).scores(said)
    wanted = {"accuracy": accuracy_score(gold, said), "macro_f1": f1_score(gold, said, average="macro")}
    assert found.metrics == pytest.approx(wanted)
    confusion = [[row[label] for label in LABELS] for row in found.details["confusion"]]
    assert confusion == confusion_matrix(gold, said, labels=LABELS).tolist()
    by_label = precision_recall_fscore_support(gold, said, labels=LABELS, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    assert [[row[name] for row in found.details["labels"]] for name in names] == [
        pytest.approx(values) for values in by_label
    ]


def test_macro_f1_of_resampled_sums_is_that_of_the_resampled_examples() -> None:
    gold, said = ["neutral", "entailment", "neutral"], ["neutral", "neutral", "contradiction"]
    tally = SequenceEvaluator(_rows(gold), LABELS, pico.make_tokenizer(), 64).tally(said)
    drawn = np.array([[0, 0, 1], [2, 2, 2], [0, 1, 2]])
    found = tally.metrics(tally.counts[drawn].sum(1))
    for i, places in enumerate(drawn):
        own, theirs = [gold[j] for j in places], [said[j] for j in places]
        assert found["macro_f1"][i] == pytest.approx(f1_score(own, theirs, average="macro"))
        assert found["accuracy"][i] == pytest.approx(accuracy_score(own, theirs))


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("model_type", [*pico.CONFIGS])
def test_a_fixed_model_says_what_it_says_in_a_plain_loop_whatever_the_batch(model_type: str, batch_size: int) -> None:
    model, tokenizer = _model(model_type)
    said = []
    for texts in PAIRS * 3:
        encoded = tokenizer(*texts, return_tensors="pt", truncation=True, max_length=32)
        said.append(LABELS[int(model(**encoded).logits.argmax())])
    evaluator = _objective().evaluator(_rows(["neutral"] * 12), tokenizer, 32, 0)
    assert evaluator.predict(model, batch_size) == said


def test_a_line_break_parts_two_texts_where_the_tokenizer_puts_nothing_between() -> None:
    pieces = Tokenizer(Unigram([(letter, -1.0) for letter in "?abc\n"], unk_id=0))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="?")
    rows = Dataset.from_dict({"texts": [["ab", "c"], ["", ""]], "label": ["neutral"] * 2})
    encoded = _objective().features(rows, tokenizer, 8)["input_ids"][:]
    assert [tokenizer.convert_ids_to_tokens(ids) for ids in encoded] == [["a", "b", "\n", "c"], ["\n"]]


def test_padding_stands_for_a_text_that_the_tokenizer_has_nothing_for() -> None:
    pieces = Tokenizer(Unigram([(letter, -1.0) for letter in "?abc"], unk_id=0))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, pad_token="?")
    rows = Dataset.from_dict({"texts": [["ab"], [""]], "label": ["neutral"] * 2})
    assert _objective("classify").features(rows, tokenizer, 8)["input_ids"][:] == [[1, 2], [0]]


def _languages(folder: Path, name: str) -> str:
    """Two languages; a table in a file, or on the hub."""
    rows = [
        {"language": "en" if i % 2 else "sw", "premise": f"ta {i}", "hypothesis": "mi", "label": LABELS[i % 3]}
        for i in range(6)
    ]
    if name == "hub":
        (folder / "hub").mkdir()
        Dataset.from_list(rows).to_parquet(str(folder / "hub" / "train.parquet"))
        return f"hf://{folder / 'hub'}"
    if name.endswith(".jsonl"):
        (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return str(folder / name)


@pytest.mark.parametrize("name", ["x.tsv", "x.jsonl", "hub"])
def test_rows_of_several_languages_are_told_and_one_is_picked(name: str, tmp_path: Path) -> None:
    source, objective = _languages(tmp_path, name), _objective()
    assert len(objective.read([source])) == 6
    (told,) = objective.reading_notes()
    assert "rows of several languages are taken together (sw 3, en 3); --where language=sw picks one." in told
    picked = _objective(where=(("language", "sw"),))
    assert picked.read([source])["texts"][:] == [[f"ta {i}", "mi"] for i in (0, 2, 4)]
    assert picked.reading_notes() == ()


@pytest.mark.parametrize("name", ["x.tsv", "x.jsonl", "hub"])
@pytest.mark.parametrize(("where", "told"), [(("language", "de"), "no row has language=de .* sw, en"),
                                             (("tongue", "en"), "has no column '?tongue'?")])  # fmt: skip
def test_rows_that_are_not_there_are_told_with_those_that_are(
    where: tuple[str, str], told: str, name: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        _objective(where=(where,)).read([_languages(tmp_path, name)])


def test_predictions_are_written_for_the_rows_that_were_picked(tmp_path: Path) -> None:
    source, objective = _languages(tmp_path, "x.tsv"), _objective(where=(("language", "en"),))
    objective.write_predictions(source, ["neutral"] * 3, tmp_path / "out")
    lines = (tmp_path / "out").read_text().splitlines()
    assert [line.split("\t")[0::3] for line in lines] == [["language", "label"], *[["en", "neutral"]] * 3]


def test_languages_that_are_the_labels_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("text\tlanguage\nta\tsw\nmi\ten\n")
    objective = _objective("classify", columns=("text", "language"))
    objective.read([str(tmp_path / "x.tsv")])
    assert objective.reading_notes() == ()


def test_labels_are_numbers_of_any_length(tmp_path: Path) -> None:
    objective, long = objective_of("nli"), "9" * 5000
    assert objective.labels_in(objective.read([_file(tmp_path, [long, "10", "9"])])) == ("9", "10", long)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (("0.5", "1", "3.75"), True),
        (("-0.5", "1.0", "2.25"), True),
        (("0.0", "1.0"), False),
        (("1", "2"), False),
        (("a", "1.5"), False),
    ],
)
def test_numbers_with_decimals_are_told_to_be_learned_as_classes(labels: tuple[str, ...], told: bool) -> None:
    objective, tokenizer = _objective("classify", labels), pico.make_tokenizer()
    rows = _rows(labels)
    notes = objective.remarks(rows, objective.features(rows, tokenizer, 64))
    assert any("regression is not trained" in note for note in notes) is told


def test_pairs_without_a_label_are_marked_by_minus_one_where_labels_are_numbers(tmp_path: Path) -> None:
    rows = [{"premise": "ta", "hypothesis": "mi", "label": label} for label in (0, -1, 2)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert objective_of("nli").read([str(tmp_path / "x.jsonl")])["label"][:] == ["0", None, "2"]
