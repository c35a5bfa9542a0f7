"""What may import what: light commands stay light, the library knows nothing of the command line."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from sftkit.cli.app import SUMMARIES
from sftkit.format.writing import write
from tests.format.golden import golden

PACKAGE = Path(__file__).parent.parent / "sftkit"
HEAVY = ("torch", "transformers", "datasets", "accelerate")

# Runs commands in a fresh interpreter and says which heavy modules they brought in.
_PROBE = """
import json, sys
from sftkit.cli.app import app
for command in json.loads(sys.argv[1]):
    try:
        app(command, prog_name="sftkit")
    except SystemExit as exit:
        assert not exit.code, command
heavy = [name for name in {heavy} if name in sys.modules]
print("heavy:", *heavy, file=sys.stderr)
"""


def heavy_modules(*arguments: object, also: tuple[str, ...] = ()) -> list[str]:
    """Of one command."""
    return heavy_modules_of([arguments], also)


def heavy_modules_of(commands: Iterable[Iterable[object]], also: tuple[str, ...]) -> list[str]:
    """Of several in one process."""
    given = json.dumps([list(map(str, command)) for command in commands])
    command = [sys.executable, "-c", _PROBE.format(heavy=(*HEAVY, *also)), given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, *heavy = done.stderr.splitlines()[-1].split()
    assert (done.returncode, first) == (0, "heavy:"), done.stderr
    return heavy


@pytest.fixture
def sfts(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / name, golden()) for name in ("a.sft", "b.sft")]


def test_help_imports_nothing_heavy_not_even_numpy() -> None:
    assert heavy_modules("--help", also=("numpy", "scipy", "matplotlib", "huggingface_hub")) == []


DRAWING = ("demo", "plot", "report")


def test_the_help_of_every_command_imports_nothing_heavy() -> None:
    commands = set(SUMMARIES) - {*DRAWING, "help"}
    assert heavy_modules_of([(each, "--help") for each in sorted(commands)], ("numpy",)) == []


def test_the_help_of_commands_that_draw_imports_nothing_heavy() -> None:
    assert heavy_modules_of([(each, "--help") for each in DRAWING], ("numpy", "scipy", "matplotlib")) == []


def test_a_report_imports_nothing_heavy(sfts: list[Path], tmp_path: Path) -> None:
    assert heavy_modules("report", *sfts, "-o", tmp_path / "r.html", also=("matplotlib",)) == []


def test_inspect_imports_neither_torch_nor_scipy(sfts: list[Path]) -> None:
    assert heavy_modules("inspect", *sfts, also=("scipy", "matplotlib", "tokenizers")) == []


def test_overlap_imports_neither_torch_nor_scipy(sfts: list[Path]) -> None:
    commands = [("overlap", *sfts, "--metric", metric) for metric in ("share", "sign", "cosine")]
    assert heavy_modules_of(commands, ("scipy", "matplotlib")) == []


def test_compose_of_sfts_imports_nothing_heavy(sfts: list[Path], tmp_path: Path) -> None:
    assert heavy_modules("compose", f"{sfts[0]}:0.5", sfts[0], "-o", tmp_path / "c.sft") == []


def test_compose_into_a_base_imports_nothing_heavy(sfts: list[Path], tmp_path: Path) -> None:
    base = small_base(tmp_path / "base")
    assert heavy_modules("compose", base, tmp_path / "a.sft", "--force", "-o", tmp_path / "model") == []


def test_subtract_of_sfts_imports_nothing_heavy(sfts: list[Path], tmp_path: Path) -> None:
    half = tmp_path / "half.sft"
    heavy_modules("compose", f"{sfts[0]}:0.5", "-o", half)
    assert heavy_modules("subtract", sfts[0], half, "-o", tmp_path / "c.sft") == []


def small_base(path: Path) -> Path:
    """A base with the golden SFT's parameters, made without torch."""
    from safetensors.numpy import save_file

    path.mkdir()
    specs = golden().metadata.parameters
    save_file(
        {f"bert.{name}": np.zeros(spec.shape, np.float32) for name, spec in specs.items()}, path / "model.safetensors"
    )
    (path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 20}))
    return path


def modules(folder: str = "") -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_module_outside_the_command_line_imports_it() -> None:
    offenders = [
        str(path)
        for path, tree in modules()
        if path.parts[0] != "cli"
        and path.name != "__main__.py"
        and any(n.startswith("sftkit.cli") for n in imports(tree))
    ]
    assert offenders == []


def test_no_module_outside_the_command_line_prints_or_exits() -> None:
    offenders = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        if path.parts[0] != "cli"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.exit", "exit", "quit", "os._exit")
    ]
    assert offenders == []


#: The rooms from the ground up. A file imports from its own room and from those below it.
ROOMS = (
    "errors", "storage", "format", "checkpoints", "pretrained", "algebra", "inspecting", "sharing", "composing",
    "modeling", "tasks", "evaluation", "prediction", "python", "training", "demo", "sweeps", "cli",
)  # fmt: skip
#: Files beside the rooms, and the room that they belong to.
BESIDE = {"shown": "errors", "declared": "errors", "__init__": "errors", "__main__": "cli"}


def room(name: str) -> str:
    return BESIDE.get(name, name)


def imported(path: Path, tree: ast.Module) -> Iterator[str]:
    """Modules of sftkit that a file imports when it runs, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sftkit"):
            for alias in node.names:
                inside = PACKAGE.parent / Path(*str(node.module).split("."), f"{alias.name}.py")
                yield f"{node.module}.{alias.name}" if inside.is_file() else str(node.module)


def test_a_room_imports_only_those_below_it() -> None:
    upwards = [
        f"{path}: {name}"
        for path, tree in modules()
        if path.name != "__init__.py" or len(path.parts) > 1  # the face of the package is imported from above it
        for name in imported(path, tree)
        if name != "sftkit"
        and ROOMS.index(room(name.split(".")[1])) > ROOMS.index(room(path.parts[0].removesuffix(".py")))
    ]
    assert upwards == []


def test_no_two_files_import_each_other() -> None:
    graph = {
        ".".join(("sftkit", *path.with_suffix("").parts)): set(imported(path, tree))
        for path, tree in modules()
        if path.name != "__init__.py"
    }

    def reached(name: str, seen: set[str]) -> set[str]:
        for following in graph.get(name, set()) - seen:
            seen.add(following)
            reached(following, seen)
        return seen

    assert [name for name in graph if name in reached(name, set())] == []


def test_only_the_renderers_import_rich() -> None:
    users = {str(path) for path, tree in modules() if any(name.split(".")[0] == "rich" for name in imports(tree))}
    assert all(path.startswith("cli/show/") for path in users)
