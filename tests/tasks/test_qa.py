"""Windows of questions and passages, answers from scores, and what they are worth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import AutoModelForQuestionAnswering, BertTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import DataError, MismatchError, SettingsError
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.qa import MOST_ANSWER, QuestionAnswering, mean_over_ends
from sftkit.tasks.qa_windows import MOST_QUESTION, padded, passage_windows
from sftkit.tasks.readers.squad import FEATURES, Answer
from tests.helpers import pico, squad

STRIDE = 8


def _rows(*questions: tuple[str, str, str | None]) -> Dataset:
    """Rows of (question, context, answer or None)."""
    return Dataset.from_list(
        [
            {
                "question": question,
                "context": context,
                "texts": [] if answer is None else [answer],
                "starts": [] if answer is None else [context.index(answer)],
            }
            for question, context, answer in questions
        ],
        features=FEATURES,
    )


def _evaluator(rows: Dataset, max_length: int = 32, tokenizer: PreTrainedTokenizerBase | None = None) -> Evaluator:
    objective = QuestionAnswering(TaskOptions(stride=STRIDE))
    return objective.evaluator(rows, tokenizer or pico.make_tokenizer(), max_length, 0)


class NumberFinder(nn.Module):
    """Scores pieces that are digits: the first ones of a number as starts, all of them as ends, later ones higher."""

    device = torch.device("cpu")

    def __init__(self, nothing: float = -1.0) -> None:
        super().__init__()
        vocabulary = pico.make_tokenizer().get_vocab()
        self.starts = torch.tensor([vocabulary[str(digit)] for digit in range(10)])
        self.inside = torch.tensor([vocabulary[f"##{digit}"] for digit in range(10)])
        self.nothing = nothing

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        del attention_mask
        starts = torch.isin(input_ids, self.starts).float()
        ends = torch.isin(input_ids, torch.cat((self.starts, self.inside))).float()
        start_logits = starts
        end_logits = ends * (1 + torch.arange(input_ids.shape[1]) / 1000)
        start_logits[:, 0] = self.nothing
        end_logits[:, 0] = 0
        return SimpleNamespace(start_logits=start_logits, end_logits=end_logits)


def _says(model: Any, evaluator: Evaluator, batch_size: int = 4) -> list[Answer]:
    return evaluator.predict(model, batch_size)


def _random_model(seed: int = 3) -> PreTrainedModel:
    torch.manual_seed(seed)
    made: PreTrainedModel = AutoModelForQuestionAnswering.from_config(pico.make_model().config)
    made.eval()
    return made


def test_an_answer_at_the_end_of_2000_words_is_found() -> None:
    context = "Taka, milo! " * 1000 + "Suen 427."
    (answer,) = _says(NumberFinder(), _evaluator(_rows(("mi ka lo?", context, "427"))))
    assert answer == Answer("427", context.index("427"))


def test_an_answer_is_an_exact_stretch_of_its_context() -> None:
    rows = _rows(("mi?", "\n  TAKA   42\tLo", "42"), ("mi?", "ŋ—Ta 7!", "7"))
    assert _says(NumberFinder(), _evaluator(rows)) == [Answer("42", 10), Answer("7", 5)]


@pytest.mark.parametrize(("nothing", "text"), [(2.005, "42"), (2.007, "")])
def test_no_answer_wins_if_it_scores_higher_in_every_window(nothing: float, text: str) -> None:
    rows = _rows(("mi?", "ta 42.", "42"), ("mi?", "ta mi.", None))
    assert [answer.text for answer in _says(NumberFinder(nothing), _evaluator(rows))] == [text, ""]


def test_where_all_questions_have_answers_all_get_one() -> None:
    (answer,) = _says(NumberFinder(nothing=100), _evaluator(_rows(("mi?", "ta 42.", "42"))))
    assert answer.text == "42"


@pytest.mark.parametrize(("between", "pieces"), [(MOST_ANSWER - 2, MOST_ANSWER), (MOST_ANSWER - 1, 1)])
def test_an_answer_is_never_longer_than_the_limit(between: int, pieces: int) -> None:
    class FirstToLast(NumberFinder):
        """Starts only at the first number, and rather ends at the last."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            found = super().forward(input_ids, attention_mask)
            found.start_logits[:, int(found.start_logits[0].argmax())] = 5.0
            return found

    rows = _rows(("mi?", "1 " + "ta " * between + "2", "1"))
    (answer,) = _says(FirstToLast(), _evaluator(rows, 64))
    assert len(answer.text.split()) == pieces


