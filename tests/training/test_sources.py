"""A task learned from several languages in turns: one φ for all, and θ as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftkit.errors import SettingsError
from sftkit.format.files import read
from sftkit.modeling.backbone import backbone_parameters, flat
from sftkit.modeling.sparse import sparse_parameters
from sftkit.tasks.registry import objective_of
from sftkit.training.engine.order import FirstDraws, Order, derived
from sftkit.training.engine.turns import SourceSfts
from sftkit.training.loading import load
from sftkit.training.lottery import Result, learn
from sftkit.training.observer import Observer, RunPlan
from sftkit.training.selection.ranking import highest
from sftkit.training.selection.streaming import GradientSums
from sftkit.training.settings import SourceLanguage, settings_for
from tests.cli.run import sftkit
from tests.conftest import treebank_text
from tests.helpers import pico
from tests.helpers.build import save_sft
from tests.training.observers import EndAt


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without dropout, so that a plain loop can be compared."""
    folder = tmp_path_factory.mktemp("base")
    return pico.save_base(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="module")
def sources(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SourceLanguage, SourceLanguage]:
    """Two languages, whose SFTs have many entries and large ones; the first has more data."""
    folder = tmp_path_factory.mktemp("sources")
    made = []
    for seed, sentences in enumerate((30, 12)):
        data = folder / f"{seed}.conllu"
        data.write_text(treebank_text(sentences))
        made.append(
            SourceLanguage(f"l{seed}", save_sft(folder / f"{seed}.sft", base, seed=seed, k=3000, scale=0.1), str(data))
        )
    return made[0], made[1]


def learned(
    base: Path, *sources: SourceLanguage, run_dir: Path | None = None, observer: Any = None, **changes: Any
) -> Result:
    given: dict[str, Any] = {"steps": 6, "eval_every": 3, "lr": 1e-2, "k": 300, "device": "cpu"} | changes
    made = settings_for("pos", base=base, base_name="pico", sources=sources, **given)
    return learn(made, observer, run_dir=run_dir)


def test_a_single_source_is_the_same_as_with(base: Path, sources: tuple[SourceLanguage, SourceLanguage]) -> None:
    source = sources[0]
    ours = learned(base, source, method="random").sft
    plain = learned(base, data=(source.data,), source_sft=source.sft, method="random").sft
    assert ours.metadata.trained_with == plain.metadata.trained_with
    for name in plain.names:
        assert np.array_equal(ours.parameters[name].data, plain.parameters[name].data)
    for name in plain.head:
        assert np.array_equal(ours.head[name], plain.head[name])


@pytest.mark.parametrize("how", [{"method": "random"}, {"selection": "streaming"}], ids=str)
def test_a_single_source_is_the_same_as_with_on_a_bfloat16_base(
    how: dict[str, Any], tmp_path: Path, treebank: Path
) -> None:
    pico.make_model().bfloat16().save_pretrained(tmp_path / "bf16")
    pico.make_tokenizer().save_pretrained(tmp_path / "bf16")
    source = SourceLanguage("l", save_sft(tmp_path / "l.sft", tmp_path / "bf16", k=3000, scale=0.1), str(treebank))
    ours = learned(tmp_path / "bf16", source, base_dtype="bf16", **how).sft
    plain = learned(tmp_path / "bf16", data=(source.data,), source_sft=source.sft, base_dtype="bf16", **how).sft
    for name in plain.names:
        assert np.array_equal(ours.entries(name)[0], plain.entries(name)[0])
        assert np.array_equal(ours.entries(name)[1], plain.entries(name)[1])


def test_streaming_selection_adds_up_the_gradients_of_each_batch_under_its_own_sft(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage]
) -> None:
    how: dict[str, Any] = {"steps": 1, "accumulate": 4, "selection": "streaming"}
    found = learned(base, *sources, **how).sft
    made = settings_for("pos", base=base, base_name="pico", sources=sources, device="cpu", **how)
    ready = load(made, Observer())
    theta = {name: parameter.detach().clone() for name, parameter in backbone_parameters(ready.tunable.model).items()}
    composed = [{name: theta[name] + phi for name, phi in _dense(_file(source), theta).items()} for source in sources]
    collate, sums = (
        objective_of("pos").collator(ready.data.tokenizer, 42),
        GradientSums(ready.tunable.movable.maskable, "change"),
    )
    order = ready.data.order.seeded(derived(made.seed, "phase 1"))
    draws = [order.number(0, i) for i in range(32)]
    batches = [(draws[i], collate([ready.data.features[n % len(ready.data.features)] for n in draws[i : i + 8]]))
               for i in range(0, 32, 8)]  # fmt: skip
    assert {order.source(first) for first, _ in batches} == {0, 1}
    labels = sum(int((batch["labels"] != -100).sum()) for _, batch in batches)
    ready.tunable.model.train()
    for first, batch in batches:
        weights = {name: w.clone().requires_grad_() for name, w in composed[order.source(first)].items()}
        _loss(ready.tunable.model, weights, batch, labels).backward()
        for name in ready.tunable.movable.maskable:
            gradient = weights[name].grad
            assert gradient is not None
            sums.add(name, gradient)
    chosen = highest(ready.tunable.movable.maskable, sums.scores(), 300).positions
    assert {name: found.entries(name)[0].tolist() for name in found.names} == {
        name: at.tolist() for name, at in chosen.items() if len(at)
    }


