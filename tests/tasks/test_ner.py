"""Entities are counted as seqeval counts them, and every word is predicted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given, settings, strategies
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from transformers import AutoModelForTokenClassification, BertConfig, PreTrainedModel

from sftkit.errors import DataError, MismatchError, SettingsError
from sftkit.tasks.evaluator import Scores
from sftkit.tasks.ner import EntityEvaluator, NamedEntities
from sftkit.tasks.options import SCHEMES, TaskOptions, check_options, options_about
from tests.helpers import pico

LABELS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
FILE = "ta B-PER\nmi I-PER\nlo O\n\nka B-LOC\nsu O\nra B-DATE\n\n"


def _scores(gold: Sequence[list[str]], predicted: Sequence[list[str]], scheme: str = "strict") -> Scores:
    rows = Dataset.from_list([{"words": ["ta"] * len(tags), "tags": tags} for tags in gold])
    return EntityEvaluator(rows, LABELS, pico.make_tokenizer(), 64, scheme).scores(predicted)


#: Tags of a sentence: stray I-, types that change inside an entity, types with hyphens, all of them anywhere.
TAGS = strategies.sampled_from(
    ["O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in ("PER", "LOC", "WORK-OF-ART"))]
)
PAIRS = strategies.lists(
    strategies.lists(strategies.tuples(TAGS, TAGS), min_size=1, max_size=9), min_size=1, max_size=6
)
SEQEVAL: dict[str, dict[str, Any]] = {"strict": {"mode": "strict", "scheme": IOB2}, "conlleval": {}}


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=150, deadline=None)
@given(pairs=PAIRS)
def test_scores_are_seqevals_by_either_scheme_whatever_the_tags(
    scheme: str, pairs: list[list[tuple[str, str]]]
) -> None:
    gold, said = ([[pair[i] for pair in sentence] for sentence in pairs] for i in (0, 1))
    found = _scores(gold, said, scheme)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval warns where nothing is gold or predicted
        try:
            report = classification_report(gold, said, output_dict=True, zero_division=0, **SEQEVAL[scheme])
        except ValueError:  # it cannot report on no entities at all
            assert not found.tally.counts[:, 1:].any()
            return
    wanted = report.pop("micro avg")
    wanted = {"precision": wanted["precision"], "recall": wanted["recall"], "f1": wanted["f1-score"]}
    assert found.metrics == pytest.approx(wanted)
    assert found.details["schemes"][0] == pytest.approx({"scheme": scheme} | wanted)
    types = {row.pop("type"): row for row in found.details["types"]}
    assert types.keys() == {kind for kind in report if not kind.endswith(" avg")}
    for kind, row in types.items():
        assert row == pytest.approx({"f1" if key == "f1-score" else key: value for key, value in report[kind].items()})


def test_an_i_that_continues_nothing_is_an_entity_by_one_scheme_and_none_by_the_other() -> None:
    gold, said = [["B-PER", "I-PER", "O", "B-PER"]], [["I-PER", "I-PER", "O", "B-PER"]]
    for scheme, f1 in (("strict", 2 / 3), ("conlleval", 1.0)):
        found = _scores(gold, said, scheme)
        assert found.metrics["f1"] == pytest.approx(f1)
        assert {row["scheme"]: row["f1"] for row in found.details["schemes"]} == pytest.approx(
            {"strict": 2 / 3, "conlleval": 1.0}
        )


@pytest.mark.parametrize(
    ("options", "scheme"),
    [({}, "strict"), ({"paper_compat": True}, "conlleval"), ({"scheme": "conlleval"}, "conlleval"),
     ({"scheme": "conlleval", "paper_compat": True}, "conlleval")],
)  # fmt: skip
def test_the_scheme_is_strict_unless_asked_otherwise_or_to_score_as_the_paper_does(
    options: dict[str, Any], scheme: str, tmp_path: Path
) -> None:
    (tmp_path / "x.txt").write_text(FILE)
    objective = NamedEntities(TaskOptions(**options)).with_labels(LABELS)
    rows = objective.read([str(tmp_path / "x.txt")])
    found = objective.evaluator(rows, pico.make_tokenizer(), 64, 0).scores([["I-PER", "I-PER", "O"], ["O", "O", "O"]])
    assert found.metrics["recall"] == pytest.approx(1 / 3 if scheme == "conlleval" else 0)
    assert options_about(objective.options, "ner")["scheme"] == scheme


@pytest.mark.parametrize(
    ("options", "objective", "told"),
    [({"scheme": "iob"}, "ner", "known are strict, conlleval"), ({"scheme": "strict"}, "pos", "about --ner"),
     ({"scheme": "strict", "paper_compat": True}, "ner", "leave one of them out"),
     ({"paper_compat": True}, "pos", "about --dep and --ner")],
)  # fmt: skip
def test_schemes_that_make_no_sense_are_refused(options: dict[str, Any], objective: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        check_options(TaskOptions(**options), objective)


def test_a_predicted_entity_that_begins_with_i_counts_for_nothing() -> None:
    assert _scores([["B-PER", "I-PER"]], [["I-PER", "I-PER"]]).tally.counts.tolist() == [[0, 0, 1]]


def test_labels_are_o_and_then_both_tags_of_every_type(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(FILE)
    objective = NamedEntities()
    assert objective.labels_in(objective.read([str(tmp_path / "x.txt")])) == (
        "O", "B-DATE", "I-DATE", "B-LOC", "I-LOC", "B-PER", "I-PER",
    )  # fmt: skip


def test_types_are_left_out_or_taken_for_others_as_the_user_says(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(FILE)
    objective = NamedEntities(TaskOptions(map_label=(("DATE", "O"), ("PER", "LOC"))))
    rows = objective.read([str(tmp_path / "x.txt")])
    assert rows["tags"][:] == [["B-LOC", "I-LOC", "O"], ["B-LOC", "O", "O"]]


def test_a_type_to_be_mapped_that_is_in_none_of_the_files_is_told_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(FILE)
    (tmp_path / "y.txt").write_text("ta B-ORG\n")
    objective = NamedEntities(TaskOptions(map_label=(("DAET", "O"), ("ORG", "LOC"))))
    for name in ("x.txt", "y.txt"):
        objective.read([str(tmp_path / name)])
    (told,) = objective.with_labels(LABELS).reading_notes()
    assert (
        told == "--map-label DAET=O: there is no label DAET in the data, only DATE, LOC, ORG, PER. Did you mean DATE?"
    )


def test_entities_that_begin_with_i_are_counted_and_told(tmp_path: Path) -> None:
    slips = "mi I-PER\nta I-PER\nta I-LOC\nlo O\nsu I-LOC\n\nka I-LOC\n"
    (tmp_path / "x.txt").write_text(f"{FILE * 2}{slips}")
    rows = NamedEntities().read([str(tmp_path / "x.txt")])
    told = ("begun with I- where B- is due, and so no entities when scored (see --scheme): 4.",)
    assert NamedEntities().remarks(rows, rows) == told
    assert EntityEvaluator(rows, LABELS, pico.make_tokenizer(), 64).notes == told
    assert EntityEvaluator(rows, LABELS, pico.make_tokenizer(), 64, "conlleval").notes == ()
    (tmp_path / "x.txt").write_text(FILE)
    rows = NamedEntities().read([str(tmp_path / "x.txt")])
    assert NamedEntities().remarks(rows, rows) == ()


def test_a_type_that_was_not_learned_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text(FILE)
    objective = NamedEntities().with_labels(LABELS)
    with pytest.raises(MismatchError, match=r"x.txt: not among the labels .*: B-DATE, .*--map-label DATE=O"):
        objective.check_labels(objective.read([str(tmp_path / "x.txt")]), ["x.txt"])


def _on_the_hub(monkeypatch: pytest.MonkeyPatch, tags: list[list[int]], kind: Any) -> NamedEntities:
    features = Features({"tokens": List(Value("string")), "ner_tags": List(kind)})
    found = Dataset.from_dict({"tokens": [["ta", "mi"]] * len(tags), "ner_tags": tags}, features=features)
    monkeypatch.setattr("sftkit.tasks.readers.sources.hub_rows", lambda _: found)
    return NamedEntities(TaskOptions(map_label=(("PER", "LOC"),)))


def test_data_on_the_hub_has_words_for_tags_and_is_mapped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = _on_the_hub(monkeypatch, [[3, 4], [0, 1]], ClassLabel(names=list(LABELS)))
    assert objective.read(["hf://ner"])["tags"][:] == [["B-LOC", "I-LOC"], ["O", "B-LOC"]]


def test_tags_on_the_hub_without_names_are_told_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = _on_the_hub(monkeypatch, [[3, 4]], Value("int64"))
    with pytest.raises(DataError, match="hf://ner, row 1: 3 is no BIO tag"):
        objective.read(["hf://ner"])


def test_data_without_entities_teach_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("ta O\nmi O\n")
    rows = NamedEntities().read([str(tmp_path / "x.txt")])
    objective = NamedEntities().with_labels(NamedEntities().labels_in(rows))
    with pytest.raises(DataError, match="no entity"):
        objective.features(rows, pico.make_tokenizer(), 32)


@pytest.mark.parametrize("labels", [("NOUN", "VERB"), ("O", "PER"), ("B-PER", "I-PER")])
def test_a_model_with_other_labels_is_no_model_for_it(labels: tuple[str, ...]) -> None:
    with pytest.raises(MismatchError, match=r"no IOB2 tags. Was it trained with --ner"):
        NamedEntities().for_model(_model(labels))


def test_every_word_of_a_sentence_of_2000_words_is_predicted_and_its_entities_found_across_windows() -> None:
    gold = ["B-PER", "I-PER", "O", "B-LOC"] * 500
    rows = Dataset.from_list([{"words": ["ta", "mi", "lo", "ka"] * 500, "tags": gold}])
    evaluator = EntityEvaluator(rows, LABELS, pico.make_tokenizer(), 32)
    (predicted,) = evaluator.predict(_model(LABELS), 8)
    assert len(predicted) == 2000
    assert set(predicted) <= set(LABELS)
    assert evaluator.scores([gold]).tally.counts.tolist() == [[1000, 1000, 1000]]


@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_fixed_model_says_what_it_says_in_a_plain_loop(batch_size: int) -> None:
    model, tokenizer = _model(LABELS), pico.make_tokenizer()
    words = [["ta", "milo", "ka."][: 1 + i % 3] + [f"su{i}"] * (i % 4) for i in range(20)]
    said = []
    for sentence in words:
        encoded = tokenizer(sentence, is_split_into_words=True, return_tensors="pt")
        best = model(**encoded).logits[0].argmax(-1).tolist()
        places = [encoded.word_ids().index(word) for word in range(len(sentence))]
        said.append([LABELS[best[place]] for place in places])
    gold = [LABELS[1:3] * len(sentence) for sentence in words]
    rows = Dataset.from_dict({"words": words, "tags": [tags[: len(w)] for tags, w in zip(gold, words, strict=True)]})
    assert EntityEvaluator(rows, LABELS, tokenizer, 64).predict(model, batch_size) == said


def _model(labels: Sequence[str]) -> PreTrainedModel:
    torch.manual_seed(5)
    config = pico.make_model().config.to_dict() | NamedEntities().with_labels(labels).config()
    model: PreTrainedModel = AutoModelForTokenClassification.from_config(BertConfig.from_dict(config))
    model.eval()
    return model
