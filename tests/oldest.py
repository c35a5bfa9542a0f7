"""``python -m tests.oldest [PYTEST ARGUMENTS]``: tests the lowest versions that ``pyproject.toml`` allows.

Needs ``uv``. Installs them into a temporary folder (some GB) and runs there the fast tests, or those that are named.
What old libraries leave unclosed, or call by an old name, is no failure; the page of models, which follows from the
newest, is left out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_LENIENT = (
    "-W", "ignore::DeprecationWarning", "-W", "ignore::ResourceWarning", "-W",
    "ignore::pytest.PytestUnraisableExceptionWarning", "-p", "no:cacheprovider", "--deselect",
    "tests/checkpoints/test_families.py::test_the_table_of_models_is_what_is_tested",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Install and test; gives pytest's status."""
    with tempfile.TemporaryDirectory(prefix="sftkit-oldest-") as folder:
        python = Path(folder, "bin", "python")
        subprocess.run(["uv", "venv", "-q", "--python", sys.executable, folder], check=True)
        install = ["uv", "pip", "install", "-q", "--python", str(python), "--resolution", "lowest-direct"]
        subprocess.run([*install, "-e", f"{_ROOT}[test]"], check=True)
        subprocess.run(["uv", "pip", "list", "-q", "--python", str(python)], check=True)
        return subprocess.run([python, "-m", "pytest", "-q", *_LENIENT, *arguments], cwd=_ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
