"""A Llama-like model of 1.1 B in bfloat16 and five files, and a copy of it in which 3 % of the entries moved.

Run by hand: ``python -m tests.benchmarks.large [FOLDER]``; needs 9 GB of disk in FOLDER (a temporary one by default).
Limits: compose 1.5 x and subtract 3 x copying the base and flushing it, the difference 4.5 bytes an entry. What is
copied, subtracted and composed takes turns, from one state of the disk as in :mod:`tests.benchmarks.compose`; seconds
of the processor, user's and system's, are told beside those of the clock, which a busy machine or disk spoils.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sftkit.format.files import SftFile
from sftkit.storage.dtypes import BFLOAT16
from sftkit.storage.safefile import Planned, SafeWriter, canonical_order
from tests.benchmarks._make import Ran, copy_and_flush, measured, settle

_RUNS = 5
_FILES = 5
#: TinyLlama's: 1,100,048,384 parameters, the output matrix being one of its own.
_CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32_000, "hidden_size": 2048,
    "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4,
    "tie_word_embeddings": False, "dtype": "bfloat16",
}  # fmt: skip
_MOVED = 0.03
_PIECE = 1 << 22
_LIMITS = {"compose": 1.5, "subtract": 3.0}


def llama_shapes(config: Mapping[str, object] = _CONFIG) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Llama with its output matrix."""
    names = ("hidden_size", "intermediate_size", "vocab_size", "num_attention_heads", "num_key_value_heads")
    hidden, wide, vocabulary, heads, pairs = (int(str(config[name])) for name in names)
    narrow = hidden // heads * pairs
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (vocabulary, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (vocabulary, hidden),
    }
    for layer in range(int(str(config["num_hidden_layers"]))):
        at = f"model.layers.{layer}."
        for module, shape in {
            "self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (narrow, hidden),
            "self_attn.v_proj": (narrow, hidden), "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (wide, hidden), "mlp.up_proj": (wide, hidden), "mlp.down_proj": (hidden, wide),
            "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
        }.items():  # fmt: skip
            shapes[f"{at}{module}.weight"] = shape
    return shapes


def make(folder: Path, name: str, *, tuned: bool) -> Path:
    """The model, or the copy in which some entries moved; made once."""
    path = folder / name
    if (path / "config.json").is_file():
        return path
    path.mkdir(parents=True, exist_ok=True)
    shapes, places = llama_shapes(), dict[str, str]()
    for number, names in enumerate(_split(shapes), 1):
        file = f"model-{number:05d}-of-{_FILES:05d}.safetensors"
        places |= dict.fromkeys(names, file)
        sizes = {each: int(np.prod(shapes[each])) for each in names}
        plans = canonical_order(Planned(each, "BF16", shapes[each], 2 * sizes[each]) for each in names)
        with SafeWriter(path / file, plans, {"format": "pt"}) as writer:
            for plan in plans:
                for start, piece in _weights(plan.name, sizes[plan.name], tuned=tuned):
                    writer.put(plan.name, 2 * start, piece)
    (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (path / "config.json").write_text(json.dumps(_CONFIG))
    return path


def _split(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[list[str]]:
    share = sum(int(np.prod(shape)) for shape in shapes.values()) / _FILES
    names, filled = list[str](), 0.0
    for name in shapes:
        names.append(name)
        filled += float(np.prod(shapes[name]))
        if filled >= share:
            yield names
            names, filled = [], filled - share
    if names:
        yield names


def _weights(name: str, size: int, *, tuned: bool) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Normal numbers of 0.02; of a tuned model one in 33 has moved, by 0.001 at the median or by a digit."""
    rng, moves = np.random.default_rng([0, *name.encode()]), np.random.default_rng([1, *name.encode()])
    for start in range(0, size, _PIECE):
        count = min(_PIECE, size - start)
        piece = (rng.standard_normal(count, dtype=np.float32) * np.float32(0.02)).astype(BFLOAT16)
        if tuned:
            at = np.flatnonzero(moves.random(count, dtype=np.float32) < _MOVED)
            moved = (piece[at] + moves.standard_normal(len(at), dtype=np.float32) * np.float32(1.5e-3)).astype(BFLOAT16)
            bits = moved.view(np.uint16)
            bits += moved == piece[at]  # the next number of its sign
            piece[at] = moved
        yield start, piece


def main(folder: Path) -> None:
    """Make the inputs, measure, print."""
    base, tuned = make(folder, "llama", tuned=False), make(folder, "llama-tuned", tuned=True)
    patch, output = folder / "patch.sft", folder / "composed"
    works: dict[str, Callable[[], Ran]] = {
        "copy and flush": lambda: _copied(base, folder / "copy"),
        "subtract": lambda: measured("subtract", tuned, base, "-o", patch, *_CHANGED, "--overwrite", "--quiet"),
        "compose": lambda: measured("compose", base, patch, "-o", output, "--quiet"),
    }
    runs: dict[str, list[Ran]] = {name: [] for name in works}
    for work in works.values():  # finds the inputs in the cache from here on, and the patch made
        work()
    for number in range(_RUNS):
        order = list(works)
        for name in order[number % 3 :] + order[: number % 3]:
            shutil.rmtree(output, ignore_errors=True)
            settle()
            runs[name].append(works[name]())
    shutil.rmtree(output, ignore_errors=True)
    _show(runs)
    entries, size = SftFile(patch).metadata.k, patch.stat().st_size
    print(f"the difference: {entries:,} entries, {size / 1e6:.0f} MB, {size / entries:.2f} bytes an entry (limit 4.5)")


#: How the difference is stored.
_CHANGED = ("--values", "bf16")


def _copied(base: Path, target: Path) -> Ran:
    before = time.process_time()
    return Ran(copy_and_flush(base, target), 0.0, time.process_time() - before)


def _show(runs: Mapping[str, list[Ran]]) -> None:
    """Medians, and those of the ratios within a round."""
    print(f"{'':<16}{'clock':>10}{'ratio':>8}{'limit':>8}{'processor':>12}{'ratio':>8}{'peak MB':>10}")
    copies = runs["copy and flush"]
    for name, own in runs.items():
        seconds, processor = (statistics.median(getattr(ran, of) for ran in own) for of in ("seconds", "processor"))
        line = f"{name:<16}{seconds:>8.2f} s"
        if name in _LIMITS:
            clock, busy = (
                statistics.median(getattr(ran, of) / getattr(copy, of) for ran, copy in zip(own, copies, strict=True))
                for of in ("seconds", "processor")
            )
            peak = max(ran.peak for ran in own)
            line += f"{clock:>8.2f}{_LIMITS[name]:>8}{processor:>10.2f} s{busy:>8.2f}{peak:>10.0f}"
        else:
            line += f"{'1':>8}{'':>8}{processor:>10.2f} s{'1':>8}"
        print(line)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
