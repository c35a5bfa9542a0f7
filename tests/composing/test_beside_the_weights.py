"""What lies beside a base's weights goes with the composed model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sftkit.algebra.arithmetic import Weighted
from sftkit.composing.compose import compose
from sftkit.composing.subtract import subtract_from_model
from sftkit.errors import OutputExistsError
from tests.helpers.build import make_sft
from tests.helpers.pico import save_base

CARRIED = {
    "modules.json": json.dumps([{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Dense"}, {"path": "3_Normalize"}]),
    "1_Pooling/config.json": "{}",
    "2_Dense/config.json": "{}",
    "2_Dense/model.safetensors": "weights of a layer of its own",
    "config_sentence_transformers.json": "{}",
    "sentence_bert_config.json": "{}",
    "preprocessor_config.json": "{}",
    "processor_config.json": "{}",
    "chat_template.jinja": "{{ x }}",
    "additional_chat_templates/tools.jinja": "{{ y }}",
    "generation_config.json": "{}",
    "added_tokens.json": "{}",
    "modeling_novel.py": "raise SystemExit('never run')",
    "LICENSE": "as it is",
    "colbert_linear.pt": "a projection",
    "lang2id.txt": "a list of languages",
}
LEFT = ("README.md", "pytorch_model.bin", "optimizer.pt", "onnx/model.onnx", "checkpoint-10/config.json", ".git/HEAD")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    source = save_base(tmp_path / "base")
    for name, text in CARRIED.items() | dict.fromkeys(LEFT, "").items():
        (source / name).parent.mkdir(exist_ok=True)
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
