"""Models of which a class holds a part only, or that hold several models: T5's encoder, an encoder with a decoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import sftkit
from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.composing.compose import compose
from sftkit.composing.difference import difference
from sftkit.errors import CheckpointError, FormatError, MismatchError
from sftkit.format.files import SftFile
from tests.composing.test_checkpoint_kinds import renamed, rewritten
from tests.helpers.families import make

PARTS = {
    "T5ForTokenClassification": "T5ForConditionalGeneration",
    "FunnelForSequenceClassification": "FunnelForMaskedLM",
    "CLIPForImageClassification": "CLIPModel",
}
TYPES = {"T5": "t5", "Funnel": "funnel", "CLIP": "clip"}


def tuned_as(name: str, base: Path, folder: Path) -> Any:
    """A model of a class, made of a base's weights and moved."""
    torch.manual_seed(1)
    model: Any = getattr(transformers, name).from_pretrained(base)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_((torch.rand_like(parameter) < 0.2) * 0.25)
    model.config.architectures = [name]
    model.save_pretrained(folder)
    return model


def there_and_back(tuned: Path, base: Path, folder: Path) -> tuple[Any, Path]:
    """The report on tuned − base, and base + that."""
    report = difference(tuned, base, folder / "d.sft")
    compose(base, [Weighted(SftFile(folder / "d.sft"), 1.0, "d.sft")], folder / "out")
    return report, folder / "out"


def state_of(name: str, folder: Path) -> dict[str, torch.Tensor]:
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    state: dict[str, torch.Tensor] = model.state_dict()
    return state


def same(name: str, one: Path, other: Path) -> bool:
    wanted, found = state_of(name, one), state_of(name, other)
    return all(torch.equal(found[key], tensor) for key, tensor in wanted.items())


def small_clip() -> Any:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 120, "max_position_embeddings": 16, "eos_token_id": 3}
    vision = {**sizes, "image_size": 8, "patch_size": 4}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))


@pytest.mark.parametrize("name", PARTS)
def test_a_head_on_a_part_of_the_base_is_had_again_and_the_rest_stays_as_it_is(name: str, tmp_path: Path) -> None:
    family = next(each for each in sorted(TYPES, key=len, reverse=True) if name.startswith(each))
    (make(TYPES[family]) if family != "CLIP" else small_clip()).save_pretrained(tmp_path / "base")
    tuned_as(name, tmp_path / "base", tmp_path / "tuned")
    report, out = there_and_back(tmp_path / "tuned", tmp_path / "base", tmp_path)
    assert report.exact
    assert "class has no" in " ".join(report.notes)
    assert same(name, tmp_path / "tuned", out)


def test_what_the_base_lacks_is_no_part_of_it(tmp_path: Path) -> None:
    make("t5").save_pretrained(tmp_path / "tuned")
    tuned_as("T5EncoderModel", tmp_path / "tuned", tmp_path / "base")
    with pytest.raises(MismatchError, match=r"decoder.*is missing in .*base"):
        difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")


def test_a_model_of_the_same_class_lacks_no_part(tmp_path: Path) -> None:
    make("t5").save_pretrained(tmp_path / "base")
    without = rewritten(
        tmp_path / "base", tmp_path / "cut", lambda state: {k: t for k, t in state.items() if "decoder" not in k}
    )
    with pytest.raises(MismatchError, match=r"decoder.*is missing in .*cut"):
        difference(without, tmp_path / "base", tmp_path / "d.sft")


def test_an_encoder_loaded_alone_is_told_why_it_is_not_known(tmp_path: Path) -> None:
    make("t5").save_pretrained(tmp_path / "base")
    model = tuned_as("T5ForTokenClassification", tmp_path / "base", tmp_path / "tuned")
    difference(tmp_path / "tuned", tmp_path / "base", tmp_path / "d.sft")
    fresh: Any = transformers.T5ForTokenClassification.from_pretrained(tmp_path / "base")
    with pytest.raises(MismatchError, match=r"decoder is not loaded.*force=True"):
        sftkit.apply(fresh, tmp_path / "d.sft")
    sftkit.apply(fresh, tmp_path / "d.sft", force=True)
    assert torch.equal(fresh.transformer.shared.weight, model.transformer.shared.weight)


def test_a_model_of_an_image_encoder_and_a_tied_decoder_is_had_again(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
    }  # fmt: skip
    encoder = transformers.ViTConfig(**sizes, image_size=8, patch_size=4)
    decoder = transformers.BertConfig(**sizes, vocab_size=120, is_decoder=True, add_cross_attention=True)
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    name = "VisionEncoderDecoderModel"
    transformers.VisionEncoderDecoderModel(config=config).save_pretrained(tmp_path / "base")
    tuned_as(name, tmp_path / "base", tmp_path / "tuned")
    report, out = there_and_back(tmp_path / "tuned", tmp_path / "base", tmp_path)
    assert report.exact
    assert same(name, tmp_path / "tuned", out)


