"""MAD-X beside sftkit: the same files, bases and budgets, and rows of the same CSV. See README.md.

    python tests/benchmarks/madx/madx.py install FOLDER
    FOLDER/bin/python tests/benchmarks/madx/madx.py world WORLD --csv results.csv
    FOLDER/bin/python tests/benchmarks/madx/madx.py language|task|evaluate|speed …

``install`` needs only Python; the others run in the environment that it makes. Each of them prints a JSON document.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OBJECTIVES = ("pos", "dep", "ner", "nli")
#: Tokens of a test sentence: more than a world's ever have, and no more than its base takes.
WHOLE = 256
#: As ``sftkit sweep`` writes them; cells of the language's adapter come after.
COLUMNS = (
    "language", "task", "method", "density", "seed", "metric", "value", "low", "high", "seconds", "k", "base",
    "language_density", "language_k", "language_seconds", "examples",
)  # fmt: skip


def install(folder: Path) -> None:
    """Make the environment."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "-r", HERE / "requirements.txt"], check=True)


def training(asked: argparse.Namespace, reduction: float) -> Any:
    """How an adapter is to be learned."""
    from tests.benchmarks.madx.stacked import Training

    return Training(
        reduction,
        asked.steps,
        asked.batch_size,
        asked.max_length,
        asked.lr,
        asked.eval_every or asked.steps,
        asked.seed,
    )


def language(asked: argparse.Namespace) -> dict[str, Any]:
    """A language's adapter, from plain text."""
    from tests.benchmarks.madx.stacked import LANGUAGE, learn

    given = {"base": asked.base, "objective": "mlm", "data": asked.mlm, "dev": None, "device": asked.device}
    return learn(LANGUAGE, given, training(asked, asked.reduction), None, asked.output)


def task(asked: argparse.Namespace) -> dict[str, Any]:
    """A task's adapter, on the source language's."""
    from tests.benchmarks.madx.stacked import TASK, learn

    given = {"base": asked.base, "dev": asked.dev, "device": asked.device} | labelled(asked)
    return learn(TASK, given, training(asked, asked.reduction), asked.language, asked.output)


def evaluate(asked: argparse.Namespace) -> dict[str, Any]:
    """Scores, as ``sftkit evaluate --json``."""
    from tests.benchmarks.madx.stacked import score

    return score(
        {"base": asked.base, "device": asked.device} | labelled(asked), asked.max_length, asked.language, asked.task
    )


def labelled(asked: argparse.Namespace) -> dict[str, Any]:
    """The one labelled file that was named, and its objective."""
    named = [(name, getattr(asked, name)) for name in OBJECTIVES if getattr(asked, name, None) is not None]
    if len(named) != 1:
        sys.exit(f"error: name one labelled file, with one of --{', --'.join(OBJECTIVES)}")
    return {"objective": named[0][0], "data": named[0][1]}


def world(asked: argparse.Namespace) -> dict[str, Any]:
    """All of an invented world: adapters of its unseen languages, of tasks in each size, their scores into the CSV."""
    from tests.benchmarks.madx.stacked import LANGUAGE, learn

    known = json.loads((asked.world / "world.json").read_text(encoding="utf-8"))
    steps, rates = spread(asked, asked.task_steps), spread(asked, asked.task_lr or [asked.lr])
    learned: dict[str, dict[str, Any]] = {}
    rows = 0
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        for each in (known["source"], *known[asked.languages]):
            told(f"language {each}")
            given = {"base": asked.world / "base", "objective": "mlm", "data": asked.world / f"mlm/{each}.txt"}
            how = training(asked, asked.language_reduction)
            learned[each] = learn(LANGUAGE, given | {"dev": None, "device": asked.device}, how, None, place / each)
        for objective, *how_long in zip(asked.tasks, steps, rates, strict=True):
            for reduction in asked.reductions:
                told(f"{objective}, reduction {reduction:g}")
                changed = vars(asked) | dict(zip(("steps", "lr"), how_long, strict=True)) | {"eval_every": None}
                how = training(argparse.Namespace(**changed), reduction)
                rows += in_world(asked, known, objective, how, place, learned)
    return {"csv": str(asked.csv), "rows": rows}


def in_world(
    asked: argparse.Namespace, known: dict[str, Any], objective: str, how: Any, place: Path, learned: dict[str, Any]
) -> int:
    """Learn a task's adapter in a world's source language, and score it in the others; returns how many rows."""
    from tests.benchmarks.madx.stacked import TASK, learn, score

    given = {"base": asked.world / "base", "device": asked.device, "objective": objective}
    train, dev = (asked.world / split(objective, known["source"], part) for part in ("train", "dev"))
    learn(TASK, given | {"data": train, "dev": dev}, how, place / known["source"], place / "task")
    rows = 0
    for each in known[asked.languages]:
        test = given | {"data": asked.world / split(objective, each, "test")}
        for method, below in (("mad-x", place / each), ("mad-x task-only", None)):
            found = score(test, WHOLE, below, place / "task")
            labels = {"language": each, "task": objective, "method": method + asked.suffix, "seed": asked.seed}
            rows += append(asked.csv, labels | {"base": str(given["base"])}, found, learned[each] if below else {})
    return rows


def spread(asked: argparse.Namespace, values: list[Any]) -> list[Any]:
    """One value a task, of as many or of one for all."""
    if len(values) not in (1, len(asked.tasks)):
        sys.exit(f"error: {len(values)} values ({', '.join(map(str, values))}) for the tasks {', '.join(asked.tasks)}")
    return values if len(values) > 1 else values * len(asked.tasks)


