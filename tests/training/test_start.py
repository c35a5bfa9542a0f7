"""The score before the first step: once a run, of the model that phases begin at, never kept as the best."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sftkit.errors import SettingsError
from sftkit.format.writing import write
from sftkit.training.engine.checkpoints import DONE
from sftkit.training.engine.judge import Judge, Outcome
from sftkit.training.engine.snapshot import Snapshot
from sftkit.training.lottery import learn, learn_each
from sftkit.training.observer import Observer
from sftkit.training.settings import Settings, settings_for
from tests.helpers.build import save_sft
from tests.training.observers import EndWhileScoring


class Evaluations(Observer):
    """Counts how often the model was scored, and keeps what was noted."""

    def __init__(self) -> None:
        self.count, self.starts, self.notes = 0, list[float](), list[str]()

    def evaluating(self) -> None:
        """One more."""
        self.count += 1

    def started(self, metric: str, value: float) -> None:
        """The start was scored."""
        del metric
        self.starts.append(value)

    def note(self, text: str) -> None:
        """Keep it."""
        self.notes.append(text)


def settings(base: Path, data: Path, objective: str = "mlm", **changes: object) -> Settings:
    given = {"steps": 4, "eval_every": 4, "lr": 1e-3, "k": 100, "device": "cpu", "batch_size": 4} | changes
    return settings_for(objective, data=(str(data),), base=base, base_name="pico", **given)


def test_both_phases_begin_at_one_score_which_is_taken_once(pico_base: Path, corpus: Path) -> None:
    seen = Evaluations()
    result = learn(settings(pico_base, corpus), seen)
    assert result.phase1 is not None
    assert result.phase1.history[0] == result.phase2.history[0] == [0, seen.starts[0]]
    assert (seen.count, len(seen.starts)) == (3, 1)  # the start, and each phase's end
    assert result.sft.metadata.training["start"] == {"metric": "loss", "value": seen.starts[0]}
    assert [step for step, _ in result.phase2.losses] == [4]


def test_of_several_densities_and_rounds_the_start_is_scored_once(pico_base: Path, corpus: Path) -> None:
    seen = Evaluations()
    results = list(learn_each(settings(pico_base, corpus, iterations=2), (0.01, 0.02), seen))
    assert len(seen.starts) == 1
    assert {result.phase2.start for result in results} == {seen.starts[0]}


def test_without_phase_1_phase_2_scores_the_start(pico_base: Path, corpus: Path) -> None:
    result = learn(settings(pico_base, corpus, method="random"))
    assert result.phase2.start == learn(settings(pico_base, corpus)).phase2.start


def test_a_phase_2_that_begins_elsewhere_has_a_start_of_its_own(pico_base: Path, corpus: Path) -> None:
    seen = Evaluations()
    result = learn(replace(settings(pico_base, corpus, lr=1e-2), rewind_to=None), seen)
    assert result.phase1 is not None
    assert [result.phase1.start, result.phase2.start] == seen.starts
    assert seen.starts[0] != seen.starts[1]
    assert result.sft.metadata.training["start"]["value"] == seen.starts[0]


def test_the_start_is_never_the_best_step(pico_base: Path, corpus: Path) -> None:
    result = learn(settings(pico_base, corpus, lr=500.0))
    assert result.phase2.best_step == 4
    assert result.phase2.best_value > result.phase2.history[0][1]


def test_a_run_that_gained_nothing_says_so_once(pico_base: Path, corpus: Path) -> None:
    seen = Evaluations()
    learn(settings(pico_base, corpus, lr=500.0), seen)
    (told,) = (note for note in seen.notes if "nothing was gained" in note)
    assert "likely too high (500)" in told


@pytest.mark.parametrize("objective", ["pos", "dep"])
def test_tasks_are_scored_by_their_own_metric_before_the_first_step(
    objective: str, pico_base: Path, treebank: Path
) -> None:
    result = learn(settings(pico_base, treebank, objective))
    assert result.phase2.start is not None
    assert 0 <= result.phase2.start < 1


def test_sources_are_scored_under_their_own_sfts(pico_base: Path, treebank: Path, tmp_path: Path) -> None:
    from sftkit.training.settings import SourceLanguage

    sft = save_sft(tmp_path / "en.sft", pico_base, scale=3.0)
    made = settings(pico_base, treebank, "pos")
    turns = replace(made, data=(), sources=(SourceLanguage("en", sft, str(treebank)),))
    assert learn(turns).phase2.start == learn(replace(made, source_sft=sft)).phase2.start


def test_a_run_that_was_interrupted_while_its_start_was_scored_goes_on(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(pico_base, corpus)
    with pytest.raises(KeyboardInterrupt):
        learn(made, EndWhileScoring(1), run_dir=tmp_path / "run")
    again = learn(made, run_dir=tmp_path / "run")
    assert again.sft.digest == learn(made).sft.digest


def test_a_run_that_an_older_sftkit_began_goes_on_without_a_start(
    pico_base: Path, corpus: Path, tmp_path: Path
) -> None:
    made = settings(pico_base, corpus)
    learn(made, run_dir=tmp_path / "run")
    for done in (tmp_path / "run").glob(f"phase*/{DONE}"):
        document = json.loads(done.read_text())
        document["history"] = document["history"][1:]
        done.write_text(json.dumps(document))
    result = learn(made, run_dir=tmp_path / "run")
    assert result.sft.metadata.training["start"] is None
    write(tmp_path / "x.sft", result.sft)


def test_a_base_that_is_not_finite_is_told_before_the_first_step(pico_base: Path, corpus: Path, tmp_path: Path) -> None:
    import shutil

    base = Path(shutil.copytree(pico_base, tmp_path / "base"))
    (weights,) = base.glob("*.safetensors")
    tensors = load_file(weights)
    name = next(name for name in tensors if name.endswith("word_embeddings.weight"))
    tensors[name] = torch.full_like(tensors[name], torch.nan)
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(SettingsError, match="Before the first step loss on the held-out data is nan"):
        learn(settings(base, corpus))


def test_a_training_loss_that_is_no_number_is_no_point_of_a_curve(tmp_path: Path) -> None:
    from types import SimpleNamespace
    from typing import Any, cast

    scores = iter([5.0, 4.0, 3.0])

    def evaluator(*_: Any) -> Any:
        return SimpleNamespace(metrics={"loss": next(scores)})

    cast("Any", evaluator).examples = 1
    model: Any = torch.nn.Linear(1, 1)
    outcome = Outcome(4)
    judge = Judge(
        model, cast("Any", evaluator), 1, "loss", False, {}, Snapshot(tmp_path / "b.safetensors"), Observer(), outcome
    )
    judge.begin()
    judge.learned(torch.tensor(torch.nan))
    judge(2)
    judge.learned(torch.tensor(1.0))
    judge(4)
    assert outcome.history == [[0, 5.0], [2, 4.0], [4, 3.0]]
    assert outcome.losses == [[4, 0.5]]


def test_each_process_goes_on_with_the_training_loss_of_its_own_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typing import Any

    from sftkit.training.engine import judge

    model: Any = torch.nn.Linear(1, 1)
    first, second = (
        Judge(model, model, 1, "loss", False, {}, Snapshot(tmp_path / "b.safetensors"), Observer(), Outcome(4))
        for _ in range(2)
    )
    second.learned(torch.tensor(2.0))
    monkeypatch.setattr(judge, "everyones", lambda mine: [mine, second._loss.item()])  # type: ignore[union-attr]
    first.learned(torch.tensor(1.0))
    document = first.document()
    monkeypatch.setattr(judge, "rank", lambda: 1)
    second.go_on(document)
    assert second._loss == 2.0
