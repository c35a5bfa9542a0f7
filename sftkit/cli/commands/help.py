"""``sftkit help``: the documentation's pages in the terminal."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import typer

from sftkit.cli.app import SUMMARIES, built
from sftkit.cli.show import render
from sftkit.shown import meant

#: The pages in the order in which one would read them; each is ``sftkit/docs/<name>.md``.
PAGES = (
    "start", "method", "transfer", "training", "machines", "scores", "experiment", "sweeps", "algebra", "python",
    "world", "options", "json", "recipes", "models", "format", "results", "paper", "benchmarks", "coming-from",
    "troubleshooting", "trust", "glossary", "contributing",
)  # fmt: skip


def _topics(incomplete: str) -> list[str]:
    return [each for each in (*PAGES, *SUMMARIES) if each.startswith(incomplete)]


def help(  # noqa: A001 - the command's name
    ctx: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="A page, or a command.", autocompletion=_topics)
    ] = None,
) -> None:
    """Show the documentation's pages: getting started, the method, transfer, troubleshooting and the rest.

    \b
    Examples:
      sftkit help
      sftkit help transfer
      sftkit help train
    """
    if topic is None:
        columns = [render.Column("page"), render.Column("")]
        render.table("sftkit help TOPIC", columns, [(name, _title(page(name))) for name in PAGES])
    elif topic in SUMMARIES:
        command = built(topic)
        typer.echo(command.get_help(type(ctx)(command, info_name=topic, parent=ctx.parent)))
    else:
        render.page(page(_known(topic)))


def page(name: str) -> str:
    """A page's text, in Markdown."""
    return files("sftkit").joinpath(f"docs/{name}.md").read_text(encoding="utf-8")


def _title(text: str) -> str:
    return text.splitlines()[0].lstrip("# ").replace("`", "")


def _known(topic: str) -> str:
    """The page that is meant.

    Raises:
        typer.BadParameter: if there is none, with the nearest ones.
    """
    name = topic.lower().removesuffix(".md").replace("_", "-").replace(" ", "-")
    if name in PAGES:
        return name
    near = (
        meant(name, (*PAGES, *SUMMARIES)) or _speaking_of(topic) or f" There are {', '.join(PAGES)}, and every command."
    )
    raise typer.BadParameter(f"{topic}: there is no such page.{near}")


def _speaking_of(word: str) -> str:
    """The pages in which a word stands, those first that have it most often."""
    counts = {name: page(name).lower().count(word.lower()) for name in PAGES if name != "options"}
    found = sorted((name for name, count in counts.items() if count), key=lambda name: -counts[name])
    return f" The word stands in: {', '.join(found[:4])}." if found and word.strip() else ""
