"""Which of several processes this is, as ``torchrun`` and ``accelerate launch`` say it. No torch."""

from __future__ import annotations

import os


def rank() -> int:
    """This process's number; 0 where there is only one."""
    return int(os.environ.get("RANK", "0"))


def world() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0
