"""Which of several processes this is, as ``torchrun`` and ``accelerate launch`` say it. No torch."""

from __future__ import annotations

import os

from sftkit.errors import SettingsError

#: What a launcher says in numbers, and what torch needs to hear of several processes.
_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_PORT")
_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def check_launch() -> None:
    """See that what the environment says of several processes can be so.

    Raises:
        SettingsError: naming the variable.
    """
    for name in _NUMBERS:
        _number(name, 0)
    missing = [name for name in _NEEDED if not os.environ.get(name)] if world() > 1 else []
    if missing:
        raise SettingsError(
            f"WORLD_SIZE is {world()} in the environment, and {', '.join(missing)} not set: unset it, or start the "
            "processes with torchrun."
        )
    if not 0 <= rank() < max(world(), 1):
        raise SettingsError(
            f"RANK is {rank()} in the environment, and WORLD_SIZE {world()}: ranks begin at 0. Unset them, or start "
            "the processes with torchrun."
        )


def rank() -> int:
    """This process's number; 0 where there is only one."""
    return _number("RANK", 0)


def world() -> int:
    """How many processes there are."""
    return _number("WORLD_SIZE", 1)


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, str(default))
    try:
        return int(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r} in the environment, and has to be a number: unset it.") from None
