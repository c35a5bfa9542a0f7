"""``python -m sftkit``, and what the ``sftkit`` command calls."""

import gc
import io
import sys


def main() -> None:
    """Run the command line."""
    gc.set_threshold(100_000)  # what is imported stays: to look through it again and again takes a sixth of the start
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal that knows no θ shows a question mark
        from sftkit.cli.app import app
    except KeyboardInterrupt:  # Ctrl-C before the command had begun
        raise SystemExit(130) from None
    app(prog_name="sftkit")


if __name__ == "__main__":
    main()
