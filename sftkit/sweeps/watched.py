"""Runs a command in a session of its own and ends all of it, by force, once the one who asked for it is gone.

``python -m sftkit.sweeps.watched DESCRIPTOR COMMAND…``: the descriptor is the reading end of a pipe whose other end
that one holds. However it goes, also by SIGKILL, the pipe ends, and no cell is left to work on without a sweep.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    """Run the command; returns its status. Signals are for the command: they reach the whole session."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which the command would inherit
    process = subprocess.Popen(sys.argv[2:])
    threading.Thread(target=_wait_for_end, args=(int(sys.argv[1]),), daemon=True).start()
    return process.wait()


def _wait_for_end(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