def _loss(model: Any, weights: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], labels: int) -> torch.Tensor:
    """A batch's share of the loss of a step with so many labels, of a model with these backbone weights."""
    named = {f"bert.{name}": weight for name, weight in weights.items()}
    outputs = torch.func.functional_call(model, named, kwargs=dict(batch))
    total = torch.nn.functional.cross_entropy(
        outputs.logits.flatten(0, -2), batch["labels"].flatten(), ignore_index=-100, reduction="sum"
    )
    return total / labels


def test_an_sft_is_put_on_and_off_to_the_bit_with_phi_or_without(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage]
) -> None:
    made = settings_for("pos", base=base, base_name="pico", sources=sources, device="cpu")
    model = load(made, Observer()).tunable.model
    parameters = backbone_parameters(model)
    name = "embeddings.word_embeddings.weight"
    before = {key: parameter.detach().clone() for key, parameter in parameters.items()}
    sft = read(sources[0].sft)
    entry = torch.tensor(sft.entries(name)[0][:1])
    with sparse_parameters(model, {name: entry}) as phi:
        phi.phi.data.fill_(0.25)
        in_turns = SourceSfts(parameters, [_file(source) for source in sources], phi.deltas)
        module: Any = model.get_input_embeddings()
        with in_turns.on(0):
            phi.refresh()
            both = float(flat(module.weight)[entry])
        phi.refresh()
        alone = float(flat(module.weight)[entry])
    theta = float(flat(before[name])[entry])
    assert alone == pytest.approx(theta + 0.25, abs=1e-6)
    assert both == pytest.approx(theta + 0.25 + float(sft.entries(name)[1][0]), abs=1e-6)
    assert all(torch.equal(before[key], parameter) for key, parameter in parameters.items())


def _file(source: SourceLanguage) -> Any:
    from sftkit.format.files import SftFile

    return SftFile(source.sft)


