"""Options and fixtures that every test may use."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile

# Before anything imports datasets or huggingface_hub: no network, and caches that go away with the run.
_CACHE = tempfile.mkdtemp(prefix="sftkit-tests-")


@atexit.register
def tidy() -> None:
    """Remove the caches; a process that ends by ``os._exit`` says so itself."""
    shutil.rmtree(_CACHE, ignore_errors=True)


os.environ |= {"HF_HOME": _CACHE, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
if "PYTEST_XDIST_WORKER" in os.environ:  # several at a time: each on a processor of its own
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("SFTKIT_BASE", None)
os.environ.pop("SFTKIT_DEBUG", None)

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests that train for minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(scope="module", autouse=True)
def _what_was_imported_out_of_the_collectors_sight() -> None:
    """Accelerate collects after each phase of training; to look through all of torch each time takes longer than that.

    What stands there when a file's tests begin is looked through once more, and then no more.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def pico_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pico BERT with its masked-LM head. Never write into it."""
    from tests.helpers import pico

    return pico.save_base(tmp_path_factory.mktemp("pico") / "base")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 120 short lines, every seventh much like the others."""
    path = tmp_path_factory.mktemp("data") / "corpus.txt"
    words = ("ta mi lo", "ka su ra", "en an ta", "lo lo su")
    path.write_text("".join(f"{words[i % 4]} {words[(i * 3) % 4]} mi{i % 7}.\n" for i in range(120)))
    return path


@pytest.fixture(scope="session")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 sentences whose tags follow from their words, and in which each word hangs from the one before."""
    path = tmp_path_factory.mktemp("data") / "train.conllu"
    path.write_text(treebank_text(60))
    return path


def treebank_text(sentences: int) -> str:
    """CoNLL-U in which ``ta`` is a noun, ``mi…`` a verb and ``.`` punctuation; every third with a multi-word token."""
    blocks = []
    for i in range(sentences):
        rows = [("ta", "NOUN"), (f"mi{i % 7}", "VERB"), ("ka", "ADP"), (".", "PUNCT")][: 3 + i % 2]
        lines = [
            f"{n}\t{word}\t_\t{tag}\t_\t_\t{n - 1}\t{'dep' if n > 1 else 'root'}\t_\t_"
            for n, (word, tag) in enumerate(rows, start=1)
        ]
        if i % 3 == 0:
            lines.insert(0, "1-2\ttami\t_\t_\t_\t_\t_\t_\t_\t_")
            lines.append("3.1\tempty\t_\tVERB\t_\t_\t_\t_\t_\t_")
        blocks.append("\n".join([f"# sent_id = {i}", *lines]))
    return "\n\n".join(blocks) + "\n\n"
