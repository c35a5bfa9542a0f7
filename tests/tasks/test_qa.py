"""Windows of questions and passages, answers from scores, and what they are worth."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import AutoModelForQuestionAnswering, PreTrainedModel, PreTrainedTokenizerBase

from sftkit.errors import DataError, MismatchError
from sftkit.tasks.evaluator import Evaluator
from sftkit.tasks.options import TaskOptions
from sftkit.tasks.qa import MOST_ANSWER, QuestionAnswering, mean_over_ends
from sftkit.tasks.readers.squad import FEATURES, Answer
from tests.helpers import pico, squad

STRIDE = 8


def rows_of(*questions: tuple[str, str, str | None]) -> Dataset:
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


def evaluator_of(rows: Dataset, max_length: int = 32, tokenizer: PreTrainedTokenizerBase | None = None) -> Evaluator:
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


def answers_of(model: Any, evaluator: Evaluator, batch_size: int = 4) -> list[Answer]:
    return evaluator.predict(model, batch_size)


def _random_model(seed: int = 3) -> PreTrainedModel:
    torch.manual_seed(seed)
    made: PreTrainedModel = AutoModelForQuestionAnswering.from_config(pico.make_model().config)
    made.eval()
    return made


def test_an_answer_at_the_end_of_2000_words_is_found() -> None:
    context = "Taka, milo! " * 1000 + "Suen 427."
    (answer,) = answers_of(NumberFinder(), evaluator_of(rows_of(("mi ka lo?", context, "427"))))
    assert answer == Answer("427", context.index("427"))


def test_an_answer_is_an_exact_stretch_of_its_context() -> None:
    rows = rows_of(("mi?", "\n  TAKA   42\tLo", "42"), ("mi?", "ŋ—Ta 7!", "7"))
    assert answers_of(NumberFinder(), evaluator_of(rows)) == [Answer("42", 10), Answer("7", 5)]


@pytest.mark.parametrize(("nothing", "text"), [(2.005, "42"), (2.007, "")])
def test_no_answer_wins_if_it_scores_higher_in_every_window(nothing: float, text: str) -> None:
    rows = rows_of(("mi?", "ta 42.", "42"), ("mi?", "ta mi.", None))
    assert [answer.text for answer in answers_of(NumberFinder(nothing), evaluator_of(rows))] == [text, ""]


def test_where_all_questions_have_answers_all_get_one() -> None:
    (answer,) = answers_of(NumberFinder(nothing=100), evaluator_of(rows_of(("mi?", "ta 42.", "42"))))
    assert answer.text == "42"


@pytest.mark.parametrize(("between", "pieces"), [(MOST_ANSWER - 2, MOST_ANSWER), (MOST_ANSWER - 1, 1)])
def test_an_answer_is_never_longer_than_the_limit(between: int, pieces: int) -> None:
    class FirstToLast(NumberFinder):
        """Starts only at the first number, and rather ends at the last."""

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
            found = super().forward(input_ids, attention_mask)
            found.start_logits[:, int(found.start_logits[0].argmax())] = 5.0
            return found

    rows = rows_of(("mi?", "1 " + "ta " * between + "2", "1"))
    (answer,) = answers_of(FirstToLast(), evaluator_of(rows, 64))
    assert len(answer.text.split()) == pieces


def test_a_passage_without_tokens_has_no_answer() -> None:
    rows = rows_of(("mi?", "  ", None), ("mi?", "ta 42", "42"))
    assert [answer.text for answer in answers_of(NumberFinder(), evaluator_of(rows))] == ["", "42"]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_scores_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    rows = _numbers(30)
    model, score = _random_model(), evaluator_of(rows, 24)
    assert score.predict(model, batch_size) == score.predict(model, 8)
    assert score(model, batch_size).metrics == score(model, 8).metrics


def _numbers(count: int, *, unanswered: bool = False) -> Dataset:
    made = squad.numbers(count, 1, unanswered=unanswered)["data"][0]["paragraphs"]
    questions = [(paragraph["context"], paragraph["qas"][0]) for paragraph in made]
    return rows_of(
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
    metrics = evaluator_of(rows, 24)(model, 7).metrics
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
    rows = rows_of(("mi?", "ta 42.", "42"), ("mi?", "ta mi 7 su.", "su"), ("mi?", "ta mi.", None))
    score = evaluator_of(rows)
    scores = score.scores(answers_of(NumberFinder(), score))
    assert scores.metrics == {"exact_match": pytest.approx(1 / 3), "f1": pytest.approx(1 / 3)}
    assert scores.details["answerable"] == [
        {"answerable": "yes", "questions": 2, "exact_match": 0.5, "f1": 0.5},
        {"answerable": "no", "questions": 1, "exact_match": 0, "f1": 0},
    ]
    declined = score.scores([Answer("42", 3), Answer("7", 6), Answer("", 0)]).details["answerable"][1]
    assert declined["exact_match"] == 1


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
    evaluator = evaluator_of(rows)
    scores = evaluator.scores([Answer("42", 3), Answer("7", 9), Answer("", 0)])
    assert (scores.examples, scores.metrics["exact_match"]) == (3, 1.0)


def test_training_data_without_an_answer_that_stands_where_it_should_are_an_error() -> None:
    with pytest.raises(DataError, match="No answer of the training data stands in its context"):
        QuestionAnswering().features(_marked((["42"], [-1])), pico.make_tokenizer(), 32)


def test_questions_of_which_it_is_not_known_what_is_right_are_answered_and_not_scored() -> None:
    evaluator = evaluator_of(_marked((None, []), (["42"], [3])))
    said = answers_of(NumberFinder(nothing=100), evaluator)
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
    evaluator = objective.evaluator(rows_of(("mi?", context, context[:2])), pico.make_tokenizer(), 32, 0)
    assert sum("--language" in note for note in evaluator.notes) == told


def test_answers_are_compared_by_the_rules_of_the_language() -> None:
    for language, f1 in (("", 0.0), ("zh", 0.8)):  # 2 characters of 2 and 3 are the same: 2·2/5
        objective = QuestionAnswering(TaskOptions(stride=STRIDE, language=language))
        evaluator = objective.evaluator(rows_of(("mi?", "塔米洛苏", "塔米洛")), pico.make_tokenizer(), 32, 0)
        assert evaluator.scores([Answer("塔米", 0)]).metrics["f1"] == pytest.approx(f1)
