"""safetensors files that end before they are whole, as an interrupted copy or download leaves them."""

from __future__ import annotations

import json
from pathlib import Path

from sftkit.errors import FormatError

#: Bytes of a header that the library reads.
_MOST_HEADER = 100_000_000
_AGAIN = "Copy or download it again."


def check_whole(path: Path) -> None:
    """Tell a file that was cut short from one that is no safetensors file at all, and from a whole one.

    Raises:
        FormatError: if it is empty, or begins as such a file does and ends before its header says.
    """
    size = path.stat().st_size
    if not size:
        raise FormatError(f"{path}: cut short: the file is empty. {_AGAIN}")
    with path.open("rb") as file:
        begin = file.read(9)
        length = int.from_bytes(begin[:8], "little")
        if len(begin) < 9 and path.suffix in (".sft", ".safetensors"):
            raise FormatError(f"{path}: cut short: {size} bytes, less than any such file has. {_AGAIN}")
        if begin[8:] != b"{" or length > _MOST_HEADER:
            return
        text = begin[8:] + file.read(length - 1)
    if len(text) < length:
        raise FormatError(f"{path}: cut short: {size:,} bytes, and its header alone has {8 + length:,}. {_AGAIN}")
    whole = 8 + length + _data(text)
    if size < whole:
        raise FormatError(f"{path}: cut short: {size:,} of {whole:,} bytes. {_AGAIN}")


def _data(header: bytes) -> int:
    """How many bytes of data a header speaks of; 0 if it is none."""
    try:
        infos = [info for name, info in json.loads(header).items() if name != "__metadata__"]
        return max((int(info["data_offsets"][1]) for info in infos), default=0)
    except (ValueError, OverflowError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return 0