def test_a_passage_without_tokens_has_no_answer() -> None:
    rows = _rows(("mi?", "  ", None), ("mi?", "ta 42", "42"))
    assert [answer.text for answer in _says(NumberFinder(), _evaluator(rows))] == ["", "42"]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    rows = _numbers(30)
    model, score = _random_model(), _evaluator(rows, 24)
    assert score.predict(model, batch_size) == score.predict(model, 8)
    assert score(model, batch_size).metrics == score(model, 8).metrics


def _numbers(count: int, *, unanswered: bool = False) -> Dataset:
    made = squad.numbers(count, 1, unanswered=unanswered)["data"][0]["paragraphs"]
    questions = [(paragraph["context"], paragraph["qas"][0]) for paragraph in made]
    return _rows(
        *((qa["question"], context, qa["answers"][0]["text"] if qa["answers"] else None) for context, qa in questions)
    )


@pytest.mark.parametrize("unanswered", [False, True], ids=["version 1", "version 2"])
def test_answers_are_scored_as_a_plain_loop_would(unanswered: bool) -> None:
    rows, tokenizer, model = _numbers(25, unanswered=unanswered), pico.make_tokenizer(), _random_model()
    exact, overlap = [], []
    for row in rows:
        said = _plain_answer(row, tokenizer, model, may_decline=unanswered)
        right = row["texts"][0] if row["texts"] else ""
        exact.append(said.strip(". ").lower() == right)
        overlap.append(_plain_f1(said, right))
    metrics = _evaluator(rows, 24)(model, 7).metrics
    assert metrics["exact_match"] == pytest.approx(sum(exact) / len(rows))
    assert metrics["f1"] == pytest.approx(sum(overlap) / len(rows))
    assert 0 < metrics["f1"] < 1


