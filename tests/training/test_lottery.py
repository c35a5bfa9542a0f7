"""What learning an SFT promises, on pico models and a handful of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.errors import DataError, SettingsError
from sftkit.evaluation.run import Scoring, evaluate
from sftkit.format.files import SftFile, read
from sftkit.format.writing import write
from sftkit.training.lottery import Result, learn
from sftkit.training.observer import Observer
from sftkit.training.settings import settings_for
from tests.helpers import pico


def learn_language(base: Path, corpus: Path, **changes: Any) -> Result:
    given: dict[str, Any] = {"steps": 8, "eval_every": 4, "lr": 1e-2, "k": 200, "device": "cpu"} | changes
    return learn(settings_for("mlm", data=(str(corpus),), base=base, base_name="pico", **given))


def learn_tagging(base: Path, treebank: Path, **changes: Any) -> Result:
    given: dict[str, Any] = {"steps": 8, "eval_every": 4, "lr": 1e-2, "k": 200, "device": "cpu"} | changes
    return learn(settings_for("pos", data=(str(treebank),), base=base, base_name="pico", **given))


@pytest.fixture(scope="module")
def language(pico_base: Path, corpus: Path) -> Result:
    return learn_language(pico_base, corpus)


@pytest.fixture(scope="module")
def tagging(pico_base: Path, treebank: Path) -> Result:
    return learn_tagging(pico_base, treebank)


@pytest.mark.parametrize("method", ["lottery", "random"])
@pytest.mark.parametrize("k", [1, 777])
def test_phi_has_exactly_k_entries(pico_base: Path, corpus: Path, method: str, k: int) -> None:
    sft = learn_language(pico_base, corpus, k=k, method=method, steps=2).sft
    assert sft.k == sft.metadata.k == k


def test_density_is_a_share_of_the_backbone(pico_base: Path, corpus: Path) -> None:
    sft = learn_language(pico_base, corpus, k=None, density=0.05, steps=2).sft
    backbone = sum(spec.size for spec in sft.metadata.parameters.values())
    assert sft.k == round(0.05 * backbone)


def test_a_language_leaves_layer_norms_alone(language: Result) -> None:
    assert not [name for name in language.sft.names if "LayerNorm" in name]


def test_a_language_unties_the_output_matrix_and_does_not_store_it(language: Result) -> None:
    untied = language.sft.metadata.tied_embeddings
    assert untied is not None
    assert (untied.input, untied.output) == ("embeddings.word_embeddings.weight", "cls.predictions.decoder.weight")
    assert untied.output not in language.sft.head
    assert "cls.predictions.transform.dense.weight" in language.sft.head


@pytest.mark.parametrize("objective", ["mlm", "pos"])
def test_layer_norms_move_only_if_that_is_asked_for(
    objective: str, pico_base: Path, corpus: Path, treebank: Path
) -> None:
    frozen, moving = (
        learn_language(pico_base, corpus, k=None, density=0.97, steps=2, train_norms=norms).sft
        if objective == "mlm"
        else learn_tagging(pico_base, treebank, k=None, density=0.97, steps=2, train_norms=norms).sft
        for norms in (False, True)
    )
    assert not [name for name in frozen.names if "LayerNorm" in name]
    assert [name for name in moving.names if "LayerNorm" in name]
    assert "layer norms" in frozen.metadata.training["frozen"]
    assert "layer norms" not in moving.metadata.training["frozen"]


def test_a_task_brings_its_whole_head(tagging: Result) -> None:
    assert sorted(tagging.sft.head) == ["classifier.bias", "classifier.weight"]
    assert tagging.sft.metadata.head == "BertForTokenClassification"
    assert tagging.sft.metadata.labels[7] == "NOUN"


def test_training_lowers_the_held_out_loss(language: Result) -> None:
    history = language.phase2.history
    assert history[-1][1] < history[0][1]


def test_the_best_step_is_the_one_that_is_kept(pico_base: Path, treebank: Path) -> None:
    result = learn_tagging(pico_base, treebank, steps=24, lr=0.3)  # so high a rate goes up and down
    values = [value for _, value in result.phase2.history]
    assert result.phase2.best_value == max(values)
    assert result.phase2.best_step == next(step for step, value in result.phase2.history if value == max(values))


@pytest.mark.parametrize("method", ["lottery", "random"])
def test_the_best_value_is_what_the_sft_scores_when_it_is_composed(
    tmp_path: Path, pico_base: Path, corpus: Path, method: str
) -> None:
    result = learn_language(pico_base, corpus, dev=(str(corpus),), method=method, steps=12, max_length=64)
    path = write(tmp_path / "lang.sft", result.sft)
    composed = evaluate(
        Scoring("mlm", max_length=64, device="cpu"), (str(corpus),), pico_base, [Weighted(SftFile(path))]
    )
    assert composed.metrics["loss"] == pytest.approx(result.phase2.best_value, rel=1e-6)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, pico_base: Path, corpus: Path, language: Result) -> None:
    again = learn_language(pico_base, corpus)
    first, second = (write(tmp_path / name, r.sft).read_bytes() for name, r in (("a", language), ("b", again)))
    assert first == second


def test_another_seed_gives_another_sft(pico_base: Path, corpus: Path, language: Result) -> None:
    assert learn_language(pico_base, corpus, seed=7).sft.digest != language.sft.digest


def test_the_head_starts_both_phases_from_the_same_values(pico_base: Path, treebank: Path) -> None:
    # A rate so small that nothing moves visibly: the head after both phases is the initial one.
    barely = learn_tagging(pico_base, treebank, steps=1, lr=1e-12).sft
    other = learn_tagging(pico_base, treebank, steps=3, lr=1e-12, method="random").sft
    np.testing.assert_allclose(barely.head["classifier.weight"], other.head["classifier.weight"], atol=1e-9)


def test_a_source_language_is_applied_but_is_not_part_of_the_result(
    tmp_path: Path, pico_base: Path, treebank: Path, language: Result
) -> None:
    path = write(tmp_path / "lang.sft", language.sft)
    plain = learn_tagging(pico_base, treebank, lr=1e-12, steps=1).sft
    under = learn_tagging(pico_base, treebank, lr=1e-12, steps=1, source_sft=path).sft
    assert under.metadata.trained_with == (read(path).digest,)
    # nothing moved, so had φ_L leaked into φ_T it would be all that there is
    assert max(np.abs(m.data).max() for m in under.parameters.values()) < 1e-9
    assert under.digest != plain.digest


def test_l1_pulls_phi_towards_zero(pico_base: Path, corpus: Path) -> None:
    loose, tight = (learn_language(pico_base, corpus, l1=l1, steps=16).sft for l1 in (0.0, 5e3))
    size = [sum(float(np.abs(m.data).sum()) for m in sft.parameters.values()) for sft in (loose, tight)]
    assert size[1] < 0.8 * size[0]


def test_frozen_patterns_do_not_move(pico_base: Path, treebank: Path) -> None:
    sft = learn_tagging(pico_base, treebank, freeze=("^embeddings", r"\.bias$")).sft
    assert sft.names
    assert not [name for name in sft.names if name.startswith("embeddings") or name.endswith(".bias")]


def test_a_k_larger_than_what_may_move_is_refused(pico_base: Path, corpus: Path) -> None:
    with pytest.raises(SettingsError, match="may move"):
        learn_language(pico_base, corpus, k=10**6)


def test_a_corpus_of_one_line_is_refused(tmp_path: Path, pico_base: Path) -> None:
    (tmp_path / "one.txt").write_text("ta mi lo\n")
    with pytest.raises(DataError, match="too few"):
        learn_language(pico_base, tmp_path / "one.txt")


def test_the_base_is_fingerprinted_as_its_files_are(pico_base: Path, language: Result) -> None:
    base = language.sft.metadata.base
    assert base is not None
    assert base.fingerprint == fingerprint(Checkpoint(pico_base))


def test_entries_that_did_not_move_are_said(pico_base: Path, corpus: Path) -> None:
    class Listener(Observer):
        notes: list[str]

        def note(self, text: str) -> None:
            self.notes.append(text)

    listener = Listener()
    listener.notes = []
    settings = settings_for("mlm", data=(str(corpus),), base=pico_base, base_name="pico", k=6000, steps=1, device="cpu")
    learn(settings, listener)
    assert any("did not" in text for text in listener.notes)


@pytest.mark.parametrize("model_type", ["xlm-roberta", "distilbert", "deberta-v2", "electra", "modernbert"])
@pytest.mark.parametrize("head", [True, False], ids=["with prefix", "bare"])
def test_every_encoder_learns_languages_and_tasks(
    tmp_path: Path, corpus: Path, treebank: Path, model_type: str, head: bool
) -> None:
    base = pico.save_base(tmp_path / "base", model_type, head=head)
    language, tagging = learn_language(base, corpus, steps=2, k=2500), learn_tagging(base, treebank, steps=2)
    assert language.sft.metadata.tied_embeddings is not None
    known = set(Checkpoint(base).parameters)
    assert set(language.sft.names) | set(tagging.sft.names) <= known
    assert language.sft.metadata.tied_embeddings.input in language.sft.names
    assert not [name for name in language.sft.names if "norm" in name.lower()]


def test_old_names_of_layer_norms_are_read(tmp_path: Path, treebank: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = pico.save_base(tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    old = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for n, t in tensors.items()
    }
    assert set(old) != set(tensors)
    save_file(old, base / "model.safetensors", metadata={"format": "pt"})
    modern = pico.save_base(tmp_path / "modern")
    first, second = (learn_tagging(path, treebank, steps=2).sft for path in (base, modern))
    assert all(
        torch.equal(torch.from_numpy(first.parameters[n].data), torch.from_numpy(second.parameters[n].data))
        for n in first.names
    )
    assert first.metadata.base == second.metadata.base
