"""Checkpoints as people have them: wrapped, with buffers and copies, of classes with other prefixes.

The measure is what transformers loads: the composed model equals the loaded base plus φ.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.checkpoints.names import is_pooler
from sftkit.composing.bases import check_belongs
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.composing.preview import preview_model
from sftkit.errors import CheckpointError, MismatchError
from sftkit.format.metadata import Base, Metadata
from sftkit.format.sft import CsrDifference, to_csr
from sftkit.modeling.load import load_model
from tests.helpers.build import make_sft
from tests.helpers.families import make
from tests.helpers.pico import make_as

State = dict[str, torch.Tensor]


def rewritten(source: Path, folder: Path, change: Callable[[State], State], *, pickled: bool = False) -> Path:
    """A copy of a model directory with other tensors."""
    folder.mkdir()
    for path in source.iterdir():
        if path.suffix != ".safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    state = {
        name: tensor.contiguous().clone() for name, tensor in change(load_file(source / "model.safetensors")).items()
    }
    if pickled:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", {"format": "pt"})
    return folder


def renamed(change: Callable[[str], str]) -> Callable[[State], State]:
    return lambda state: {change(name): tensor for name, tensor in state.items()}


def plain_sft(base: Path, seed: int = 0) -> CsrDifference:
    """Entries on a few parameters, and neither head nor objective."""
    checkpoint = Checkpoint(base)
    generator = np.random.default_rng(seed)
    parameters = {name: spec for name, spec in checkpoint.parameters.items() if not is_pooler(name)}
    csr = {}
    for name, spec in parameters.items():
        at = np.sort(generator.choice(spec.size, max(1, spec.size // 10), replace=False)).astype(np.int64)
        csr[name] = to_csr(at, generator.standard_normal(len(at)).astype(np.float32), spec, name)
    k = sum(matrix.nnz for matrix in csr.values())
    origin = Base("pico", checkpoint.model_type, None, fingerprint(checkpoint))
    return CsrDifference(csr, Metadata(parameters, k, base=origin, head=checkpoint.architecture or None))


def composed(base: Path, sft: CsrDifference, output: Path) -> Path:
    compose(base, [Weighted(sft, 1.0, "x.sft")], output)
    return output


WRAPPERS: dict[str, Callable[[str], str]] = {
    "torch.compile": lambda name: f"_orig_mod.{name}",
    "DistributedDataParallel": lambda name: f"module.{name}",
    "both": lambda name: f"module._orig_mod.{name}",
    "both, the other way round": lambda name: f"_orig_mod.module.{name}",
    "a compiled layer": lambda name: name.replace("layer.0.", "layer.0._orig_mod."),
    "FSDP": lambda name: f"_fsdp_wrapped_module.{name.replace('layer.0.', 'layer.0._fsdp_wrapped_module.')}",
    "checkpointed layers": lambda name: name.replace("layer.0.", "layer.0._checkpoint_wrapped_module."),
    "PEFT": lambda name: f"base_model.model.{name}",
    "PEFT, a layer": lambda name: f"base_model.model.{name}".replace("query.", "query.base_layer."),
}


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_model_composes_as_the_model_itself(
    wrapper: str, pickled: bool, pico_base: Path, tmp_path: Path
) -> None:
    wrapped = rewritten(pico_base, tmp_path / "wrapped", renamed(WRAPPERS[wrapper]), pickled=pickled)
    assert fingerprint(Checkpoint(wrapped)) == fingerprint(Checkpoint(pico_base))
    sft = make_sft(pico_base)
    expected = load_file(composed(pico_base, sft, tmp_path / "a") / "model.safetensors")
    found = load_file(composed(wrapped, sft, tmp_path / "b") / "model.safetensors")
    assert sorted(found) == sorted(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("around", ["module.", "base_model.model."])
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("part", ["cls.", "bert.encoder.layer.1.", "bert.embeddings.word_embeddings.weight"])
def test_a_wrappers_name_before_some_of_the_weights_is_refused(
    part: str, pickled: bool, around: str, pico_base: Path, tmp_path: Path
) -> None:
    change = renamed(lambda name: around + name if name.startswith(part) else name)
    mixed = rewritten(pico_base, tmp_path / "mixed", change, pickled=pickled)
    with pytest.raises(CheckpointError, match=rf"\d+ of \d+ weights, such as '?{around}{part}.*save_pretrained"):
        Checkpoint(mixed)


def test_a_wrapper_around_a_part_of_the_model_is_refused(pico_base: Path, tmp_path: Path) -> None:
    change = renamed(lambda name: name.replace("bert.encoder.", "bert.encoder.module."))
    with pytest.raises(CheckpointError, match=r"\d+ of \d+ weights, such as '?bert.encoder.module.*module\.…"):
        Checkpoint(rewritten(pico_base, tmp_path / "inside", change))


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapped_model_is_loaded_as_the_model_itself(wrapper: str, pico_base: Path, tmp_path: Path) -> None:
    wrapped = rewritten(pico_base, tmp_path / "wrapped", renamed(WRAPPERS[wrapper]))
    mine, own = (load_model(base, transformers.AutoModelForMaskedLM) for base in (wrapped, pico_base))
    assert mine.fresh == own.fresh
    state = own.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in mine.model.state_dict().items())


def test_a_module_that_an_adapter_replaced_is_the_replacement(pico_base: Path, tmp_path: Path) -> None:
    name = "cls.predictions.bias"

    def change(state: State) -> State:
        kept = {f"base_model.model.{key}": tensor for key, tensor in state.items() if key != name}
        new = {"base_model.model.cls.modules_to_save.default.predictions.bias": state[name] + 1}
        return kept | new | {"base_model.model.cls.original_module.predictions.bias": state[name]}

    found = Checkpoint(rewritten(pico_base, tmp_path / "x", change))
    assert np.array_equal(found.read(name), Checkpoint(pico_base).read(name) + 1)


_LORA = "base_model.model.bert.encoder.layer.0.query.lora_A.default.weight"
LOOSE: dict[str, tuple[str, ...]] = {
    "a LoRA beside its layer": (_LORA,),
    "two adapters": ("cls.modules_to_save.a.bias", "cls.modules_to_save.b.bias"),
}


@pytest.mark.parametrize("kind", LOOSE)
def test_an_adapter_that_is_not_merged_is_refused_with_what_to_do(kind: str, pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state | dict.fromkeys(LOOSE[kind], torch.ones(2)))
    with pytest.raises(CheckpointError, match="merge_and_unload"):
        Checkpoint(folder)


def test_a_folder_that_holds_only_an_adapter_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="a PEFT adapter without its model"):
        Checkpoint(tmp_path)


def test_two_tensors_of_one_name_are_refused(pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(
        pico_base, tmp_path / "x", lambda s: s | {"_orig_mod.cls.predictions.bias": s["cls.predictions.bias"]}
    )
    with pytest.raises(CheckpointError, match="are one tensor"):
        Checkpoint(folder)


BUFFERS: dict[str, tuple[str, str, str, State]] = {
    "gpt2": ("GPT2LMHeadModel", "gpt2", "transformer.h.0.attn.", {
        "bias": torch.tril(torch.ones(1, 1, 64, 64)), "masked_bias": torch.tensor(float("-inf"), dtype=torch.float16)}),
    "gpt_neox": ("GPTNeoXForCausalLM", "gpt_neox", "gpt_neox.layers.0.attention.", {
        "bias": torch.tril(torch.ones(1, 1, 64, 64)).byte(), "masked_bias": torch.tensor(-1e9),
        "rotary_emb.inv_freq": torch.ones(4)}),
    "llama": ("LlamaForCausalLM", "llama", "model.layers.0.self_attn.", {"rotary_emb.inv_freq": torch.ones(4)}),
    "bert": ("BertForMaskedLM", "bert", "bert.embeddings.", {"position_ids": torch.arange(64.0)[None]}),
}  # fmt: skip


@pytest.mark.parametrize("family", BUFFERS)
def test_buffers_of_old_checkpoints_are_no_parameters_whatever_their_dtype(family: str, tmp_path: Path) -> None:
    class_name, model_type, at, buffers = BUFFERS[family]
    make_as(class_name, model_type).save_pretrained(tmp_path / "base")
    old = rewritten(tmp_path / "base", tmp_path / "old", lambda s: s | {at + name: t for name, t in buffers.items()})
    assert Checkpoint(old).parameters == Checkpoint(tmp_path / "base").parameters
    assert fingerprint(Checkpoint(old)) == fingerprint(Checkpoint(tmp_path / "base"))
    report = difference(old, tmp_path / "base", tmp_path / "d.sft")
    assert (report.entries, report.exact) == (0, True)


TIED = {
    "t5": ("T5ForConditionalGeneration", "shared.weight", ("encoder.embed_tokens.weight", "lm_head.weight")),
    "bart": ("BartForConditionalGeneration", "model.shared.weight",
             ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")),
    "gpt2": ("GPT2LMHeadModel", "transformer.wte.weight", ("lm_head.weight",)),
    "bert": ("BertForMaskedLM", "bert.embeddings.word_embeddings.weight", ("cls.predictions.decoder.weight",)),
}  # fmt: skip


@pytest.mark.parametrize("way", ["copies", "only the last copy"])
@pytest.mark.parametrize("family", TIED)
def test_stored_copies_of_tied_weights_are_ties(family: str, way: str, tmp_path: Path) -> None:
    class_name, main, copies = TIED[family]
    make_as(class_name, family).save_pretrained(tmp_path / "base")

    def change(state: State) -> State:
        if way == "copies":
            return state | dict.fromkeys(copies, state[main])
        return {name: tensor for name, tensor in state.items() if name != main} | {copies[-1]: state[main]}

    other = rewritten(tmp_path / "base", tmp_path / "other", change)
    assert fingerprint(Checkpoint(other)) == fingerprint(Checkpoint(tmp_path / "base"))
    sft = plain_sft(tmp_path / "base")
    sft = CsrDifference(
        sft.parameters, replace(sft.metadata, objective="pos")
    )  # no language: the output matrix stays tied
    loaded = [
        getattr(transformers, class_name).from_pretrained(composed(base, sft, tmp_path / f"{base.name}-out"))
        for base in (tmp_path / "base", other)
    ]
    mine, theirs = (model.state_dict() for model in loaded)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert loaded[1].get_output_embeddings().weight is loaded[1].get_input_embeddings().weight


@pytest.mark.parametrize("family", ["codegen", "falcon", "gemma", "gptj", "m2m_100", "mbart", "modernbert", "xglm"])
def test_with_all_its_buffers_and_copies_stored_a_model_has_the_same_fingerprint(family: str, tmp_path: Path) -> None:
    model = make(family)
    model.save_pretrained(tmp_path / "base")
    more = {**dict(model.named_buffers()), **{name: model.get_parameter(name) for name in model.all_tied_weights_keys}}
    old = rewritten(tmp_path / "base", tmp_path / "old", lambda state: {**state, **more})
    assert fingerprint(Checkpoint(old)) == fingerprint(Checkpoint(tmp_path / "base"))


def test_an_sft_older_than_what_fingerprints_cover_is_told_so(tmp_path: Path) -> None:
    make_as("T5ForConditionalGeneration", "t5").save_pretrained(tmp_path / "base")
    copy = "encoder.embed_tokens.weight"
    old = rewritten(tmp_path / "base", tmp_path / "old", lambda state: state | {copy: state["shared.weight"]})
    sft = plain_sft(old)
    other = replace(sft.metadata, base=Base("old", "t5", None, "0" * 32))
    listed = replace(other, parameters={**other.parameters, copy: other.parameters["shared.weight"]})
    with pytest.raises(MismatchError, match=f"counts {copy} among the parameters"):
        composed(old, CsrDifference(sft.parameters, listed), tmp_path / "out")
    (line,) = preview_model(old, [Weighted(CsrDifference(sft.parameters, listed))]).problems
    assert f"counts {copy} among the parameters" in line
    for check in (
        lambda force: compose(
            old, [Weighted(CsrDifference(sft.parameters, other))], tmp_path / f"o{force}", force=force
        ),
        lambda force: check_belongs(old, [Weighted(CsrDifference(sft.parameters, other))], force=force),
    ):
        with pytest.raises(MismatchError, match=f"fingerprints cover now: {copy}, which the base stores"):
            check(False)
        check(True)
    with pytest.raises(MismatchError) as error:
        composed(tmp_path / "base", CsrDifference(sft.parameters, other), tmp_path / "out")
    assert "cover now" not in str(error.value)


PREFIXES = {
    "T5ForSequenceClassification": ("t5", "T5ForConditionalGeneration"),
    "T5ForTokenClassification": ("mt5", "MT5ForConditionalGeneration"),
    "LlamaForQuestionAnswering": ("llama", "LlamaForCausalLM"),
    "BartForSequenceClassification": ("bart", "BartForConditionalGeneration"),
    "ViTForImageClassification": ("vit", "ViTModel"),
    "GPTNeoXForTokenClassification": ("gpt_neox", "GPTNeoXForCausalLM"),
}


@pytest.mark.parametrize("head_class", PREFIXES)
def test_a_head_on_a_base_of_another_class_loads_whole(head_class: str, tmp_path: Path) -> None:
    model_type, base_class = PREFIXES[head_class]
    make_as(base_class, model_type).save_pretrained(tmp_path / "base")
    tuned = make_as(head_class, model_type, seed=1)
    prefix = tuned.base_model_prefix
    head = {n: t.numpy() for n, t in tuned.state_dict().items() if not n.startswith(f"{prefix}.")}
    sft = plain_sft(tmp_path / "base")
    task = CsrDifference(sft.parameters, replace(sft.metadata, objective="task", head=head_class), head)
    model_class = getattr(transformers, head_class)
    out = composed(tmp_path / "base", task, tmp_path / "out")
    model, info = model_class.from_pretrained(out, output_loading_info=True)
    assert not info["missing_keys"]
    assert all("decoder" in key for key in info["unexpected_keys"])  # of a T5 whose head only has an encoder
    backbone, before = model.get_submodule(prefix).state_dict(), Checkpoint(tmp_path / "base")
    for name in backbone.keys() & sft.parameters.keys():
        change = torch.from_numpy(sft.parameters[name].toarray()).view(backbone[name].shape)
        theta = torch.from_numpy(before.read(before.backbone[name]))
        assert torch.equal(backbone[name], (theta.double() + change.double()).float()), name


def test_a_head_on_a_model_that_transformers_lacks_is_refused(pico_base: Path, tmp_path: Path) -> None:
    base = rewritten(pico_base, tmp_path / "base", lambda state: state)
    config = json.loads((base / "config.json").read_text()) | {"model_type": "novel", "architectures": ["NovelModel"]}
    (base / "config.json").write_text(json.dumps(config))
    sft = plain_sft(base)
    task = CsrDifference(sft.parameters, replace(sft.metadata, objective="pos", head="NovelForTokenClassification"), {
        "classifier.weight": np.zeros((3, 16), np.float32)})  # fmt: skip
    with pytest.raises(CheckpointError, match="transformers has no such model"):
        composed(base, task, tmp_path / "out")
    assert not (tmp_path / "out").exists()
