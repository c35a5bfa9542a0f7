"""The one place where transformers loads what a stranger wrote: configs, tokenizers and models.

Code that comes with a model is run only where that was asked for, and nobody is asked on standard input. What is looked
at first: that files are regular ones and well-formed, and that numbers are such as a model can have. What transformers
raises then, whatever its kind, becomes one line that names the file and, where it shows, the field.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, PreTrainedConfig, PreTrainedTokenizerBase
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER
from transformers.utils import logging as transformers_logging

from sftkit.checkpoints.config import quoted, read_config
from sftkit.errors import CheckpointError, SftkitError
from sftkit.storage.documents import check_regular, read_json

#: What transformers opens beside the weights.
_OPENED = ("*.json", "*.jinja", "*.txt", "*.model", "*.py")
_TOKENIZER = "tokenizer.json"
#: Settings of which there are as many parts as they say, and what no model has of any of them.
_COUNTS, _MOST = re.compile(r"(layers?|labels|experts|blocks?|heads?|groups|stages|depths?|codebooks)$"), 1 << 17
#: Settings that may name code on the hub which transformers would fetch and run.
_KERNELS = re.compile(r"^_?(attn|experts)_implementation(_internal)?$")
_ASK = "Read it first; --trust-remote-code runs it."


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' load reports, bars and warnings: what matters in them is checked and said by sftkit."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def pretrained_config(path: Path, *, trust_remote_code: bool = False) -> PreTrainedConfig:
    """Transformers' config of a model directory.

    Args:
        path: the directory.
        trust_remote_code: run the Python code that comes with it, if its config says so.

    Raises:
        CheckpointError: if it cannot be loaded.
    """
    with understood(path, "its config", trust_remote_code):
        config: PreTrainedConfig = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    return config


def pretrained_tokenizer(path: Path, *, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """Transformers' tokenizer of a model directory, whose config it may lack.

    Args:
        path: the directory.
        trust_remote_code: as :func:`pretrained_config`.

    Raises:
        CheckpointError: if it cannot be loaded.
    """
    with understood(path, "its tokenizer", trust_remote_code):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
        len(tokenizer.get_vocab())  # a vocabulary of the wrong kind shows here
        if tokenizer.is_fast:  # how a batch is cut and filled is said here, and not by a file
            tokenizer.backend_tokenizer.no_padding()
            tokenizer.backend_tokenizer.no_truncation()
        if not tokenizer.model_max_length >= 1:  # none; transformers would warn of every text
            tokenizer.model_max_length = VERY_LARGE_INTEGER
    return tokenizer


def pretrained_model(
    path: Path, maker: Any, called: str = "it", *, trust_remote_code: bool = False, **options: Any
) -> Any:
    """What ``from_pretrained`` of an Auto class or a model class gives.

    Args:
        path: a model directory.
        maker: the class.
        called: what it is loaded as, for errors.
        trust_remote_code: as :func:`pretrained_config`.
        options: further arguments of ``from_pretrained``.

    Raises:
        CheckpointError: if it cannot be loaded.
    """
    with understood(path, called, trust_remote_code):
        return maker.from_pretrained(path, trust_remote_code=trust_remote_code, **options)


@contextmanager
def understood(path: Path, what: str, trusted: bool) -> Iterator[None]:
    """Look at a model directory's files, then turn whatever transformers raises into a line.

    Args:
        path: the directory.
        what: is loaded: "its config", "its tokenizer", or as what the model.
        trusted: whether code that comes with the model may run.

    Raises:
        CheckpointError: naming the file and, where it shows, the field; running out of memory stays what it is.
    """
    _check_files(path)
    config = read_config(path) if what != "its tokenizer" or (path / "config.json").is_file() else {}
    _check_settings(config, path / "config.json", trusted)
    try:
        with quiet():
            yield
    except (SftkitError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _told(error, path, what) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # the tokenizers library's, for what it did not expect
            raise
        raise _told(error, path, what) from None


def _check_files(path: Path) -> None:
    for pattern in _OPENED:
        for each in path.glob(pattern):
            if not each.is_dir():
                check_regular(each)


def _check_settings(config: Mapping[str, Any], where: Path, trusted: bool) -> None:
    """Refuse settings that would take transformers for ever, or make it run code that it fetches."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            _check_settings(value, where, trusted)
        elif isinstance(value, int) and value > _MOST and _COUNTS.search(str(name)):
            raise CheckpointError(f"{where}: {name} is {value!s:.40}, more than any model has.")
        elif isinstance(value, str) and "/" in value and _KERNELS.match(str(name)) and not trusted:
            raise CheckpointError(f"{where}: {name} names code on the hub ({quoted(value)}), which is not run. {_ASK}")


def _told(error: BaseException, path: Path, what: str) -> CheckpointError:
    text = " ".join(str(error).split()) or type(error).__name__
    if "trust_remote_code" in text:
        return CheckpointError(
            f"{path}: {what} needs Python code that comes with the model (auto_map), and none is run unasked. {_ASK}"
        )
    if text.startswith("Unrecognized configuration class"):  # and then a list of a hundred others
        return CheckpointError(f"{path}: transformers cannot load {what} (there is none of its type).")
    try:
        where = _culprit(path, what)
    except CheckpointError as found:
        return found
    kind = "" if isinstance(error, OSError | ValueError | RuntimeError) else f"{type(error).__name__}: "
    text = text if len(text) <= 200 else text[:200] + "…"
    return CheckpointError(f"{path}: transformers cannot load {what} ({kind}{text}).{where}", path=str(path))


def _culprit(path: Path, what: str) -> str:
    """The file, and the field if one is of another kind than usual, that is likely to be at fault.

    Raises:
        CheckpointError: if a file is not even JSON.
    """
    if what != "its tokenizer":
        return _odd_field(path / "config.json")
    for each in sorted(path.glob("*.json")):
        if each.name != _TOKENIZER and not each.name.endswith(".index.json") and each.is_file():
            read_json(each)
    if (path / _TOKENIZER).is_file():
        try:
            Tokenizer.from_file(str(path / _TOKENIZER))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return f" Look at {_TOKENIZER}."
    return " Look at tokenizer_config.json."


def _odd_field(file: Path) -> str:
    """A field of a config whose value is of another type than the default of its model type."""
    config = read_json(file)
    try:
        usual = json.loads(AutoConfig.for_model(config["model_type"]).to_json_string(use_diff=False))
    except Exception:
        return ""  # no such type, or one that has no defaults
    numbers = (int, float)
    for name, value in config.items():
        default = usual.get(name)
        if value is None or default is None or type(value) is type(default):
            continue
        if type(value) in numbers and type(default) in numbers:
            continue
        return f" In {file.name}, {name} is {quoted(value)}."
    return ""
