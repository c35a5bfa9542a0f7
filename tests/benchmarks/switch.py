"""Languages of one model in memory: sftkit.Switch, PEFT's ``set_adapter``, and loading another model.

Run by hand: ``python -m tests.benchmarks.switch [FOLDER] [LANGUAGES]``; wants ``pip install peft``, without which it is
left out, 4 GB of memory and 1 GB of disk in FOLDER. A model of mBERT's size, K = 7,667,712 values a language for each:
SFTs at random positions of the whole backbone; LoRA and SHiRA on the encoder's linear layers. A use of a language is
putting it on, computing nothing, one sentence (1 x 32 tokens) or a batch (8 x 64), and, ours, taking it off again. The
contestants take turns, so that a busy machine is busy for all; the ratios are what to read.
"""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel

import sftkit
from tests.benchmarks._artifacts import K, make_sfts
from tests.benchmarks._make import median, memory_pass
from tests.benchmarks.peers import _with_peft

_ROUNDS = 5
_WORK = {"nothing": (0, 0), "a sentence": (1, 32), "a batch": (8, 64)}
#: Does some work with a language on.
Use = Callable[[int, Callable[[Any], None]], None]


def ours(model: BertModel, files: Sequence[Path]) -> Use:
    """The weights themselves change."""
    switch = sftkit.Switch(model, {str(at): path for at, path in enumerate(files)}, force=True)

    def use(language: int, work: Callable[[Any], None]) -> None:
        with switch(str(language)) as on:
            work(on)

    return use


def loading(model: BertModel, folder: Path) -> Use:
    """A whole model of each language on disk; one stands for all here, and is in the system's cache."""
    model.save_pretrained(folder / "model")

    def use(_: int, work: Callable[[Any], None]) -> None:
        work(BertModel.from_pretrained(folder / "model").eval())

    return use


def adapters(who: str, languages: int) -> Use:
    """A model with an adapter for each language, of which one is active."""
    made = _with_peft(who, BertModel(BertConfig(vocab_size=119_547)), K)
    for at in range(1, languages):
        made.add_adapter(str(at), made.peft_config["default"])
    made.eval()

    def use(language: int, work: Callable[[Any], None]) -> None:
        made.set_adapter(str(language) if language else "default")
        work(made)

    return use


def working(size: tuple[int, int]) -> Callable[[Any], None]:
    """A forward pass over so many sequences of so many tokens."""
    if not size[0]:
        return lambda _: None
    ids = torch.randint(5, 119_547, size)

    def work(model: Any) -> None:
        with torch.inference_mode():
            model(input_ids=ids)

    return work


def measured(uses: Mapping[str, Use], languages: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Seconds a use, for each kind of work, of each contestant."""
    for what, size in _WORK.items():
        work = working(size)
        seconds: dict[str, list[float]] = {who: [] for who in uses}
        for each in range(_ROUNDS + 1):
            for who, use in uses.items():
                begin = time.perf_counter()
                use(each % languages, work)
                if each:  # the first warms up
                    seconds[who].append(time.perf_counter() - begin)
        yield what, {who: statistics.median(times) for who, times in seconds.items()}


def main(folder: Path, languages: int) -> None:
    """Make the models, let them take turns, print."""
    torch.manual_seed(0)
    model: Any = BertModel(BertConfig(vocab_size=119_547)).eval()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    uses = {"sftkit.Switch": ours(model, make_sfts(folder, languages)), "loading": loading(model, folder)}
    if importlib.util.find_spec("peft"):
        uses |= {f"PEFT {who}": adapters(who, languages) for who in ("LoRA", "SHiRA")}
    else:
        print("peft is not installed: its adapters are left out (pip install peft).")
    print(f"{languages} languages, K = {K:,}; seconds a use, uses a second, ours = 1")
    for what, found in measured(uses, languages):
        for who, seconds in found.items():
            print(f"{what:<12}{who:<15}{seconds:9.4f}{1 / seconds:11.1f}{seconds / found['sftkit.Switch']:9.2f}")
    print(f"a += b over θ: {median(_ROUNDS, lambda: memory_pass(sum(each.numel() for each in before.values()))):.3f} s")
    same = all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    print(f"θ after it to the bit: {'yes' if same else 'NO'}")


if __name__ == "__main__":
    with contextlib.ExitStack() as stack:
        given = sys.argv[1:]
        chosen = Path(given[0]) if given else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        main(chosen, int(given[1]) if len(given) > 1 else 4)
