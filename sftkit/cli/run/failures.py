"""What went wrong, in one or two lines, for what no command foresaw: the system's errors, memory, missing packages."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sftkit.errors import SettingsError
from sftkit.storage.nearby import did_you_mean

if TYPE_CHECKING:
    from sftkit.training.observer import RunPlan
    from sftkit.training.settings import Settings

_ELSEWHERE = " Choose an --output elsewhere."
#: What to do about an error of the system, by its number.
_HINTS = {
    errno.ENOSPC: " Make room, or choose an --output elsewhere.",
    errno.EDQUOT: " Your share of this disk is used up: make room, or choose an --output elsewhere.",
    errno.EROFS: _ELSEWHERE,
    errno.EFBIG: _ELSEWHERE,
    errno.EIO: " The disk, or the way to it, fails.",
}
_SCORING = "--batch-size and --max-length lower what is needed; --device cpu takes the machine's own memory."
#: What lowers the memory that a command needs.
_LOWER = {"evaluate": _SCORING, "predict": _SCORING, "train": "A smaller base needs less; so does --base-dtype bf16."}
#: Modules that are called otherwise where packages are to be had.
_PACKAGES = {"google": "protobuf", "PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}


def line(error: Exception, command: str = "") -> str:
    """What an error means, and what to do about it.

    Args:
        error: any but those that sftkit raises on purpose.
        command: the command in which it was raised.
    """
    from sftkit.training.memory import ran_out

    if ran_out(error):
        return f"out of memory{_asked(error)}. {_LOWER.get(command, 'Another program may hold much of it.')}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = _HINTS.get(error.errno or 0, "")
        if hint and Path(tempfile.gettempdir()) in Path(str(error.filename or "")).parents:
            hint = " Make room there, or set TMPDIR to another folder."
        if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
            hint = did_you_mean(error.filename)
        return f"{where}{error.strerror or error}.{hint}"
    if isinstance(error, ImportError) and (package := _missing(error)):
        return f"{package} is needed for this, and not installed here: pip install {package}"
    return (
        f"internal error: {type(error).__name__}: {' '.join(str(error).split())[:300]}\n"
        "This is a bug in sftkit. SFTKIT_DEBUG=1 shows where; please report it."
    )


def _asked(error: Exception) -> str:
    """How much was asked for in vain, as torch and numpy say it; "" where nobody does."""
    found = re.search(r"allocate (\d[\d.,]* ?(?:[KMGT]i?B|bytes))", str(error))
    return f" ({found[1]} more were asked for)" if found else ""


def _missing(error: ImportError) -> str:
    """The package whose lack an error is about; "" if it is about another thing."""
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("sftkit"):
        module = error.name.partition(".")[0]
        return _PACKAGES.get(module, module)
    found = re.search(r"pip install ([\w-]+)", str(error))
    return found[1] if found else ""


@contextmanager
def memory_told(settings: Settings, plan: Callable[[], RunPlan | None]) -> Iterator[None]:
    """Where a training runs out of memory, say what it needs by its plan, and the options that lower it.

    Args:
        settings: the run's.
        plan: gives its plan, once there is one.

    Raises:
        SettingsError: that says so.
    """
    from sftkit.training.memory import ran_out

    try:
        yield
    except Exception as error:
        made = plan()
        if made is None or not ran_out(error):
            raise
        needed = "; ".join(f"{phase} needs {what}" for phase, what in _needs(made))
        raise SettingsError(
            f"out of memory on {made.device}{_asked(error)}: {needed}.", f"Less is needed with {_less(settings)}."
        ) from error


def _needs(plan: RunPlan) -> list[tuple[str, str]]:
    from sftkit.cli.show.plan import in_words

    return [(phase, in_words(needed)) for phase, needed in plan.memory.items()]


def _less(settings: Settings) -> str:
    from sftkit.training.engine.ranks import world
    from sftkit.training.settings import STREAMED

    batch, many = settings.batch_size, settings.accumulate
    streams = settings.method == "lottery" and settings.criterion in STREAMED and settings.rewind_to == 0
    options = {
        f"--batch-size {batch // 2} --accumulate {2 * many}": batch > 1,
        f"--max-length {settings.max_length // 2}": settings.max_length >= 32,
        "--gradient-checkpointing": not settings.checkpoint_gradients,
        "--selection streaming": streams and settings.selection == "full" and not settings.fsdp,
        "--base-dtype bf16": settings.base_dtype == "f32" and (settings.selection == "streaming" or not streams),
        "--fsdp": world() > 1 and not settings.fsdp and settings.selection == "full",
    }
    return ", ".join(option for option, helps in options.items() if helps) or "a smaller base"