def test_phi_is_what_a_plain_loop_over_dense_models_learns(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage]
) -> None:
    found = learned(base, *sources, method="random", eval_every=6, accumulate=2).sft
    made = settings_for("pos", base=base, base_name="pico", sources=sources, device="cpu")
    ready = load(made, Observer())
    model, parameters = ready.tunable.model, backbone_parameters(ready.tunable.model)
    theta = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    dense = [_dense(_file(source), theta) for source in sources]
    where = {name: torch.tensor(found.entries(name)[0]) for name in found.names}
    phi = {name: torch.zeros(len(at), requires_grad=True) for name, at in where.items()}
    head = [p for n, p in model.named_parameters() if n.startswith("classifier")]
    optimizer = torch.optim.AdamW([*phi.values(), *head], lr=1e-2, weight_decay=0.0)
    collate, order = (
        objective_of("pos").collator(ready.data.tokenizer, 42),
        ready.data.order.seeded(derived(42, "phase 2")),
    )
    draws = [order.number(epoch, i) for epoch in range(20) for i in range(len(order))]
    model.train()
    for step in range(6):
        batches = [draws[i : i + 8] for i in range(16 * step, 16 * step + 16, 8)]
        made_up = [collate([ready.data.features[n % len(ready.data.features)] for n in numbers]) for numbers in batches]
        labels = sum(int((batch["labels"] != -100).sum()) for batch in made_up)
        for numbers, batch in zip(batches, made_up, strict=True):
            phi_l = dense[order.source(numbers[0])]
            weights = {
                name: (theta[name] + phi_l[name]).flatten().index_add(0, where[name], phi[name]).view_as(theta[name])
                if name in phi
                else theta[name] + phi_l[name]
                for name in theta
            }
            _loss(model, weights, batch, labels).backward()
        torch.nn.utils.clip_grad_norm_([*phi.values(), *head], 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (6 - step) / 6
        optimizer.step()
        optimizer.zero_grad()
    for name in found.names:
        np.testing.assert_allclose(found.entries(name)[1], phi[name].detach().numpy(), atol=2e-5)


def _dense(sft: Any, theta: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    made = {name: torch.zeros_like(tensor) for name, tensor in theta.items()}
    for name in set(sft.names) & set(made):
        at, values = (torch.tensor(array) for array in sft.entries(name))
        made[name].view(-1)[at] = values
    return made


def test_l1_pulls_towards_theta_and_not_away_from_the_sources(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage]
) -> None:
    # so strong a pull that nothing but φ_L could be left in φ
    sft = learned(base, *sources, l1=1e6, lr=1e-4, steps=4).sft
    assert max(float(np.abs(matrix.data).max()) for matrix in sft.parameters.values()) < 2e-3


@pytest.mark.parametrize("selection", ["full", "streaming"])
def test_activations_that_are_computed_twice_are_so_under_the_same_sft(
    selection: str, base: Path, sources: tuple[SourceLanguage, SourceLanguage]
) -> None:
    once, twice = (
        learned(base, *sources, selection=selection, checkpoint_gradients=again).sft for again in (False, True)
    )
    assert once.names == twice.names
    for name in once.names:
        assert np.array_equal(once.entries(name)[0], twice.entries(name)[0])
        assert np.array_equal(once.entries(name)[1], twice.entries(name)[1])


def test_all_sources_are_recorded(base: Path, sources: tuple[SourceLanguage, SourceLanguage]) -> None:
    sft = learned(base, *sources, steps=1).sft
    assert sft.metadata.trained_with == tuple(read(source.sft).digest for source in sources)
    assert [each["name"] for each in sft.metadata.training["sources"]] == ["l0", "l1"]


def test_a_run_that_was_interrupted_ends_with_the_same_phi(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage], tmp_path: Path
) -> None:
    whole = learned(base, *sources, temperature=2.0).sft
    with pytest.raises(KeyboardInterrupt):
        learned(base, *sources, temperature=2.0, observer=EndAt(8), run_dir=tmp_path / "run")
    assert learned(base, *sources, temperature=2.0, run_dir=tmp_path / "run").sft.digest == whole.digest


def test_every_batch_is_of_one_source(base: Path, sources: tuple[SourceLanguage, SourceLanguage]) -> None:
    made = settings_for("pos", base=base, base_name="pico", sources=sources, device="cpu", batch_size=4)
    order: Order = load(made, Observer()).data.order
    assert len(order) % 4 == 0
    numbers = list(FirstDraws(order, 2 * len(order)))
    assert all(len({order.source(n) for n in numbers[i : i + 4]}) == 1 for i in range(0, len(numbers), 4))


def test_relaxed_masks_are_refused(sources: tuple[SourceLanguage, SourceLanguage]) -> None:
    with pytest.raises(SettingsError, match="diff"):
        settings_for("pos", sources=sources, method="diff")


def test_from_the_command_line_alone_or_beside_a_tasks_own_files(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage], tmp_path: Path
) -> None:
    first, second = (f"{source.name}={source.sft}:{source.data}" for source in sources)
    common = ("--base", base, "--steps", "1", "--k", "20", "--device", "cpu", "--quiet")
    alone = sftkit(
        "train", "--objective", "pos", "--source", first, "--source", second, *common, "-o", tmp_path / "a.sft"
    )
    beside = sftkit("train", "--pos", sources[0].data, "--source", second, *common, "-o", tmp_path / "b.sft")
    assert (alone.status, beside.status) == (0, 0), alone.stderr + beside.stderr
    assert [len(read(tmp_path / name).metadata.trained_with) for name in ("a.sft", "b.sft")] == [2, 1]


class _Scoring(Observer):
    """Keeps how many held-out examples the plan has, and what is told while they are scored."""

    def __init__(self) -> None:
        self.dev, self.told = 0, list[tuple[int, int]]()

    def planned(self, plan: RunPlan) -> None:
        self.dev = plan.dev

    def scoring(self, done: int, total: int) -> None:
        self.told.append((done, total))


def test_the_count_while_scoring_is_of_the_examples_that_the_header_tells_of_all_sources(
    base: Path, sources: tuple[SourceLanguage, SourceLanguage]
) -> None:
    seen = _Scoring()
    learned(base, *sources, observer=seen, steps=1, k=10)
    assert {total for _, total in seen.told} == {seen.dev}
    assert max(done for done, _ in seen.told) == seen.dev