def split(objective: str, name: str, part: str) -> str:
    """A labelled file of a world."""
    return f"ner/{name}/{part}.conll" if objective == "ner" else f"ud/{name}/{part}.conllu"


def append(path: Path, labels: dict[str, Any], found: dict[str, Any], below: dict[str, Any]) -> int:
    """Add a row a metric to a table, which is begun if it is not there; columns that it has besides stay empty."""
    there = path.is_file() and path.stat().st_size > 0
    columns: tuple[str, ...] = COLUMNS
    if there:
        with path.open(encoding="utf-8", newline="") as file:
            columns = tuple(next(csv.reader(file)))
    of_language = {f"language_{name}": below.get(name) for name in ("density", "k", "seconds")}
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore", lineterminator="\n")
        if not there:
            writer.writeheader()
        for metric, value in found["metrics"].items():
            low, high = found["intervals"].get(metric, ("", ""))
            row = {name: found[name] for name in ("k", "density", "seconds", "examples")} | of_language
            writer.writerow(labels | row | {"metric": metric, "value": value, "low": low, "high": high})
    return len(found["metrics"])


def speed(asked: argparse.Namespace) -> dict[str, Any]:
    """Seconds of a forward pass: of the base, which is what a sum of SFTs is, and with both adapters."""
    import torch

    from tests.benchmarks.madx.stacked import LANGUAGE, TASK, Stacked, sftkit

    objective = sftkit("tasks.registry").objective_of("pos").with_labels(["A", "B"])
    bare = Stacked(objective, asked.base, 0, asked.device)
    full = Stacked(objective, asked.base, 0, asked.device)
    full.add(LANGUAGE, asked.language_reduction)
    full.add(TASK, asked.reduction)
    bare.model.to(asked.device)
    full.activate()
    length = min(asked.max_length, bare.longest)
    batch = torch.randint(5, bare.model.config.vocab_size, (asked.batch_size, length), device=asked.device)

    def once(model: Any) -> float:
        begun = time.perf_counter()
        with torch.inference_mode():
            model(input_ids=batch, attention_mask=torch.ones_like(batch)).logits.sum().item()
        return time.perf_counter() - begun

    for each in (bare, full):
        each.model.eval()
        once(each.model)
    pairs = [(once(bare.model), once(full.model)) for _ in range(asked.times)]
    ours, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(second / first for first, second in pairs)
    return {"sum_of_sfts": ours, "mad_x": theirs, "ratio": ratio, "batch_size": asked.batch_size, "length": length}


def told(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


COMMANDS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "language": language, "task": task, "evaluate": evaluate, "world": world, "speed": speed,
}  # fmt: skip
#: Option, the commands that have it, and how it is read.
OPTIONS: tuple[tuple[tuple[str, ...], str, dict[str, Any]], ...] = (
    (("--base",), "language task evaluate speed", {"type": Path, "required": True}),
    (("--mlm",), "language", {"type": Path, "required": True}),
    *(((f"--{name}",), "task evaluate", {"type": Path}) for name in OBJECTIVES),
    (("--dev",), "task", {"type": Path}),
    (("--language",), "task evaluate", {"type": Path, "help": "a language's adapter, on which the task's is"}),
    (("--task",), "evaluate", {"type": Path, "required": True}),
    (("--output", "-o"), "language task", {"type": Path, "required": True}),
    (("--reduction",), "language", {"type": float, "default": 2}),
    (("--reduction",), "task speed", {"type": float, "default": 16}),
    (("--language-reduction",), "world speed", {"type": float, "default": 2}),
    (("--reductions",), "world", {"type": float, "nargs": "+", "default": [1, 2, 4, 8, 16, 32]}),
    (("--steps",), "language task world", {"type": int, "required": True}),
    (
        ("--task-steps",),
        "world",
        {"type": int, "nargs": "+", "required": True, "help": "one for each of --tasks, or for all"},
    ),
    (("--task-lr",), "world", {"type": float, "nargs": "+", "help": "one for each of --tasks, or for all; else --lr"}),
    (("--suffix",), "world", {"default": "", "help": "after the method's name in the table"}),
    (("--eval-every",), "language task world", {"type": int, "help": "else only before and after"}),
    (("--lr",), "language task world", {"type": float, "default": 5e-5}),
    (("--seed",), "language task world", {"type": int, "default": 0}),
    (("--batch-size",), "language task world speed", {"type": int, "default": 8}),
    (("--max-length",), "language task evaluate world speed", {"type": int, "default": 256}),
    (("--device",), "language task evaluate world speed", {"default": "cpu"}),
    (("--times",), "speed", {"type": int, "default": 20}),
    (("world",), "world", {"type": Path}),
    (("--csv",), "world", {"type": Path, "required": True}),
    (("--languages",), "world", {"default": "unseen", "choices": ("unseen", "languages")}),
    (("--tasks",), "world", {"nargs": "+", "default": ["pos", "dep"], "choices": ("pos", "dep", "ner")}),
)


def parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="make the environment").add_argument("folder", type=Path)
    for name, run in COMMANDS.items():
        made = commands.add_parser(name, help=run.__doc__)
        for option, which, how in OPTIONS:
            if name in which.split():
                made.add_argument(*option, **how)
    return top


def main() -> None:
    """Run a command and print its document."""
    asked = parser().parse_args()
    if asked.command == "install":
        install(asked.folder)
        return
    sys.path.insert(0, str(HERE.parents[2]))
    print(json.dumps(COMMANDS[asked.command](asked)))


if __name__ == "__main__":
    main()