def _plain_answer(row: Any, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, *, may_decline: bool) -> str:
    """Every window by itself, every start with every end."""
    windows = tokenizer(
        row["question"], row["context"], truncation="only_second", max_length=24, stride=STRIDE,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    best, text, nothing = float("-inf"), "", float("inf")
    for i, ids in enumerate(windows["input_ids"]):
        outputs = model(input_ids=torch.tensor([ids]))
        starts, ends = outputs.start_logits[0].tolist(), outputs.end_logits[0].tolist()
        nothing = min(nothing, starts[0] + ends[0])
        inside = [at for at, part in enumerate(windows.sequence_ids(i)) if part == 1]
        for start in inside:
            for end in (at for at in inside if start <= at < start + 30):
                if starts[start] + ends[end] > best:
                    offsets = windows["offset_mapping"][i]
                    best, text = starts[start] + ends[end], row["context"][offsets[start][0] : offsets[end][1]]
    return "" if may_decline and nothing > best else text


def _plain_f1(said: str, right: str) -> float:
    """Of texts without articles, and with no punctuation but full stops; the right one is one word or none."""
    words = said.replace(".", "").lower().split()
    if not right or not words:
        return float(words == right.split())
    return 2 / (len(words) + 1) if right in words else 0.0


def test_questions_with_and_without_answers_are_scored_apart_too() -> None:
    rows = _rows(("mi?", "ta 42.", "42"), ("mi?", "ta mi 7 su.", "su"), ("mi?", "ta mi.", None))
    score = _evaluator(rows)
    scores = score.scores(_says(NumberFinder(), score))
    assert scores.metrics == {"exact_match": pytest.approx(1 / 3), "f1": pytest.approx(1 / 3)}
    assert scores.details["answerable"] == [
        {"answerable": "yes", "questions": 2, "exact_match": 0.5, "f1": 0.5},
        {"answerable": "no", "questions": 1, "exact_match": 0, "f1": 0},
    ]
    declined = score.scores([Answer("42", 3), Answer("7", 6), Answer("", 0)]).details["answerable"][1]
    assert declined["exact_match"] == 1


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
    pieces = _labelled(_rows(("ka?", context, "ta 427"), ("ka?", context, None)), 24)
    assert set(pieces) == {"ta 4 ##2 ##7", "[CLS]"}
    assert pieces.count("ta 4 ##2 ##7") >= 1
    assert set(pieces[len(pieces) // 2 :]) == {"[CLS]"}


def test_space_around_an_answer_is_no_part_of_it() -> None:
    assert _labelled(_rows(("ka?", "mi  427  lo", "  427 ")), 24) == ["4 ##2 ##7"]


def test_windows_hold_all_of_a_passage_and_share_the_stride() -> None:
    tokenizer, context = pico.make_tokenizer(), " ".join(f"mi{i % 10}" for i in range(50))
    windows = passage_windows(_rows(("ka lo?", context, None)), tokenizer, 32, STRIDE)
    passages = [window["input_ids"][window["first"] : window["end"]] for window in windows]
    whole = tokenizer(context, add_special_tokens=False)["input_ids"]
    joined = passages[0] + [piece for passage in passages[1:] for piece in passage[STRIDE:]]
    assert joined == whole
    assert max(len(window["input_ids"]) for window in windows) == 32


def test_a_question_too_long_for_the_window_is_cut_and_that_is_said() -> None:
    rows = _rows(("ka " * 100, "ta 42.", "42"), ("ka?", "ta 7.", "7"))
    score = _evaluator(rows, 200)
    assert [answer.text for answer in _says(NumberFinder(), score)] == ["42", "7"]
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
        _evaluator(_rows(("mi ka lo su ra?", "ta 42.", "42")), max_length)
    assert str(caught.value) == message


def test_padding_is_on_the_right_and_needs_no_token_of_its_own() -> None:
    tokenizer = pico.make_tokenizer()
    tokenizer.padding_side = "left"
    batch = padded([{"input_ids": [5, 6, 7]}, {"input_ids": [8]}], None)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_token_types_tell_question_and_passage_apart_where_the_tokenizer_has_them() -> None:
    tokenizer = BertTokenizer(vocab=pico.make_tokenizer().get_vocab())
    objective = QuestionAnswering(TaskOptions(stride=STRIDE))
    features = objective.features(_rows(("mi?", "ta", "ta"), ("mi?", "ta mi lo", "ta")), tokenizer, 32)
    batch = objective.collator(tokenizer, 0)(list(features))
    assert batch["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[4, 4], [4, 4]]


def test_the_loss_is_the_models_own_whatever_the_batches() -> None:
    rows, model, objective = _numbers(12), _random_model(), QuestionAnswering(TaskOptions(stride=STRIDE))
    features = objective.features(rows, pico.make_tokenizer(), 64)
    batch = objective.collator(pico.make_tokenizer(), 0)(list(features))
    labels = batch.pop("labels")
    own = model(**batch, start_positions=labels[:, 0], end_positions=labels[:, 1]).loss
    outputs = model(**batch)
    assert mean_over_ends(outputs, labels).item() == pytest.approx(own.item())
    halves = [
        mean_over_ends(
            SimpleNamespace(start_logits=outputs.start_logits[part], end_logits=outputs.end_logits[part]),
            labels[part],
            torch.tensor(labels.numel()),
        )
        for part in (slice(0, 5), slice(5, None))
    ]
    assert sum(halves).item() == pytest.approx(own.item())


def test_a_model_with_more_than_two_outputs_is_none_for_questions() -> None:
    model = _random_model()
    model.config.num_labels = 17
    with pytest.raises(MismatchError, match="17 outputs"):
        QuestionAnswering().for_model(model)


def _marked(*answers: tuple[list[str] | None, list[int]]) -> Dataset:
    """Rows of (texts, starts), all in one context."""
    made = [
        {"question": "mi?", "context": "Ta 42 lo 7.", "texts": texts, "starts": starts} for texts, starts in answers
    ]
    return Dataset.from_list(made, features=FEATURES)


def test_answers_that_stand_elsewhere_are_scored_and_not_trained_on() -> None:
    rows = _marked((["42"], [-1]), (["7", "42"], [-1, 3]), ([], []))
    objective = QuestionAnswering(TaskOptions(stride=STRIDE))
    features = objective.features(rows, pico.make_tokenizer(), 32)
    (first, end), nothing = features["labels"]
    tokens = pico.make_tokenizer().convert_ids_to_tokens(features[0]["input_ids"][first : end + 1])
    assert (tokens, nothing) == (["4", "##2"], [0, 0])  # of several answers the first that stands there
    told = objective.remarks(rows, features)
    assert told == ("without an answer that stands in the context, and left out: 1 of 3 questions.",)
    evaluator = _evaluator(rows)
    scores = evaluator.scores([Answer("42", 3), Answer("7", 9), Answer("", 0)])
    assert (scores.examples, scores.metrics["exact_match"]) == (3, 1.0)


def test_training_data_without_an_answer_that_stands_where_it_should_are_an_error() -> None:
    with pytest.raises(DataError, match="No answer of the training data stands in its context"):
        QuestionAnswering().features(_marked((["42"], [-1])), pico.make_tokenizer(), 32)


def test_questions_of_which_it_is_not_known_what_is_right_are_answered_and_not_scored() -> None:
    evaluator = _evaluator(_marked((None, []), (["42"], [3])))
    said = _says(NumberFinder(nothing=100), evaluator)
    assert len(said) == 2
    assert said[0].text  # they do not count as questions without an answer
    scores = evaluator.scores([Answer("no", 0), Answer("42", 3)])
    assert (scores.examples, scores.metrics["f1"], scores.details) == (1, 1.0, {})


def test_data_of_which_nothing_is_known_are_not_scored(tmp_path: Path) -> None:
    made = squad.document(("ta 42", [{"id": "a", "question": "mi?", "answers": [{"text": "", "answer_start": 0}]}]))
    source = str(squad.save(tmp_path / "x.json", made))
    with pytest.raises(DataError, match=r"nothing to learn or to score\. sftkit predict answers them"):
        QuestionAnswering().read([source])
    assert QuestionAnswering().read_unlabelled([source])["texts"][:] == [None]


@pytest.mark.parametrize(("context", "language", "told"), [("塔米洛苏拉卡" * 9, "", 1), ("塔米洛苏拉卡" * 9, "zh", 0),
                                                           ("ta mi lo " * 9, "", 0)])  # fmt: skip
def test_that_text_without_spaces_is_one_word_is_told_unless_a_language_is_named(
    context: str, language: str, told: int
) -> None:
    objective = QuestionAnswering(TaskOptions(stride=STRIDE, language=language))
    evaluator = objective.evaluator(_rows(("mi?", context, context[:2])), pico.make_tokenizer(), 32, 0)
    assert sum("--language" in note for note in evaluator.notes) == told


def test_answers_are_compared_by_the_rules_of_the_language() -> None:
    for language, f1 in (("", 0.0), ("zh", 0.8)):  # 2 characters of 2 and 3 are the same: 2·2/5
        objective = QuestionAnswering(TaskOptions(stride=STRIDE, language=language))
        evaluator = objective.evaluator(_rows(("mi?", "塔米洛苏", "塔米洛")), pico.make_tokenizer(), 32, 0)
        assert evaluator.scores([Answer("塔米", 0)]).metrics["f1"] == pytest.approx(f1)
