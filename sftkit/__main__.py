"""``python -m sftkit``, and what the ``sftkit`` command calls."""

import gc
import io
import sys
from typing import Any


class _Output(io.FileIO):
    """Standard output's bytes: an error of writing them says, once, what could not be written."""

    gone = False

    def write(self, data: Any) -> int:
        """Write; after an error what is left in buffers is dropped."""
        try:
            return len(data) if self.gone else super().write(data)
        except OSError as error:
            self.gone = True
            error.filename = "standard output"
            raise


class _Remarks(_Output):
    """Standard error's bytes: a run of days does not end because its log's disk is full."""

    def write(self, data: Any) -> int:
        """Write, or do without this once; a reader who went away is told, as ever."""
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            self.gone = False  # there may be room again
            return len(data)


def _prepare(stream: Any, kind: type[io.FileIO]) -> Any:
    """A standard stream that shows a question mark where a terminal knows no θ."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.reconfigure(errors="replace")
    if type(getattr(stream.buffer, "raw", stream.buffer)) is not io.FileIO:  # a Windows console
        return stream
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, "replace", line_buffering=stream.line_buffering or raw.isatty()
    )


def main() -> None:
    """Run the command line."""
    gc.set_threshold(100_000)  # what is imported stays: to look through it again and again takes a sixth of the start
    try:
        sys.stdout, sys.stderr = _prepare(sys.stdout, _Output), _prepare(sys.stderr, _Remarks)
        from sftkit.cli.app import app
    except KeyboardInterrupt:  # Ctrl-C before the command had begun
        raise SystemExit(130) from None
    try:
        app(prog_name="sftkit")
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:  # of what is printed before a command is known: help, the version
        raise SystemExit(f"error: {error.filename or ''}: {error.strerror or error}.") from None


if __name__ == "__main__":
    main()
