"""``sftkit data``: a look at data before training."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from sftkit.cli.options import shared
from sftkit.cli.options.declared import Given, takes
from sftkit.cli.show import render
from sftkit.cli.show.render import Column
from sftkit.declared import BASE, DATA
from sftkit.tasks.options import FILES, TaskOptions
from sftkit.training.settings import Settings, settings_for

if TYPE_CHECKING:
    from sftkit.tasks.look import Look, Part

_MOST_LABELS = 60
#: A file without an option is told what it looks like.
CONTEXT = {"allow_extra_args": True}


#: What is said about a task's data, but for how it is scored.
_READING = (
    "map_label",
    "columns",
    "where",
    "scheme_in",
    "strict_answers",
    "subtypes",
    "max_lines",
    "pack",
    "streaming",
)


@takes(FILES, (TaskOptions, *_READING), (Settings, "max_length", "trust_remote_code"))
def data(
    given: Given,
    ctx: typer.Context,
    dev: Annotated[
        list[str] | None, typer.Option("--dev", metavar="FILE", help="Development data.", rich_help_panel=DATA)
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option("--test", metavar="FILE", help="Test data.", rich_help_panel=DATA)
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="MODEL",
            help="Count pieces as this base's tokenizer has them ($SFTKIT_BASE).",
            rich_help_panel=BASE,
        ),
    ] = None,
    quiet: shared.Quiet = False,
    json: shared.Json = False,
) -> None:
    """Look at data before training: counts, labels, pieces, what windows cut, duplicates, what is suspicious.

    \b
    Examples:
      sftkit data --pos train.conllu --dev dev.conllu --base mmt-small/
      sftkit data --ner train.txt --test test.txt --json
      sftkit data --mlm corpus.txt --base bert-base-multilingual-cased
    """
    if ctx.args:
        shared.say_what_for(ctx.args[0], given)
    objective, sources = shared.one_objective(given)
    options = shared.task_options(given.of(TaskOptions), objective, sources)
    from sftkit.tasks.readers.local import check_local

    check_local([*sources, *(dev or ()), *(test or ())])
    from sftkit.cli.run.bases import model_folder

    base = base or os.environ.get("SFTKIT_BASE")
    folder = model_folder(base, quiet=quiet) if base else None
    from sftkit.cli.show.bar import counting_bar
    from sftkit.modeling.load import load_tokenizer
    from sftkit.modeling.longest import longest_by_config
    from sftkit.tasks.look import look_at
    from sftkit.tasks.registry import OBJECTIVES

    tokenizer = None
    if folder is not None:
        words = OBJECTIVES[objective].takes_words
        tokenizer = load_tokenizer(folder, words=words, trust_remote_code="trust_remote_code" in given)
    window = given.get("max_length", settings_for(objective).max_length)
    if folder is not None and tokenizer is not None:
        window = min(window, longest_by_config(folder, tokenizer))
    named = {"train": sources, "dev": tuple(dev or ()), "test": tuple(test or ())}
    with counting_bar(quiet=quiet) as bar:
        found = look_at(
            objective, {name: each for name, each in named.items() if each}, options, tokenizer, window, bar.reading
        )
    if json:
        render.as_json(found.document())
        return
    _show(found)
    if folder is None and not quiet:
        render.note("--base MODEL counts pieces, what its tokenizer does not know, and windows, too.")
    for text in () if quiet else found.notes:
        render.note(text)


def _show(found: Look) -> None:
    parts = found.parts
    alone = list(parts) == ["train"]  # then it may as well be a test set
    names = [Column("data" if alone else name, number=True) for name in parts]
    rows = [[title, *(_cell(part, title, found, name) for name, part in parts.items())] for title in _ROWS]
    render.table(f"--{found.objective}", [Column(""), *names], [row for row in rows if any(row[1:])])
    labels = list(dict.fromkeys(label for part in parts.values() for label, _ in part.labels.most_common()))
    if labels:
        cells = [[label, *(_counted(part, label) for part in parts.values())] for label in labels[:_MOST_LABELS]]
        more = f"and {len(labels) - _MOST_LABELS:,} others: --json" if len(labels) > _MOST_LABELS else ""
        render.table("Labels", [Column("label"), *names], cells, caption=more)


_ROWS = ("examples", "words", "words an example", "longest, words", "pieces a word", "unknown pieces",
         "longer than a window", "windows", "tokens", "the same as an earlier one",
         "in the training data, too")  # fmt: skip


def _cell(part: Part, title: str, found: Look, name: str) -> str:
    shared = found.shared.get(name)
    pieces = part.pieces
    return {
        "examples": f"{part.examples:,}",
        "words": f"{part.words:,}",
        "words an example": f"{part.words / max(1, part.examples):.1f}",
        "longest, words": f"{part.longest:,}",
        "pieces a word": "" if pieces is None else f"{pieces / max(1, part.words):.2f}",
        "unknown pieces": "" if pieces is None else f"{100 * part.unknown / max(1, pieces):.3g} %",
        "longer than a window": "" if pieces is None else f"{part.over:,} (more than {found.window:,} tokens)",
        "windows": "" if part.windows is None else f"{part.windows[0]:,}",
        "tokens": "" if part.windows is None else f"{part.windows[1]:,}",
        "the same as an earlier one": f"{part.twice:,}",
        "in the training data, too": "" if shared is None else f"{shared:,}",
    }[title]


def _counted(part: Part, label: str) -> str:
    count = part.labels[label]
    return f"{count:,} ({render.share(count / part.labels.total())})" if count else "–"
