"""The one reader of JSON documents that come from others: bounded in size and depth, and from regular files only.

Python's own reader takes any nesting that its stack holds, and texts that no file can hold again (half a character,
written as an escape); and it waits for ever on a pipe. Files that are read a line at a time, as JSON lines are, have
their own readers.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sftkit.errors import CheckpointError, SftkitError

#: Levels of lists and objects inside each other; a config has five, an SFT's document six.
MOST_LEVELS = 64
#: Bytes. The index of a model of 100,000 tensors has 10 MB.
MOST_BYTES = 64 << 20
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):  # noqa: N818  # it says what is wrong, as a ValueError does
    """A text that is no JSON document, or none that is accepted here; says why, but not where."""


def parse_json(
    text: str,
    *,
    parse_constant: Callable[[str], Any] | None = None,
    parse_float: Callable[[str], float] | None = None,
) -> Any:
    """The document that a text is.

    Args:
        text: the text.
        parse_constant: what becomes of NaN and the infinities; by default they are floats.
        parse_float: what becomes of other numbers with a point or exponent; by default floats, perhaps infinite.

    Raises:
        NotJson: if it is none, is nested deeper than ``MOST_LEVELS``, or holds half a character.
    """
    try:
        document = json.loads(text, parse_constant=parse_constant, parse_float=parse_float)
    except json.JSONDecodeError as error:
        raise NotJson(f"not valid JSON: {error}") from None
    except RecursionError:
        raise NotJson(_TOO_DEEP) from None
    except ValueError as error:  # a number of thousands of digits; what the callers' functions say
        raise NotJson(f"not valid JSON: {error}") from None
    check_document(document, text)
    return document


def parse_line(line: str) -> Any:
    """The document that a line is; as :func:`parse_json`, and as fast as Python where there is nothing to be checked.

    Raises:
        NotJson, ValueError, RecursionError: as :func:`parse_json`, or Python's own.
    """
    if "\\u" in line or line.count("[") + line.count("{") > MOST_LEVELS:
        return parse_json(line)
    return json.loads(line)


def check_document(document: Any, text: str) -> None:
    """See that a document is not nested too deep, and that every text in it can be written to a file again.

    Args:
        document: the document.
        text: from which it was read.

    Raises:
        NotJson: saying what is wrong.
    """
    check_levels(document)
    if _SURROGATE.search(text) or not text.isascii():
        check_characters(document)


_TOO_DEEP = f"nested deeper than {MOST_LEVELS} levels"


def check_levels(document: Any) -> None:
    """See that lists and objects are not nested too deep.

    Raises:
        NotJson: if they are.
    """
    inside: list[Any] = [[document]]
    for _ in range(MOST_LEVELS + 1):
        parts = (each.values() if isinstance(each, Mapping) else each for each in inside)
        inside = [part for each in parts for part in each if isinstance(part, Mapping | list | tuple)]
        if not inside:
            return
    raise NotJson(_TOO_DEEP)


def check_characters(document: Any) -> None:
    """See that every text in a document can be written to a file again.

    Raises:
        NotJson: if one holds half a character.
    """
    try:
        json.dumps(document, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError as error:
        raise NotJson(f"no text: it holds half a character (\\u{ord(error.object[error.start]):04x})") from None


def read_json(path: Path, kind: type[SftkitError] = CheckpointError) -> Any:
    """The document in a file.

    Args:
        path: the file.
        kind: of the error.

    Raises:
        SftkitError: of the given kind, naming the file, if it is no regular one, larger than ``MOST_BYTES``, not UTF-8,
            or no document that :func:`parse_json` takes.
        FileNotFoundError: if there is none.
    """
    check_regular(path, kind)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise kind(f"{path}: {size:,} bytes, more than any such file has ({MOST_BYTES:,}).", path=str(path))
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise kind(f"{path} is not UTF-8 ({error.reason} at byte {error.start:,}).", path=str(path)) from None
    except NotJson as error:
        raise kind(f"{path} is {str(error)[:300]}.", path=str(path)) from None


def read_object(path: Path, kind: type[SftkitError] = CheckpointError) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        SftkitError: as :func:`read_json`, or if it is another document.
        FileNotFoundError: if there is none.
    """
    document = read_json(path, kind)
    if not isinstance(document, dict):
        raise kind(f"{path} is not a JSON object.", path=str(path))
    return document


def check_regular(path: Path, kind: type[SftkitError] = CheckpointError) -> None:
    """See that a name is that of a regular file, or of none: a pipe would be waited for, a device never ends.

    Raises:
        SftkitError: of the given kind, naming it.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:  # a link to itself
        raise kind(f"{path}: {error.strerror}.", path=str(path)) from None
    if not stat.S_ISREG(mode):
        what = "a directory" if stat.S_ISDIR(mode) else "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"
        raise kind(f"{path}: {what}, where a file is expected.", path=str(path))
