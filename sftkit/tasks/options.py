"""What a user may say about the data of a task, beside where it is. No torch: the command line reads this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sftkit.errors import SettingsError
from sftkit.tasks.readers.tag_schemes import TAG_SCHEMES
from sftkit.tasks.squad_metrics import LANGUAGES

#: Which objectives an option is about.
_ABOUT = {
    "map_label": ("ner", "nli", "classify"),
    "columns": ("pos", "ner", "nli", "classify"),
    "where": ("nli", "classify"),
    "scheme_in": ("ner",),
    "strict_answers": ("qa",),
    "language": ("qa",),
    "subtypes": ("dep",),
    "decode": ("dep",),
    "paper_compat": ("dep", "ner"),
    "scheme": ("ner",),
    "stride": ("qa",),
    "max_lines": ("mlm", "clm"),
    "pack": ("mlm", "clm"),
    "streaming": ("mlm", "clm"),
}
#: What the columns of a table hold, in the order of ``columns``.
COLUMNS = {"pos": ("word", "tag"), "ner": ("word", "tag"), "nli": ("premise", "hypothesis", "label"),
           "classify": ("text", "label")}  # fmt: skip
#: How a parser's scores become heads: the best tree, or each word's best head by itself.
DECODERS = ("tree", "greedy")

#: What counts as an entity: see :mod:`sftkit.tasks.ner`.
SCHEMES = ("strict", "conlleval")


@dataclass(frozen=True)
class TaskOptions:
    """How data is read and scored.

    Attributes:
        map_label: (label in the data, what it is taken for), for both training and scoring. In named entity
            recognition the labels are entity types, and "O" stands for no entity.
        columns: the columns of a table that hold the texts and the label, in this order: their names, or their numbers
            from 1 in a file that has no header; none: found by their names. In a file with a word a line the numbers of
            the word's column and the tag's.
        where: (column, value): of a table only the rows that have this value there, and all others like it.
        scheme_in: the scheme of a file's tags, one of ``TAG_SCHEMES``; "": seen from the tags.
        strict_answers: refuse answers that do not stand in their context where the data says, which else are not
            trained on.
        language: by whose rules answers are compared, one of ``LANGUAGES``; "": SQuAD's.
        subtypes: keep the language-specific part of relations ("nmod:poss").
        decode: one of ``DECODERS``.
        paper_compat: score as the paper's code does: parsers without words that hang from the root, entities by
            "conlleval".
        scheme: one of ``SCHEMES``; None: "strict", or with ``paper_compat`` "conlleval".
        stride: tokens that two windows of one passage share.
        max_lines: of each text only so many lines, from its beginning, blank ones not counted; None: all.
        pack: windows of text are full, and run on from line to line; otherwise each has tokens of one line only. It
            holds for the text that is learned from and for that which is scored.
        streaming: read data sets on the hub as streams, without fetching them. Changes nothing of what is learned.
    """

    map_label: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    scheme_in: str = ""
    strict_answers: bool = False
    language: str = ""
    subtypes: bool = False
    decode: str = "tree"
    paper_compat: bool = False
    scheme: str | None = None
    stride: int = 128
    max_lines: int | None = None
    pack: bool = True
    streaming: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """``map_label`` as a dictionary."""
        return dict(self.map_label)

    @property
    def entities(self) -> str:
        """The scheme in force."""
        return self.scheme or ("conlleval" if self.paper_compat else "strict")


NO_OPTIONS = TaskOptions()


def options_about(options: TaskOptions, objective: str) -> dict[str, Any]:
    """Those options that are about an objective, by name; not ``streaming``, which changes nothing that is learned."""
    about = (name for name, objectives in _ABOUT.items() if objective in objectives and name != "streaming")
    return {name: options.entities if name == "scheme" else getattr(options, name) for name in about}


def check_options(options: TaskOptions, objective: str) -> None:
    """Refuse options that are about other objectives, and values that make no sense.

    Raises:
        SettingsError: naming the option.
    """
    for field in fields(options):
        if getattr(options, field.name) != field.default and objective not in _ABOUT[field.name]:
            named = " and ".join(f"--{name}" for name in _ABOUT[field.name])
            option = f"{'no-' if field.default is True else ''}{field.name.replace('_', '-')}"
            raise SettingsError(f"--{option} is about {named}, not --{objective}.")
    if options.columns and len(options.columns) != len(COLUMNS[objective]):
        raise SettingsError(
            f"--columns {','.join(options.columns)}: name {len(COLUMNS[objective])} columns, those of "
            f"{', '.join(COLUMNS[objective])}."
        )
    _check_reading(options)
    for label in (label for pair in options.map_label for label in pair if objective == "ner"):
        if label[:2] in ("B-", "I-"):
            raise SettingsError(f"--map-label: {label} is a tag; name entity types, such as {label[2:]}=O.")
    _check_scoring(options)
    if options.max_lines is not None and options.max_lines < 1:
        raise SettingsError(f"--max-lines is {options.max_lines}; it must be at least 1.")
    if options.stride < 0:
        raise SettingsError(f"--stride is {options.stride}; it must not be negative.")


def _check_scoring(options: TaskOptions) -> None:
    for option, value, known in (("decode", options.decode, DECODERS), ("scheme", options.entities, SCHEMES)):
        if value not in known:
            raise SettingsError(f"--{option} is {value!r}; known are {', '.join(known)}.")
    if options.scheme == "strict" and options.paper_compat:
        raise SettingsError("--paper-compat scores entities by --scheme conlleval, not strict: leave one of them out.")


def check_streams(options: TaskOptions, sources: Sequence[str]) -> None:
    """See that there is something to stream, if that was asked for.

    Raises:
        SettingsError: if all sources are local files.
    """
    if options.streaming and sources and not any(source.startswith("hf://") for source in sources):
        raise SettingsError("--streaming is about data sets on the hub (hf://owner/name): local files never need it.")


def parse_pairs(option: str, texts: tuple[str, ...], example: str) -> tuple[tuple[str, str], ...]:
    """``DATE=O`` as a pair, for each text.

    Args:
        option: what they were given to, such as "--map-label".
        texts: what was given.
        example: how to write it, such as "OLD=NEW, such as DATE=O".

    Raises:
        SettingsError: if there is no equals sign, or nothing beside it.
    """
    pairs = []
    for text in texts:
        old, equals, new = text.partition("=")
        if not (old and equals and new):
            raise SettingsError(f"{option} {text}: write {example}.")
        pairs.append((old, new))
    return tuple(pairs)


def parse_map_label(texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """``DATE=O`` as a pair, for each text.

    Raises:
        SettingsError: if there is no equals sign, or nothing beside it.
    """
    return parse_pairs("--map-label", texts, "OLD=NEW, such as DATE=O")


def _check_reading(options: TaskOptions) -> None:
    for name, value, known in (
        ("scheme-in", options.scheme_in, TAG_SCHEMES),
        ("language", options.language, LANGUAGES),
    ):
        if value and value not in known:
            raise SettingsError(f"--{name} is {value!r}; known are {', '.join(known)}.")
