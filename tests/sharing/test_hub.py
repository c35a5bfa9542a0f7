"""Names that may mean the hub. The hub itself is played by a function: no test touches the network."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from sftkit.errors import CheckpointError, FormatError
from sftkit.sharing.hub import HubAddress, looks_like_hub_id, parse_address, resolve_model, resolve_sft


def test_addresses_come_apart() -> None:
    assert parse_address("hf://o/n") == HubAddress("o/n")
    assert parse_address("hf://o/n@v1.0") == HubAddress("o/n", "v1.0")
    assert parse_address("hf://o/n@v1/sub/x.sft") == HubAddress("o/n", "v1", "sub/x.sft")
    with pytest.raises(FormatError, match="hf://owner/name"):
        parse_address("hf://only")


@pytest.mark.parametrize(
    ("name", "may"), [("bert-base-cased", True), ("o/n", True), ("./dir", False), ("a/b/c", False), ("mt.sft", False)]
)
def test_only_names_that_could_be_ids_are_asked_for(name: str, may: bool) -> None:
    assert looks_like_hub_id(name) == may


def test_a_directory_is_itself(tmp_path: Path) -> None:
    assert resolve_model(str(tmp_path)) == tmp_path


def test_a_model_comes_from_the_hub_with_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def snapshot(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        (tmp_path / "model.safetensors").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert resolve_model("owner/name@abc") == tmp_path
    assert (asked["repo"], asked["revision"]) == ("owner/name", "abc")
    assert not any("bin" in pattern for pattern in asked["allow_patterns"])


def _chosen(names: list[str], patterns: list[str]) -> list[str]:
    """As huggingface_hub chooses: a star stands for any letters, "/" among them."""
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def test_what_a_composed_model_needs_beside_the_weights_is_downloaded_and_no_other_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [
        "config.json", "model-00001-of-00002.safetensors", "model.safetensors.index.json", "tokenizer.model",
        "vocab.txt", "source.spm", "bpe.codes", "qwen.tiktoken", "chat_template.jinja",
        "additional_chat_templates/tools.jinja", "modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors",
        "10_Dense/pytorch_model.bin", "colbert_linear.pt", "modeling_novel.py", "parts/ops.py",
    ]  # fmt: skip
    left = ["tf_model.h5", "onnx/model.onnx", "fp16/model.safetensors", "optimizer.pt", "consolidated.00.pth"]
    asked: list[str] = []

    def snapshot(*_: Any, **options: Any) -> str:
        if options.get("local_files_only"):
            raise LocalEntryNotFoundError("not here yet")
        asked.extend(_chosen([*wanted, *left], options["allow_patterns"]))
        (tmp_path / "model.safetensors").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    resolve_model("owner/name")
    assert asked == wanted


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("several\nlines")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(CheckpointError, match="cannot be reached") as error:
        resolve_model("owner/name")
    assert "\n" not in str(error.value)


def test_a_repo_with_one_sft_needs_no_file_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda *_, **__: ["README.md", "mt.sft"])
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, file, **_: f"/cache/{repo}/{file}")
    assert resolve_sft("hf://o/n") == Path("/cache/o/n/mt.sft")


def test_a_repo_published_as_pytorch_diff_is_an_sft_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda *_, **__: ["README.md", "pytorch_diff.bin"])
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo, file, **_: f"/cache/{repo}/{file}")
    assert resolve_sft("hf://o/n") == Path("/cache/o/n/pytorch_diff.bin")


@pytest.mark.parametrize(
    ("files", "says"),
    [(["a.sft", "b.sft"], "add the file's name"), (["x"], "holds no .sft")],
)
def test_other_repos_are_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch, files: list[str], says: str) -> None:
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda *_, **__: files)
    with pytest.raises(FormatError, match=says):
        resolve_sft("hf://o/n")
