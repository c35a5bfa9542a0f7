"""What lies beside a base's weights goes with the composed model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import fingerprint
from sftkit.composing.compose import compose
from sftkit.composing.subtract import subtract_from_model
from sftkit.errors import CheckpointError, OutputExistsError
from tests.helpers.build import make_sft
from tests.helpers.pico import save_base

MODULES = [
    "",
    "1_Pooling",
    "2_Dense",
    "3_Normalize",
    "./4_LayerNorm",
    "more/5_Dense/",
    "more\\6_Dense",
    "original/7_Dense",
]
CARRIED = {
    "modules.json": json.dumps([{"path": path} for path in MODULES]),
    "1_Pooling/config.json": "{}",
    "2_Dense/config.json": "{}",
    "2_Dense/model.safetensors": "weights of a layer of its own",
    "4_LayerNorm/pytorch_model.bin": "weights",
    "more/5_Dense/model.safetensors": "weights",
    "more/6_Dense/model.safetensors": "weights",
    "original/7_Dense/model.safetensors": "weights",
    "config_sentence_transformers.json": "{}",
    "sentence_bert_config.json": "{}",
    "preprocessor_config.json": "{}",
    "processor_config.json": "{}",
    "chat_template.jinja": "{{ x }}",
    "additional_chat_templates/tools.jinja": "{{ y }}",
    "generation_config.json": "{}",
    "added_tokens.json": "{}",
    "modeling_novel.py": "raise SystemExit('never run')",
    "adapter_layers.py": "raise SystemExit('never run')",
    "parts/deep/ops.py": "raise SystemExit('never run')",
    "LICENSE": "as it is",
    "colbert_linear.pt": "a projection",
    "lang2id.txt": "a list of languages",
    "source.spm": "pieces",
    "bpe.codes": "pieces",
    "spiece.model": "pieces",
    "speaker_embeddings/voice.npy": "of a processor",
}
LEFT = (
    "README.md", "pytorch_model.bin", "optimizer.pt", "onnx/model.onnx", "checkpoint-10/config.json", ".git/HEAD",
    "tf_model.h5.index.json", "flax_model-00001-of-00002.msgpack", "model.ckpt.index", "model.ckpt.data-00000-of-00001",
    "consolidated.00.pth", "saved_model/1/saved_model.pb", "saved_model/1/variables/variables.index", "model.pte",
    "openvino_model.xml", "model.onnx.data", "model.onnx_data_1", "model.safetensors.old", "mlx/config.json",
    "model.mlpackage/Manifest.json", "mlx/weights.npz", "pytorch_model_fsdp_0/__0_0.distcp", "mt.sft",
)  # fmt: skip
OTHER_MODEL = {"mlx/config.json": '{"model_type": "bert"}'}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    source = save_base(tmp_path / "base")
    for name, text in (dict.fromkeys(LEFT, "") | OTHER_MODEL | CARRIED).items():
        (source / name).parent.mkdir(exist_ok=True, parents=True)
        (source / name).write_text(text)
    (source / "3_Normalize").mkdir()
    return source


def check(folder: Path) -> None:
    assert {name: (folder / name).read_text() for name in CARRIED} == CARRIED
    assert (folder / "3_Normalize").is_dir()
    assert not any((folder / name).exists() for name in LEFT)


def test_everything_but_weights_and_what_is_written_anew_is_carried_along(base: Path, tmp_path: Path) -> None:
    sft = Weighted(make_sft(base), 1.0, "x.sft")
    compose(base, [sft], tmp_path / "out")
    check(tmp_path / "out")
    (tmp_path / "out" / "sftkit.json").unlink()
    subtract_from_model(tmp_path / "out", [sft], tmp_path / "back")
    check(tmp_path / "back")


def test_a_composed_model_is_replaced_with_all_that_was_carried_along_and_with_nothing_else(
    base: Path, tmp_path: Path
) -> None:
    sft = Weighted(make_sft(base), 1.0, "x.sft")
    compose(base, [sft], tmp_path / "out")
    compose(base, [sft], tmp_path / "out", overwrite=True)
    check(tmp_path / "out")
    for name in ("1_Pooling/mine.txt", "results.csv", "4_Mine"):
        (tmp_path / "out" / name).write_text("") if "." in name else (tmp_path / "out" / name).mkdir()
        with pytest.raises(OutputExistsError, match=f"holds {name.split('/')[0]}, which is no part of a model"):
            compose(base, [sft], tmp_path / "out", overwrite=True)
        (tmp_path / "out" / name).unlink() if "." in name else (tmp_path / "out" / name).rmdir()


def test_links_are_followed_as_the_hubs_cache_has_them_and_never_back(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    (tmp_path / "blobs").mkdir()
    for number, path in enumerate(sorted(base.iterdir())):
        path.rename(tmp_path / "blobs" / str(number))
        path.symlink_to(f"../blobs/{number}")
    (base / "a").mkdir()
    (base / "a" / "notes.txt").write_text("x")
    for link in ("again", "a/up", "a/itself"):
        (base / link).symlink_to(base / "a" if link == "a/itself" else base)
    compose(base, [Weighted(make_sft(base), 1.0, "x.sft")], tmp_path / "out")
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*"))
    written = ["config.json", "model.safetensors", "sftkit.json", "tokenizer.json", "tokenizer_config.json"]
    assert made == ["a", "a/notes.txt", *written]
    assert not any((tmp_path / "out" / name).is_symlink() for name in made)


@pytest.mark.parametrize(
    "wrong", ["a link to nothing", "a model of its own", "outside the model", "not a list", "not UTF-8"]
)
def test_what_cannot_go_along_rightly_is_refused_and_nothing_is_written(wrong: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    if wrong == "a link to nothing":
        (base / "vocab.txt").symlink_to(tmp_path / "nowhere")
    elif wrong == "not UTF-8":
        try:
            (base / "\udcff.txt").touch()
        except OSError:
            pytest.skip("this file system has no such names")
    elif wrong == "a model of its own":
        save_base(base / "0_Transformer", seed=1)
        (base / "modules.json").write_text('[{"path": "0_Transformer"}]')
    else:
        (base / "modules.json").write_text('[{"path": "../1_Dense"}]' if wrong == "outside the model" else "[1]")
    with pytest.raises(CheckpointError, match=wrong):
        compose(base, [Weighted(make_sft(base), 1.0, "x.sft")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_base_that_is_had_back_has_its_shards_whatever_they_are_called(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base")
    (base / "model.safetensors").rename(base / "part one.safetensors")
    keys = Checkpoint(save_base(tmp_path / "same")).keys
    index = {"metadata": {}, "weight_map": dict.fromkeys(keys, "part one.safetensors")}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))
    sft = make_sft(base)
    compose(base, [Weighted(sft, 1.0, "x.sft"), Weighted(sft, -1.0, "x.sft")], tmp_path / "out")
    assert fingerprint(Checkpoint(tmp_path / "out")) == fingerprint(Checkpoint(base))
