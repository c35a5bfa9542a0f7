"""What a user may say about the data of a task, beside where it is. No torch: the command line reads this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sftkit.declared import FROM_0, POSITIVE, READING, check_each, option, option_of
from sftkit.errors import SettingsError
from sftkit.tasks.readers.tag_schemes import TAG_SCHEMES
from sftkit.tasks.squad_metrics import LANGUAGES

#: Objectives, by the names of their options, and what their data is.
FILES = {
    "mlm": "Masked language modelling on plain text, a sentence or paragraph a line.",
    "clm": "Causal language modelling on plain text, a sentence or paragraph a line.",
    "pos": "Part-of-speech tagging on CoNLL-U (UPOS column), or a word and its tag a line.",
    "ner": "Named entity recognition on a word and its tag a line (BIO, BIOES, …).",
    "dep": "Dependency parsing on CoNLL-U (HEAD and DEPREL columns).",
    "nli": "Natural language inference on TSV, CSV or JSONL: premise, hypothesis, label.",
    "classify": "Classification on TSV, CSV or JSONL: text, label.",
    "qa": "Question answering on SQuAD JSON, version 1 or 2.",
}
#: What the columns of a table hold, in the order of ``columns``.
COLUMNS = {"pos": ("word", "tag"), "ner": ("word", "tag"), "nli": ("premise", "hypothesis", "label"),
           "classify": ("text", "label")}  # fmt: skip
#: How a parser's scores become heads: the best tree, or each word's best head by itself.
DECODERS = ("tree", "greedy")

#: What counts as an entity: see :mod:`sftkit.tasks.ner`.
SCHEMES = ("strict", "conlleval")


def parse_pair(name: str, text: str, example: str) -> tuple[str, str]:
    """``DATE=O`` as a pair.

    Args:
        name: the option that it was given to, such as "--map-label".
        text: what was given.
        example: how to write it, such as "OLD=NEW, such as DATE=O".

    Raises:
        SettingsError: if there is no equals sign, or nothing beside it.
    """
    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise SettingsError(f"{name} {text}: write {example}.")
    return old, new


def parse_map_label(text: str) -> tuple[str, str]:
    """``DATE=O`` as a pair.

    Raises:
        SettingsError: if there is no equals sign, or nothing beside it.
    """
    return parse_pair("--map-label", text, "OLD=NEW, such as DATE=O")


def parse_where(text: str) -> tuple[str, str]:
    """``language=sw`` as a pair.

    Raises:
        SettingsError: if it is written otherwise.
    """
    return parse_pair("--where", text, "COLUMN=VALUE, such as language=sw")


def parse_columns(text: str) -> tuple[str, ...]:
    """``text,label`` as its parts."""
    return tuple(text.split(",")) if text else ()


@dataclass(frozen=True)
class TaskOptions:
    """How data is read and scored: a table of options, which say what they are; here stands what there is beside that.

    Attributes:
        map_label: (label in the data, what it is taken for), for both training and scoring. In named entity
            recognition the labels are entity types, and "O" stands for no entity.
        columns: the columns of a table that hold the texts and the label, in this order: their names, or their numbers
            from 1 in a file that has no header; none: found by their names. In a file with a word a line the numbers of
            the word's column and the tag's.
        where: (column, value): of a table only the rows that have this value there, and all others like it.
        scheme_in: the scheme of a file's tags, one of ``TAG_SCHEMES``; "": seen from the tags.
        strict_answers: answers that do not stand in their context where the data says are else not trained on.
        language: by whose rules answers are compared, one of ``LANGUAGES``; "": SQuAD's.
        paper_compat: score as the paper's code does: parsers without words that hang from the root, entities by
            "conlleval".
        scheme: one of ``SCHEMES``; None: "strict", or with ``paper_compat`` "conlleval".
        max_lines: of each text only so many lines, from its beginning, blank ones not counted; None: all.
        pack: windows of text are full, and run on from line to line; otherwise each has tokens of one line only. It
            holds for the text that is learned from and for that which is scored.
        streaming: read data sets on the hub as streams, without fetching them. Changes nothing of what is learned.
    """

    map_label: tuple[tuple[str, str], ...] = option(
        (), "take a label for another; DATE=O leaves an entity type out.", READING,
        metavar="OLD=NEW", read=parse_map_label, about=("ner", "nli", "classify"),
    )  # fmt: skip
    columns: tuple[str, ...] = option(
        (), "the columns of the texts and the label; of words and tags: their numbers.", READING,
        metavar="A,B,…", read=parse_columns, joined=True, about=("pos", "ner", "nli", "classify"),
    )  # fmt: skip
    where: tuple[tuple[str, str], ...] = option(
        (), "only the rows with this value, such as language=sw.", READING,
        metavar="COLUMN=VALUE", read=parse_where, about=("nli", "classify"),
    )  # fmt: skip
    scheme_in: str = option(
        "",
        "the scheme of the data's tags, where it is seen wrongly.",
        READING,
        metavar="SCHEME",
        choices=TAG_SCHEMES,
        about=("ner",),
    )
    strict_answers: bool = option(
        False, "refuse answers that do not stand where the data says.", READING, about=("qa",)
    )
    language: str = option(
        "", "compare answers by this language's rules, as MLQA does; else by SQuAD's.", READING,
        choices=LANGUAGES, about=("qa",),
    )  # fmt: skip
    subtypes: bool = option(False, "keep subtypes of relations (nmod:poss).", READING, about=("dep",))
    decode: str = option("tree", "the best tree, or each word's best head.", READING, choices=DECODERS, about=("dep",))
    paper_compat: bool = option(
        False, "score as the paper's code does: no root words; --scheme conlleval.", READING, about=("dep", "ner")
    )
    scheme: str | None = option(
        None, "is an I- that continues nothing no entity, or does it begin one?", READING,
        choices=SCHEMES, about=("ner",), unsaid="strict",
    )  # fmt: skip
    stride: int = option(128, "tokens that two windows of a passage share.", READING, check=FROM_0, about=("qa",))
    max_lines: int | None = option(
        None, "the first N lines of each text.", READING, check=POSITIVE, about=("mlm", "clm")
    )
    pack: bool = option(
        True, "windows full of text, that run on from line to line; or one line at a time.", READING,
        "--pack/--no-pack", about=("mlm", "clm"),
    )  # fmt: skip
    streaming: bool = option(False, "read hf:// as a stream; only its tokens are kept.", READING, about=("mlm", "clm"))

    @property
    def labels(self) -> dict[str, str]:
        """``map_label`` as a dictionary."""
        return dict(self.map_label)

    @property
    def entities(self) -> str:
        """The scheme in force."""
        return self.scheme or ("conlleval" if self.paper_compat else "strict")


NO_OPTIONS = TaskOptions()


def names_about(objective: str) -> list[str]:
    """The names of the options that are about an objective."""
    return [each.name for each in fields(TaskOptions) if objective in _about(each)]


def options_about(options: TaskOptions, objective: str) -> dict[str, Any]:
    """Those options that are about an objective, by name; not ``streaming``, which changes nothing that is learned."""
    about = (name for name in names_about(objective) if name != "streaming")
    return {name: options.entities if name == "scheme" else getattr(options, name) for name in about}


def _about(field: Any) -> tuple[str, ...]:
    return tuple(field.metadata["option"].about)


def check_options(options: TaskOptions, objective: str) -> None:
    """Refuse options that are about other objectives, and values that make no sense.

    Raises:
        SettingsError: naming the option.
    """
    for field in fields(options):
        if getattr(options, field.name) != field.default and objective not in _about(field):
            named = " and ".join(f"--{name}" for name in _about(field))
            name = option_of(f"no-{field.name}" if field.default is True else field.name)
            raise SettingsError(f"{name} is about {named}, not --{objective}.")
    check_each(options)
    if options.columns and len(options.columns) != len(COLUMNS[objective]):
        raise SettingsError(
            f"--columns {','.join(options.columns)}: name {len(COLUMNS[objective])} columns, those of "
            f"{', '.join(COLUMNS[objective])}."
        )
    for label in (label for pair in options.map_label for label in pair if objective == "ner"):
        if label[:2] in ("B-", "I-"):
            raise SettingsError(f"--map-label: {label} is a tag; name entity types, such as {label[2:]}=O.")
    if options.scheme == "strict" and options.paper_compat:
        raise SettingsError("--paper-compat scores entities by --scheme conlleval, not strict: leave one of them out.")


def check_streams(options: TaskOptions, sources: Sequence[str]) -> None:
    """See that there is something to stream, if that was asked for.

    Raises:
        SettingsError: if all sources are local files.
    """
    if options.streaming and sources and not any(source.startswith("hf://") for source in sources):
        raise SettingsError("--streaming is about data sets on the hub (hf://owner/name): local files never need it.")
