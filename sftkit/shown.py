"""Text from files as it may be shown: what a terminal would obey is made visible, and what is long is cut.

Names, labels, metadata and file names come from strangers. A terminal takes some characters for orders: to move, to
recolour, to set its title, to show letters in another order than they stand in. Here those become what Python writes
for them, so that they are seen and do nothing. Nothing else is changed, in whatever script.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Marks of direction that reorder what follows them, up to their end; and what ends a line for some.
_ORDERS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029)
#: Control characters (C0 but for tab and line feed, delete, C1), and the above.
_SEEN = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(9), *range(11, 32), *range(127, 160), *_ORDERS)
}
#: Bytes of a file's name that are no UTF-8, as Python holds them; and halves of characters.
_SEEN |= {code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)}
_SEEN |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000) if code not in _SEEN}
_ON_A_LINE = _SEEN | {10: "\\n", 9: "\\t"}
#: Characters of a value that a message quotes, and of a message.
QUOTED, MOST = 80, 2000
#: Characters of the name of a tensor, in a message.
_LONGEST_NAME = 200


def shown(text: str) -> str:
    """Text with its control characters, and what else a terminal obeys, made visible; tabs and lines stay."""
    return text if text.isascii() and text.isprintable() else text.translate(_SEEN)


def shown_on_a_line(text: str, most: int = MOST) -> str:
    """The same on one line, and cut in the middle where it is longer than ``most`` characters."""
    text = text if len(text) <= most else f"{text[: 2 * most // 3]} … {text[-most // 3 :]}"
    return text if text.isascii() and text.isprintable() else text.translate(_ON_A_LINE)


def called(name: str) -> str:
    """A tensor's name as a message has it: on one line, and no longer than any real one."""
    return shown_on_a_line(name, _LONGEST_NAME)


def quoted(value: Any, most: int = QUOTED) -> str:
    """A value as a message quotes it: in quotation marks if it is text, and cut where it is long."""
    if isinstance(value, str) and len(value) > most:
        return f"{value[:most]!r}…"
    text = repr(value)
    return text if len(text) <= most + 2 else f"{text[:most]}…"


def brief(text: str, most: int = 30) -> str:
    """A name as a message lists it among others: on one line, and cut where it is long."""
    return (text if len(text) <= most else f"{text[:most]}…").translate(_ON_A_LINE)


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that is not known: " Did you mean X?", or "" if none is near.

    Args:
        name: what was given.
        known: what could have been.
    """
    from difflib import get_close_matches

    plain = {each.lower().lstrip("-"): each for each in known}
    sought = name.lower().lstrip("-")
    begun = [each for each in plain if len(sought) > 2 and each.startswith(sought)]
    near = [plain[each] for each in (begun or get_close_matches(sought, plain, cutoff=0.7))[:3]]
    return f" Did you mean {' or '.join(map(brief, near))}?" if near else ""


def in_markdown(text: str) -> str:
    """Text for a page of Markdown or HTML: shown, and without any meaning there but its own."""
    return "".join(_MARKDOWN.get(letter, letter) for letter in shown(text))


#: Characters that Markdown or HTML would take for marks.
_MARKDOWN = {letter: f"\\{letter}" for letter in "\\`*[]|"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": "<br>"}
