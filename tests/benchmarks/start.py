"""From the start of the process to the end of the first optimizer step: ``sftkit train --mlm`` and a plain script.

Run by hand: ``python -m tests.benchmarks.start BASE CORPUS.txt``. The plain script reads, tokenises and trains with
transformers' Trainer on the same base, text and batch. Both end themselves after one step, before anything is saved.
What sftkit tokenised in an earlier run it would find again; here every run begins without. Limit: 1.1 x.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

_RUNS = 5
_PLAIN = """
import os, sys
from datasets import load_dataset
from transformers import (AutoModelForMaskedLM, AutoTokenizer, DataCollatorForLanguageModeling, Trainer,
                          TrainerCallback, TrainingArguments)
base, corpus = sys.argv[1:]
class Stop(TrainerCallback):
    def on_step_end(self, *_, **__):
        os._exit(0)
model, tokenizer = AutoModelForMaskedLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
rows = load_dataset("text", data_files=corpus, split="train").train_test_split(test_size=0.05, seed=42)
rows = rows.map(lambda batch: tokenizer(batch["text"], truncation=True, max_length=64), batched=True,
                remove_columns=["text"])
arguments = TrainingArguments(output_dir=os.environ["HF_HOME"], max_steps=1, use_cpu=True, report_to=[],
                              per_device_train_batch_size=8, disable_tqdm=True)
Trainer(model=model, args=arguments, train_dataset=rows["train"], eval_dataset=rows["test"], callbacks=[Stop()],
        data_collator=DataCollatorForLanguageModeling(tokenizer)).train()
"""
_OURS = """
import os, sys
from sftkit.cli.show.progress import TrainingDisplay
TrainingDisplay.step = lambda *_: os._exit(0)
from sftkit.__main__ import main
base, corpus = sys.argv[1:]
sys.argv[1:] = ["train", "--mlm", corpus, "--base", base, "--steps", "1", "--max-length", "64", "--device", "cpu",
                "--output", os.path.join(os.environ["HF_HOME"], "x.sft")]
main()
"""


def seconds(program: str, base: str, corpus: str) -> float:
    """One run, with caches of its own."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"HF_HOME": cache, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", program, base, corpus], env=environment, check=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return time.perf_counter() - begin


def main(base: str, corpus: str) -> None:
    """Measure both in turns, print medians and the ratio."""
    runs = [(seconds(_PLAIN, base, corpus), seconds(_OURS, base, corpus)) for _ in range(_RUNS)]
    plain, ours = (statistics.median(each) for each in zip(*runs, strict=True))
    print(f"plain script {plain:.2f} s, sftkit train {ours:.2f} s, {ours / plain:.2f} x (limit 1.1)")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
