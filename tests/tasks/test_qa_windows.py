"""Windows of a passage, labels in them, and answers that do not stand where the data says."""

from __future__ import annotations

import pytest
from datasets import Dataset
from transformers import BertTokenizer

from sftkit.errors import SettingsError
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.qa import QuestionAnswering
from sftkit.tasks.qa_windows import MOST_QUESTION, padded, passage_windows
from tests.helpers import pico
from tests.helpers.versions import OVERFLOW_IS_LOST
from tests.tasks.test_qa import STRIDE, NumberFinder, answers_of, evaluator_of, rows_of


def _labelled(rows: Dataset, max_length: int) -> list[str]:
    """The pieces between the labels of every window."""
    tokenizer = pico.make_tokenizer()
    features = QuestionAnswering(TaskOptions(stride=STRIDE)).features(rows, tokenizer, max_length)
    pieces = []
    for window in features:
        first, last = window["labels"]
        pieces.append(" ".join(tokenizer.convert_ids_to_tokens(window["input_ids"][first : last + 1])))
    return pieces


def test_labels_are_the_first_and_last_piece_of_the_answer_and_cls_where_it_is_not_whole() -> None:
    context = "mi " * 20 + "ta 427 lo " + "mi " * 20
    pieces = _labelled(rows_of(("ka?", context, "ta 427"), ("ka?", context, None)), 24)
    assert set(pieces) == {"ta 4 ##2 ##7", "[CLS]"}
    assert pieces.count("ta 4 ##2 ##7") >= 1
    assert set(pieces[len(pieces) // 2 :]) == {"[CLS]"}


def test_space_around_an_answer_is_no_part_of_it() -> None:
    assert _labelled(rows_of(("ka?", "mi  427  lo", "  427 ")), 24) == ["4 ##2 ##7"]


def test_windows_hold_all_of_a_passage_and_share_the_stride() -> None:
    tokenizer, context = pico.make_tokenizer(), " ".join(f"mi{i % 10}" for i in range(50))
    windows = passage_windows(rows_of(("ka lo?", context, None)), tokenizer, 32, STRIDE)
    passages = [window["input_ids"][window["first"] : window["end"]] for window in windows]
    whole = tokenizer(context, add_special_tokens=False)["input_ids"]
    joined = passages[0] + [piece for passage in passages[1:] for piece in passage[STRIDE:]]
    assert joined == whole
    assert max(len(window["input_ids"]) for window in windows) == 32


@pytest.mark.skipif(OVERFLOW_IS_LOST, reason="this version of tokenizers ends what overflows too early")
@pytest.mark.parametrize("words", [1, 20, 21, 22, 23, 40])
def test_windows_are_those_of_the_tokenizers_own_truncation(words: int) -> None:
    tokenizer, context = pico.make_tokenizer(), " ".join(["ta"] * words)
    windows = passage_windows(rows_of(("ka lo?", context, None)), tokenizer, 28, STRIDE)
    own = tokenizer(
        "ka lo?", context, truncation="only_second", max_length=28, stride=STRIDE, return_overflowing_tokens=True
    )
    assert list(windows["input_ids"]) == own["input_ids"]


def test_a_question_too_long_for_the_window_is_cut_and_that_is_said() -> None:
    rows = rows_of(("ka " * 100, "ta 42.", "42"), ("ka?", "ta 7.", "7"))
    score = evaluator_of(rows, 200)
    assert [answer.text for answer in answers_of(NumberFinder(), score)] == ["42", "7"]
    assert score.notes == ("longer than the window allows and cut: 1 of 2 questions.",)
    objective, tokenizer = QuestionAnswering(TaskOptions(stride=STRIDE)), pico.make_tokenizer()
    assert objective.remarks(rows, objective.features(rows, tokenizer, 200)) == score.notes
    ids = passage_windows(rows, pico.make_tokenizer(), 200, STRIDE)["input_ids"][0]
    assert ids.index(3) == 1 + MOST_QUESTION  # [SEP]


@pytest.mark.parametrize(
    ("max_length", "message"),
    [(16, "--stride is 8, and a window of 16 tokens leaves 7 to the passage beside a question of 6. "
          "Give a --stride below 7."),
     (8, "A window of 8 tokens is too short for a question of 4 and a passage. Give a longer --max-length.")],
)  # fmt: skip
def test_a_window_with_no_room_for_the_stride_is_an_error(max_length: int, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        evaluator_of(rows_of(("mi ka lo su ra?", "ta 42.", "42")), max_length)
    assert str(caught.value) == message


def test_an_answer_that_ends_in_what_the_tokenizer_drops_is_learned_at_the_passages_end() -> None:
    tokenizer = BertTokenizer(vocab=pico.make_tokenizer().get_vocab())
    (window,) = passage_windows(rows_of(("ka?", "mi lo\u0301", "lo\u0301")), tokenizer, 24, STRIDE)
    first, last = window["labels"]
    assert tokenizer.convert_ids_to_tokens(window["input_ids"][first : last + 1]) == ["lo"]


def test_answers_that_no_window_holds_are_told() -> None:
    answer = "ta " * 40 + "ta"
    rows = rows_of(("ka?", f"mi {answer} mi", answer), ("ka?", "mi 42 lo", "42"), ("ka?", "mi lo", None))
    objective, tokenizer = QuestionAnswering(TaskOptions(stride=STRIDE)), pico.make_tokenizer()
    (note,) = objective.remarks(rows, objective.features(rows, tokenizer, 24))
    assert note.startswith("whose answer no window holds whole, so that none is learned or found: 1 of 3 questions.")
    assert evaluator_of(rows, 24).notes[0] == note
    assert not objective.remarks(rows, objective.features(rows, tokenizer, 64))


def test_padding_is_on_the_right_and_needs_no_token_of_its_own() -> None:
    tokenizer = pico.make_tokenizer()
    tokenizer.padding_side = "left"
    batch = padded([{"input_ids": [5, 6, 7]}, {"input_ids": [8]}], None)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_token_types_tell_question_and_passage_apart_where_the_tokenizer_has_them() -> None:
    tokenizer = BertTokenizer(vocab=pico.make_tokenizer().get_vocab())
    objective = QuestionAnswering(TaskOptions(stride=STRIDE))
    features = objective.features(rows_of(("mi?", "ta", "ta"), ("mi?", "ta mi lo", "ta")), tokenizer, 32)
    batch = objective.collator(tokenizer, 0)(list(features))
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[4, 4], [4, 4]]
