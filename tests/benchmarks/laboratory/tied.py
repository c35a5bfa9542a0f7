"""The output matrix tied to the input embedding while a language is learned, which the paper avoids (§4.2).

``python -m tests.benchmarks.laboratory.tied FOLDER``, after ``sftkit sweep laboratory -o FOLDER``: in each world
the first unseen language is learned again, with that sweep's settings but for the matrix. No option of sftkit ties it:
the function that unties it is replaced. ``tied.csv`` gets the score of the sweep's tagger on either SFT, and the share
of K that word embeddings have. ``python -m tests.benchmarks.laboratory`` says what follows.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from unittest.mock import patch

import sftkit
from sftkit.storage.documents import read_object
from tests.cli.run import sftkit as command

FILE = Path(__file__).with_name("tied.csv")
_WORDS = "embeddings.word_embeddings.weight"


def main(place: Path) -> None:
    """Learn, score and write, world by world."""
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("seed", "language", "method", "accuracy", "words", "k", "examples"))
        for found in sorted(place.glob("worlds/*.json")):
            world, folder = read_object(found), found.with_suffix("")
            seed, language = world["settings"]["seed"], world["unseen"][0]
            tagger = _learned(place, "pos", seed, 240)
            untied = _learned(place, language, seed, 250)
            tied = place / "sft" / f"{language}-tied-{seed}.sft"
            if not tied.exists():
                learn_tied(folder, language, seed, tied)
            for method, path in (("lottery", untied), ("tied", tied)):
                scores = sftkit.evaluate(
                    "pos", folder / "ud" / language / "test.conllu", folder / "base", tagger, path, device="cpu",
                    max_length=64,
                )  # fmt: skip
                sft = sftkit.read(path)
                share = sft.parameters[_WORDS].nnz / sft.k
                row = (seed, language, method, scores.metrics["accuracy"], f"{share:.4f}", sft.k, scores.examples)
                writer.writerow(row)
                print(*row, flush=True)


def learn_tied(world: Path, language: str, seed: int, output: Path) -> None:
    """As the laboratory learns a language, with one matrix for the input and the output."""
    words = f"--density 0.1 --batch-size 32 --eval-every 125 --lr 0.003 --max-length 32 --steps 250 --seed {seed}"
    with patch("sftkit.training.selection.movable.untie_output", return_value=None):
        text, base = world / "mlm" / f"{language}.txt", world / "base"
        done = command("train", "--mlm", text, "--base", base, *words.split(), "--device", "cpu", "-o", output, "-q")
    assert done.status == 0, done.stderr


def _learned(place: Path, name: str, seed: int, steps: int) -> Path:
    """The laboratory's SFT: the lottery at 10 %, with so many steps, and all other options as they are by default."""
    wanted = {"train_norms": False, "criterion": "change", "rewind_to": 0, "l1": 0.0 if name == "pos" else 0.1}
    for path in sorted(place.glob(f"sft/{name}-lottery-{seed}-*/{name}-0.1.sft")):
        metadata = sftkit.read(path).metadata
        training = metadata.training
        lengths = [training[phase]["steps"] for phase in ("phase1", "phase2")]
        under = bool(metadata.trained_with) == (name == "pos")  # taggers: on their language's SFT
        if under and lengths == [steps, steps] and wanted.items() <= training.items():
            return path
    raise SystemExit(f"{place}: no SFT of {name} with {steps} steps in world {seed}: run laboratory first.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
