"""Python code that comes with a model runs only where that is asked for, and nobody is asked on standard input."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

import sftkit
from sftkit.errors import CheckpointError
from sftkit.modeling.load import load_model
from tests.cli.run import sftkit as run
from tests.cli.run import train
from tests.helpers import pico
from tests.helpers.build import save_sft

PACKAGE = Path(sftkit.__file__).parent
_CODE = """
from pathlib import Path
from transformers import BertConfig, BertForMaskedLM, BertForTokenClassification, PreTrainedTokenizerFast

Path({marker!r}).write_text("ran")


class StrangeConfig(BertConfig):
    model_type = "strange"


class StrangeTagger(BertForTokenClassification):
    config_class = StrangeConfig


class StrangeLm(BertForMaskedLM):
    config_class = StrangeConfig


class StrangeTokenizer(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A BERT under a name that transformers does not know, with the code that does; the code leaves a mark."""
    base = pico.save_base(tmp_path / "strange")
    (base / "strange.py").write_text(_CODE.format(marker=str(tmp_path / "ran")))
    config = json.loads((base / "config.json").read_text())
    names = {"AutoConfig": "Config", "AutoModelForTokenClassification": "Tagger", "AutoModelForMaskedLM": "Lm"}
    config |= {"model_type": "strange", "auto_map": {name: f"strange.Strange{own}" for name, own in names.items()}}
    (base / "config.json").write_text(json.dumps(config))
    return base


@pytest.fixture
def _yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who says yes to everything, and is not to be asked."""

    def asked(prompt: str = "") -> str:
        pytest.fail(f"asked: {prompt}")

    monkeypatch.setattr("builtins.input", asked)


COMMANDS: dict[str, Callable[[Path, Path], tuple[object, ...]]] = {
    "evaluate": lambda base, corpus: ("evaluate", base, "--mlm", corpus),
    "predict": lambda base, corpus: ("predict", base, "--mlm", corpus),
    "train": lambda base, corpus: ("train", "--mlm", corpus, "--base", base, "-o", base.parent / "x.sft"),
    "checkpointing": lambda base, corpus: (
        "train", "--mlm", corpus, "--base", base, "-o", base.parent / "x.sft", "--gradient-checkpointing"
    ),
}  # fmt: skip


@pytest.mark.usefixtures("_yes")
@pytest.mark.parametrize("command", COMMANDS)
def test_code_that_comes_with_a_model_is_not_run_unasked(command: str, strange: Path, corpus: Path) -> None:
    done = run(*COMMANDS[command](strange, corpus))
    assert (done.status, done.stdout) == (1, "")
    assert "none is run unasked" in done.stderr
    assert "--trust-remote-code" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (strange.parent / "ran").exists()


@pytest.mark.usefixtures("_yes")
def test_code_that_comes_with_a_tokenizer_is_not_run_unasked(strange: Path, treebank: Path) -> None:
    (strange / "config.json").unlink()
    config = json.loads((strange / "tokenizer_config.json").read_text())
    config |= {"tokenizer_class": "StrangeTokenizer", "auto_map": {"AutoTokenizer": [None, "strange.StrangeTokenizer"]}}
    (strange / "tokenizer_config.json").write_text(json.dumps(config))
    run("data", "--pos", treebank, "--base", strange)  # transformers has a tokenizer of its own for such files
    assert not (strange.parent / "ran").exists()
    assert run("data", "--pos", treebank, "--base", strange, "--trust-remote-code").status == 0
    assert (strange.parent / "ran").exists()


def test_where_it_is_asked_for_the_code_is_run_and_the_model_trained_and_scored(strange: Path, corpus: Path) -> None:
    sft = strange.parent / "x.sft"
    done = train("--mlm", corpus, "--base", strange, "-o", sft, "--trust-remote-code")
    if "without numbers while loading" in done.stderr:
        pytest.skip(f"transformers {transformers.__version__} does not load tied classes of other people's code")
    assert done.status == 0, done.stderr
    assert (strange.parent / "ran").exists()
    for command in ("evaluate", "predict"):
        done = run(command, strange, sft, "--mlm", corpus, "--trust-remote-code", "--device", "cpu")
        assert done.status == 0, done.stderr


@pytest.mark.usefixtures("_yes")
def test_compose_copies_the_code_and_does_not_run_it(strange: Path) -> None:
    config = (strange / "config.json").read_text()
    (strange / "config.json").write_text(config.replace('"strange"', '"bert"'))
    sft = save_sft(strange.parent / "x.sft", strange)
    (strange / "config.json").write_text(config)
    done = run("compose", strange, sft, "-o", strange.parent / "model", "--force")
    assert done.status == 0, done.stderr
    assert (strange.parent / "model" / "strange.py").read_bytes() == (strange / "strange.py").read_bytes()
    assert "strange" not in sys.modules
    assert not (strange.parent / "ran").exists()


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation", "_experts_implementation_internal"])
def test_code_on_the_hub_that_a_config_names_is_not_fetched(key: str, tmp_path: Path) -> None:
    base = pico.save_base(tmp_path / "base")
    config = json.loads((base / "config.json").read_text()) | {key: "somebody/kernel"}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=rf"{key} names code on the hub .'somebody/kernel'.*trust-remote-code"):
        load_model(base, transformers.AutoModelForMaskedLM)


def test_every_call_that_loads_with_transformers_says_whether_code_may_run() -> None:
    silent = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "from_pretrained"
        and "trust_remote_code" not in {keyword.arg for keyword in call.keywords}
    ]
    assert silent == []


def test_all_loading_is_done_in_one_place() -> None:
    callers = {
        path.name
        for path in PACKAGE.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained"
    }
    assert callers == {"loading.py"}
