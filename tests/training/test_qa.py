"""Question answering from training to plain transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForQuestionAnswering

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.format.files import SftFile
from sftkit.format.writing import write
from sftkit.tasks.options import TaskOptions
from sftkit.training.lottery import learn
from sftkit.training.settings import settings_for
from tests.cli.run import sftkit
from tests.helpers import pico, squad

QUICK = ("--stride", 8, "--lr", "1e-2", "--batch-size", 16, "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, ``train.json``, ``test.json`` and ``qa.sft``."""
    folder = tmp_path_factory.mktemp("trained")
    pico.save_base(folder / "base", hidden_size=32)
    squad.save(folder / "train.json", squad.numbers(200, 1, unanswered=True))
    squad.save(folder / "test.json", squad.numbers(40, 2, unanswered=True))
    data = ("--qa", folder / "train.json", "--dev", folder / "test.json", "--base", folder / "base")
    done = sftkit("train", *data, "--steps", 60, "--density", "0.3", "-o", folder / "qa.sft", *QUICK)
    assert done.status == 0, done.stderr
    return folder


def _scores(*arguments: object) -> dict[str, float]:
    done = sftkit("evaluate", *arguments, "--stride", 8, "--resamples", 0, "--json")
    assert done.status == 0, done.stderr
    metrics: dict[str, float] = json.loads(done.stdout)["metrics"]
    return metrics


def test_numbers_are_learned_as_answers_and_that_there_is_none(trained: Path) -> None:
    found = _scores(trained / "base", trained / "qa.sft", "--qa", trained / "test.json")
    assert found["exact_match"] > 0.7  # 0.35, were every question declined


def test_the_table_tells_questions_with_and_without_answers_apart(trained: Path) -> None:
    inputs = (trained / "base", trained / "qa.sft", "--qa", trained / "test.json")
    done = sftkit("evaluate", *inputs, "--stride", 8, "--resamples", 0)
    assert done.status == 0, done.stderr
    assert "answerable" in done.stdout


def test_composed_on_disk_and_in_memory_answer_the_same(trained: Path, tmp_path: Path) -> None:
    inputs = (trained / "base", trained / "qa.sft")
    assert sftkit("compose", *inputs, "-o", tmp_path / "model").status == 0
    test = ("--qa", trained / "test.json")
    assert _scores(tmp_path / "model", *test) == _scores(*inputs, *test)


def test_the_difference_of_a_composed_model_and_its_base_answers_the_same(trained: Path, tmp_path: Path) -> None:
    assert sftkit("compose", trained / "base", trained / "qa.sft", "-o", tmp_path / "model").status == 0
    assert sftkit("subtract", tmp_path / "model", trained / "base", "-o", tmp_path / "again.sft").status == 0
    again = SftFile(tmp_path / "again.sft")
    assert (again.metadata.objective, sorted(again.head)) == ("qa", ["qa_outputs.bias", "qa_outputs.weight"])
    test = ("--qa", trained / "test.json")
    assert _scores(trained / "base", tmp_path / "again.sft", *test) == _scores(tmp_path / "model", *test)


def test_predictions_are_a_file_that_scores_as_they_did(trained: Path, tmp_path: Path) -> None:
    inputs = (trained / "base", trained / "qa.sft", "--qa", trained / "test.json")
    found = _scores(*inputs, "--predictions", tmp_path / "said.json")
    right, said = (json.loads(path.read_text()) for path in (trained / "test.json", tmp_path / "said.json"))
    pairs = zip(right["data"][0]["paragraphs"], said["data"][0]["paragraphs"], strict=True)
    texts = [[[a["text"] for a in each["qas"][0]["answers"]] for each in pair] for pair in pairs]
    assert found["exact_match"] == pytest.approx(sum(gold == given for gold, given in texts) / 40)


@pytest.mark.parametrize("model_type", pico.CONFIGS)
def test_trained_and_composed_models_open_whole_in_transformers(tmp_path: Path, model_type: str) -> None:
    base = pico.save_base(tmp_path / "base", model_type)
    data = squad.save(tmp_path / "train.json", squad.numbers(20, 1, unanswered=False))
    settings = settings_for(
        "qa", data=(str(data),), base=base, base_name="pico", steps=2, lr=1e-2, k=500, batch_size=4, device="cpu",
        options=TaskOptions(stride=8),
    )  # fmt: skip
    path = write(tmp_path / "qa.sft", learn(settings).sft)
    compose(base, [Weighted(SftFile(path), 1.0, "qa.sft")], tmp_path / "model")
    model, info = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert {kind: sorted(map(str, found)) for kind, found in info.items() if found} == {}
    assert model.config.num_labels == 2
    assert _scores(tmp_path / "model", "--qa", data) == _scores(base, path, "--qa", data)
