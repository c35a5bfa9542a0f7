"""Model directories with something wrong in one of their JSON files, given to every command that opens one."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from sftkit.errors import SftkitError
from sftkit.modeling.load import load_model, load_tokenizer
from tests.cli.run import sftkit
from tests.fuzz.mutations import bytes_of, json_of
from tests.helpers import pico
from tests.helpers.build import save_sft

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json", "sftkit.json")
COMMANDS = ("load", "compose", "dry", "subtract", "difference", "inspect", "evaluate", "predict", "train")
TYPES = ("bert", "xlm-roberta", "gpt2", "llama", "distilbert", "modernbert")


class InternalError(Exception):
    """A command ended in what no command should end in."""


class Bench:
    """Pico models of several types, SFTs for them, data, and a copy in which one file is changed."""

    def __init__(self, folder: Path, types: tuple[str, ...] = TYPES) -> None:
        self.folder, self.types = folder, types
        self.text = folder / "text.txt"
        self.text.write_text("ta mi lo ka\nsu ra en an\n" * 12)
        for kind in types:
            base = folder / kind
            pico.make_model(kind).save_pretrained(base, max_shard_size="9KB")
            pico.make_tokenizer().save_pretrained(base)
            save_sft(folder / f"{kind}.sft", base, objective="clm" if kind in pico.CAUSAL else "mlm")
            done = sftkit("compose", base, folder / f"{kind}.sft", "-o", folder / f"{kind}-made")
            assert done.status == 0, done.stderr
            shutil.copy(folder / f"{kind}-made" / "sftkit.json", base)

    def mutants(
        self, count: int, seed: int, commands: Sequence[str] = COMMANDS
    ) -> Iterator[tuple[str, Callable[[], None]]]:
        """Names of inputs, and what tries them: a command on a model in which one file is wrong."""

        def trying(*chosen: Any) -> Callable[[], None]:
            return lambda: self._try(*chosen)

        for number in range(count):
            draw = random.Random(f"{seed}/{number}")
            kind, file = draw.choice(self.types), draw.choice(FILES)
            command = draw.choice(commands)
            yield f"{seed}/{number} {kind} {file} {command}", trying(draw, kind, file, command)

    def commands(self, kind: str) -> dict[str, tuple[Any, ...]]:
        """What is tried with a model of a type."""
        model, sft, out = self.folder / "model", self.folder / f"{kind}.sft", self.folder / "out"
        option = "--clm" if kind in pico.CAUSAL else "--mlm"
        train = ("train", option, self.text, "--base", model, "-o", f"{out}.sft", "--steps", 1, "--k", 20,
                 "--device", "cpu", "--max-length", 16, "--quiet")  # fmt: skip
        return {
            "evaluate": ("evaluate", model, sft, option, self.text, "--device", "cpu", "--quiet"),
            "compose": ("compose", model, sft, "-o", out, "--quiet"),
            "dry": ("compose", model, sft, "-o", out, "--dry-run", "--quiet"),
            "subtract": ("subtract", model, sft, "-o", out, "--quiet"),
            "difference": ("subtract", model, self.folder / kind, "-o", f"{out}.sft", "--k", 50, "--quiet"),
            "inspect": ("inspect", sft, "--tokens", "--tokenizer", model),
            "train": train,
            "predict": ("predict", model, "--mlm", self.text, "--device", "cpu"),
        }

    def _try(self, draw: random.Random, kind: str, file: str, command: str) -> None:
        for name in ("model", "out", "out.sft"):
            path = self.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        model = shutil.copytree(self.folder / kind, self.folder / "model")
        before = (model / file).read_bytes()
        changed = bytes_of(before, draw) if draw.random() < 0.15 else json_of(json.loads(before), draw)
        (model / file).write_bytes(changed)
        if command == "load":
            load_tokenizer(model)
            load_model(model, AutoModelForCausalLM if kind in pico.CAUSAL else AutoModelForMaskedLM)
        else:
            self.run(*self.commands(kind)[command])

    @staticmethod
    def run(*arguments: Any) -> None:
        """A command; what it says on standard error is raised."""
        done = sftkit(*arguments)
        said = done.stderr.strip()
        if done.status not in (0, 1, 2) or "internal error" in said or "Traceback" in said:
            raise InternalError(f"{done.status}: {said}")
        if done.status:
            raise SftkitError(said.splitlines()[0] if len(said.splitlines()) <= 2 or done.status == 2 else said)
