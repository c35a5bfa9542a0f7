"""What the objectives feed and score, whatever the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForTokenClassification, BertConfig, PreTrainedModel

from sftkit.errors import DataError
from sftkit.tasks.mlm import MaskedLM
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.pos import PartOfSpeech, TagEvaluator
from sftkit.tasks.words import word_windows
from tests.helpers import pico


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_held_out_loss_does_not_depend_on_the_batch_size(corpus: Path, batch_size: int) -> None:
    model, tokenizer, objective = pico.make_model().eval(), pico.make_tokenizer(), MaskedLM()
    rows = objective.read([str(corpus)])
    score = objective.evaluator(rows, tokenizer, 32, seed=1)
    assert score(model, batch_size).metrics["loss"] == pytest.approx(score(model, 8).metrics["loss"], rel=1e-5)


def test_the_masks_of_an_evaluation_follow_the_seed(corpus: Path) -> None:
    model, tokenizer, objective = pico.make_model().eval(), pico.make_tokenizer(), MaskedLM()
    rows = objective.read([str(corpus)])
    first, again, other = (objective.evaluator(rows, tokenizer, 32, seed)(model, 8).metrics for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_lines_longer_than_the_window_are_split_and_nothing_is_lost(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("ta " * 100 + "\n\n  \nmi\n")
    tokenizer, objective = pico.make_tokenizer(), MaskedLM(TaskOptions(pack=False))
    features = objective.features(objective.read([str(tmp_path / "long.txt")]), tokenizer, 16)
    windows = [example["input_ids"] for example in features]
    pieces = [token for ids in windows for token in ids if token not in tokenizer.all_special_ids]
    assert max(map(len, windows)) <= 16
    assert len(pieces) == 101 * len(tokenizer("ta", add_special_tokens=False)["input_ids"])


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9 ta mi\nlo\n")
    with pytest.raises(DataError, match="UTF-8"):
        MaskedLM().read([str(tmp_path / "latin.txt")])


def test_blank_lines_alone_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text("\n \n\t\n")
    with pytest.raises(DataError, match="blank"):
        MaskedLM().read([str(tmp_path / "blank.txt")])


def _tagger() -> PreTrainedModel:
    torch.manual_seed(3)
    config = pico.make_model().config.to_dict() | PartOfSpeech().config()
    tagger: PreTrainedModel = AutoModelForTokenClassification.from_config(BertConfig.from_dict(config))
    tagger.eval()
    return tagger


def test_every_word_of_a_sentence_of_2000_words_gets_a_tag() -> None:
    rows = Dataset.from_list([{"words": ["ta", "mi"] * 1000, "tags": ["NOUN", "VERB"] * 1000}])
    evaluator = TagEvaluator(rows, PartOfSpeech.fixed_labels, pico.make_tokenizer(), 32)
    (predicted,) = evaluator.predict(_tagger(), 8)
    assert len(predicted) == 2000
    assert set(predicted) <= set(PartOfSpeech.fixed_labels)


def _one(words: list[str]) -> Dataset:
    return Dataset.from_list([{"words": words, "tags": ["NOUN", "VERB"]}])


def test_a_label_stands_at_the_first_piece_of_its_word() -> None:
    tokenizer, objective = pico.make_tokenizer(), PartOfSpeech()
    (window,) = objective.features(_one(["tax", "mi"]), tokenizer, 32)
    labelled = [objective.labels[label] if label >= 0 else None for label in window["labels"]]
    assert tokenizer.convert_ids_to_tokens(window["input_ids"]) == ["[CLS]", "ta", "##x", "mi", "[SEP]"]
    assert labelled == [None, "NOUN", None, "VERB", None]


def test_a_word_that_the_tokenizer_has_nothing_for_is_still_scored() -> None:
    (window,) = word_windows([["\u200b", "mi"]], pico.make_tokenizer(), 32)
    assert window.kept == range(2)


def test_tags_are_scored_as_a_plain_loop_would(treebank: Path) -> None:
    objective, tokenizer, model = PartOfSpeech(), pico.make_tokenizer(), _tagger()
    rows = objective.read([str(treebank)])
    right = total = 0
    for row in rows:
        encoded = tokenizer(row["words"], is_split_into_words=True, return_tensors="pt")
        best = model(**encoded).logits[0].argmax(-1).tolist()
        seen: set[int] = set()
        for i, word in enumerate(encoded.word_ids()):
            if word is not None and word not in seen:
                seen.add(word)
                right += PartOfSpeech.fixed_labels[best[i]] == row["tags"][word]
                total += 1
    assert objective.evaluator(rows, tokenizer, 64, 0)(model, 7).metrics["accuracy"] == pytest.approx(right / total)


@pytest.mark.parametrize(
    ("tag", "complaint"), [("_", None), ("NOUNISH", "row 0: unknown part-of-speech tag 'NOUNISH'")]
)
def test_hub_tokens_without_a_tag_are_multi_word_tokens_and_unknown_tags_are_told(
    tag: str, complaint: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Dataset.from_list([{"tokens": ["tami", "ta", "mi"], "upos": [tag, "NOUN", "VERB"]}])
    monkeypatch.setattr("sftkit.tasks.readers.sources.hub_rows", lambda _: table)
    if complaint is not None:
        with pytest.raises(DataError, match=complaint):
            PartOfSpeech().read(["hf://some/treebank"])
    else:
        (row,) = PartOfSpeech().read(["hf://some/treebank"])
        assert row == {"words": ["ta", "mi"], "tags": ["NOUN", "VERB"]}
