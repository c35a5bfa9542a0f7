"""Peak memory of ``sftkit train --mlm`` on texts of 20 MB, 200 MB and, if asked for, 2 GB, a few steps each.

Run by hand: ``python -m tests.benchmarks.corpus [FOLDER] [MB …]``. Limit: 1.1 x the peak at 20 MB, whatever the size.
The first run tokenises; the second finds the tokens, and must take little longer than reading the file; the third
reads the same text as a stream (``--streaming``, from a local directory in the hub's place). The tokenizer is one of
whole words: how long a tokenizer takes is not what is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.helpers import pico

_WORDS = 2000
_PROGRAM = """
import resource, sys
from sftkit.__main__ import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def main(folder: Path, sizes: list[int]) -> None:
    """Print peak memory and seconds of a first, a second and a streaming run for each size."""
    words = [f"{a}{b}" for a in ("ta", "mi", "lo", "su") for b in range(_WORDS // 4)]
    base = _base(folder / "base", words)
    smallest: float | None = None
    print(
        f"{'MB':>6}" + "".join(f"{run + ' s':>12}{'peak MB':>10}{'ratio':>8}" for run in ("first", "second", "stream"))
    )
    for size in sizes:
        text = _text(folder / str(size) / "train.txt", size, words)
        runs = [_run(folder, base, *source) for source in ([text], [text], [f"hf://{text.parent}", "--streaming"])]
        smallest = smallest or runs[0][1]
        print(f"{size:>6}" + "".join(f"{s:>12.1f}{peak:>10.0f}{peak / smallest:>8.2f}" for s, peak in runs), flush=True)
        text.unlink()


def _run(folder: Path, base: Path, text: object, *options: str) -> tuple[float, float]:
    """Seconds, and the process's peak in MB."""
    command = [
        sys.executable, "-c", _PROGRAM, "train", "--mlm", str(text), "--base", str(base), "--steps", "4", "--k", "100",
        "--batch-size", "32", "--device", "cpu", "-q", "--overwrite", "-o", str(folder / "x.sft"),
        *options,
    ]  # fmt: skip
    environment = os.environ | {
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start, int(done.stderr.split()[-1]) / (1024 if sys.platform != "darwin" else 1024**2)


def _base(path: Path, words: list[str]) -> Path:
    pico.make_model(vocab_size=_WORDS + 5).save_pretrained(path)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*special, *words])}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": token for name, token in zip(("pad", "unk", "cls", "sep", "mask"), special, strict=True)}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names).save_pretrained(path)
    return path


def _text(path: Path, size: int, words: list[str]) -> Path:
    """So many MB: lines of about 16 words, the same hundred thousand of them again and again."""
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    lines = "".join(
        " ".join(words[i] for i in rng.integers(0, _WORDS, rng.integers(4, 28))) + "\n" for _ in range(10**5)
    )
    with path.open("w") as file:
        for number in range(-(-size * 10**6 // len(lines))):
            file.write(f"{number}\n{lines}")
    return path


if __name__ == "__main__":
    given = sys.argv[1:]
    where = given.pop(0) if given and not given[0].isdecimal() else None
    with tempfile.TemporaryDirectory(dir=where) as here:
        main(Path(here), [int(size) for size in given] or [20, 200])