def test_an_output_matrix_within_a_model_of_models_is_one_parameter(tmp_path: Path) -> None:
    text: dict[str, Any] = {
        "vocab_size": 120, "hidden_size": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2,
    }  # fmt: skip
    vision = {"hidden_size": 16, "d_kv": 8, "d_ff": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Pix2StructConfig(text_config=text, vision_config=vision)
    name = "Pix2StructForConditionalGeneration"
    transformers.Pix2StructForConditionalGeneration(config).save_pretrained(tmp_path / "base")
    tuned_as(name, tmp_path / "base", tmp_path / "tuned")
    report, out = there_and_back(tmp_path / "tuned", tmp_path / "base", tmp_path)
    assert report.exact
    assert same(name, tmp_path / "tuned", out)


def test_a_model_of_which_saving_renames_a_part_beside_the_prefix_is_known_in_memory(tmp_path: Path) -> None:
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
    text = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
            "num_key_value_heads": 2, "vocab_size": 120, "rope_parameters": rope}  # fmt: skip
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 16, "num_heads": 2, "mlp_ratio": 2, "patch_size": 4}
    config = transformers.Qwen2VLConfig(text_config=text, vision_config=vision)
    name = "Qwen2VLForConditionalGeneration"
    transformers.Qwen2VLForConditionalGeneration(config).save_pretrained(tmp_path / "base")
    tuned_as(name, tmp_path / "base", tmp_path / "tuned")
    _, out = there_and_back(tmp_path / "tuned", tmp_path / "base", tmp_path)
    model: Any = transformers.Qwen2VLForConditionalGeneration.from_pretrained(tmp_path / "base")
    wanted = state_of(name, out)
    with sftkit.read(tmp_path / "d.sft").applied_to(model):
        assert all(torch.equal(tensor, wanted[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(("family", "head"), [("bros", "BrosForTokenClassification"), ("mra", "MraForMaskedLM")])
def test_buffers_that_a_class_stores_and_misses_stay(family: str, head: str, tmp_path: Path) -> None:
    model = make(family)
    plain: Any = getattr(model, family, model)
    plain.save_pretrained(tmp_path / "base")
    tuned_as(head, tmp_path / "base", tmp_path / "tuned")
    _, out = there_and_back(tmp_path / "tuned", tmp_path / "base", tmp_path)
    assert same(head, tmp_path / "tuned", out)


@pytest.mark.parametrize("wrapper", ["model.", "0.auto_model.", "net.encoder."])
def test_names_of_which_transformers_would_load_none_are_refused(wrapper: str, pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", renamed(lambda name: wrapper + name))
    with pytest.raises(CheckpointError, match=r"no bert has: transformers would load none of them"):
        Checkpoint(folder)
    config = json.loads((folder / "config.json").read_text()) | {"auto_map": {"AutoModel": "novel.NovelModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    Checkpoint(folder)  # a Python file that comes along says what its weights are called


def test_a_trainers_checkpoint_is_named_as_such(pico_base: Path, tmp_path: Path) -> None:
    folder = rewritten(pico_base, tmp_path / "x", lambda state: state, pickled=True)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save({"state_dict": state, "epoch": 3}, folder / "pytorch_model.bin")
    with pytest.raises(FormatError, match=r"'state_dict'.*save_pretrained"):
        Checkpoint(folder)


def test_a_class_whose_name_has_for_in_it_is_no_task(tmp_path: Path) -> None:
    plain: Any = make("roformer").get_submodule("roformer")
    plain.save_pretrained(tmp_path / "base")
    tuned_as("RoFormerForMaskedLM", tmp_path / "base", tmp_path / "tuned")
    report, out = there_and_back(tmp_path / "tuned", tmp_path / "base", tmp_path)
    assert report.exact
    assert same("RoFormerForMaskedLM", tmp_path / "tuned", out)


@pytest.mark.parametrize("old", ["base", "tuned", "both"])
def test_norms_of_weights_go_by_their_old_and_new_names(old: str, tmp_path: Path) -> None:
    make("wav2vec2").save_pretrained(tmp_path / "base")
    tuned_as("Wav2Vec2Model", tmp_path / "base", tmp_path / "tuned")
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}

    def older(key: str) -> str:
        for new, name in names.items():
            key = key.replace(new, name)
        return key

    base, tuned = (
        rewritten(tmp_path / each, tmp_path / f"old-{each}", renamed(older))
        if old in (each, "both")
        else tmp_path / each
        for each in ("base", "tuned")
    )
    report, out = there_and_back(tuned, base, tmp_path)
    assert report.exact
    assert same("Wav2Vec2Model", tmp_path / "tuned", out)
    assert SftFile(tmp_path / "d.sft").metadata.base == sftkit_base(
        tmp_path / "base", tmp_path / "tuned", tmp_path, base
    )


def sftkit_base(base: Path, tuned: Path, folder: Path, name: Path) -> Any:
    """What a difference from the base under its new names records of it."""
    difference(tuned, base, folder / "plain.sft", name=str(name))
    return SftFile(folder / "plain.sft").metadata.base
