"""Options that several commands share, and what they mean together."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sftkit.errors import SettingsError
from sftkit.shown import brief
from sftkit.storage.nearby import did_you_mean
from sftkit.storage.places import at_home
from sftkit.tasks.options import TaskOptions, check_options, check_streams, parse_map_label, parse_pairs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MlmFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--mlm", metavar="FILE", help="Masked language modelling on plain text, a sentence or paragraph a line."
    ),
]
ClmFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--clm", metavar="FILE", help="Causal language modelling on plain text, a sentence or paragraph a line."
    ),
]
PosFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--pos", metavar="FILE", help="Part-of-speech tagging on CoNLL-U (UPOS column), or a word and its tag a line."
    ),
]
DepFiles = Annotated[
    list[str] | None,
    typer.Option("--dep", metavar="FILE", help="Dependency parsing on CoNLL-U (HEAD and DEPREL columns)."),
]
NerFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--ner", metavar="FILE", help="Named entity recognition on a word and its tag a line (BIO, BIOES, …)."
    ),
]
NliFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--nli", metavar="FILE", help="Natural language inference on TSV, CSV or JSONL: premise, hypothesis, label."
    ),
]
ClassifyFiles = Annotated[
    list[str] | None,
    typer.Option("--classify", metavar="FILE", help="Classification on TSV, CSV or JSONL: text, label."),
]
QaFiles = Annotated[
    list[str] | None, typer.Option("--qa", metavar="FILE", help="Question answering on SQuAD JSON, version 1 or 2.")
]
_DATA = "About the data"
MapLabel = Annotated[
    list[str] | None,
    typer.Option(
        "--map-label",
        metavar="OLD=NEW",
        help="ner, nli, classify: take a label for another; DATE=O leaves an entity type out.",
        rich_help_panel=_DATA,
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns",
        metavar="A,B,…",
        help="nli, classify: the columns of the texts and the label; pos, ner: the numbers of word and tag.",
        rich_help_panel=_DATA,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="COLUMN=VALUE",
        help="nli, classify: only the rows with this value, such as language=sw.",
        rich_help_panel=_DATA,
    ),
]
SchemeIn = Annotated[
    str,
    typer.Option(
        "--scheme-in",
        metavar="iob1|iob2|bioes|…",
        help="ner: the scheme of the data's tags, where it is seen wrongly.",
        rich_help_panel=_DATA,
    ),
]
StrictAnswers = Annotated[
    bool,
    typer.Option(
        "--strict-answers",
        help="qa: refuse answers that do not stand where the data says.",
        rich_help_panel=_DATA,
    ),
]
Language = Annotated[
    str,
    typer.Option(
        "--language",
        metavar="ar|de|en|es|hi|vi|zh",
        help="qa: compare answers by this language's rules, as MLQA does; else by SQuAD's.",
        rich_help_panel=_DATA,
    ),
]
Subtypes = Annotated[
    bool, typer.Option("--subtypes", help="dep: keep subtypes of relations (nmod:poss).", rich_help_panel=_DATA)
]
Decode = Annotated[
    str,
    typer.Option(
        "--decode", metavar="tree|greedy", help="dep: the best tree, or each word's best head.", rich_help_panel=_DATA
    ),
]
PaperCompat = Annotated[
    bool,
    typer.Option(
        "--paper-compat",
        help="Score as the paper's code does.  dep: no root words; ner: --scheme conlleval.",
        rich_help_panel=_DATA,
    ),
]
Scheme = Annotated[
    str | None,
    typer.Option(
        "--scheme",
        metavar="strict|conlleval",
        help="ner: is an I- that continues nothing no entity, or does it begin one?  Default: strict.",
        rich_help_panel=_DATA,
    ),
]
Stride = Annotated[
    int,
    typer.Option("--stride", min=0, help="qa: tokens that two windows of a passage share.", rich_help_panel=_DATA),
]
MaxLines = Annotated[
    int | None,
    typer.Option(
        "--max-lines", metavar="N", min=1, help="mlm, clm: the first N lines of each text.", rich_help_panel=_DATA
    ),
]
Pack = Annotated[
    bool,
    typer.Option(
        "--pack/--no-pack",
        help="mlm, clm: windows full of text, that run on from line to line; or one line at a time.",
        rich_help_panel=_DATA,
    ),
]
Streaming = Annotated[
    bool,
    typer.Option(
        "--streaming", help="mlm, clm: read hf:// as a stream; only its tokens are kept.", rich_help_panel=_DATA
    ),
]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME=LANG.sft:FILE",
        help="One of several source languages: its SFT is on while its batches are learned.",
    ),
]
ObjectiveName = Annotated[
    str | None, typer.Option("--objective", metavar="pos|dep|…", help="What --source files are for, if they are all.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else to standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to compute.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that comes with the model.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of everything that is drawn at random.")]


#: Of a file of options.
_MOST_BYTES = 1 << 20


def _read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make a TOML file's values the defaults of the command's options.

    Raises:
        typer.BadParameter: if it cannot be read, or names an option that there is not.
    """
    if path is None:
        return None
    path = at_home(path)
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise ValueError(f"more than {_MOST_BYTES:,} bytes, which no file of options has")
        values = tomllib.loads(text.decode())
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}.{did_you_mean(path)}") from None
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{path}: no TOML that can be read ({brief(str(error), 200)}).") from None
    known = {option.removeprefix("--"): each.name for each in ctx.command.params for option in each.opts}
    for name in values:
        if name.replace("_", "-") not in known:
            raise typer.BadParameter(f"{path}: there is no option --{brief(name)}.")
    ctx.default_map = {str(known[name.replace("_", "-")]): _as_typed(value) for name, value in values.items()}
    return path


def _as_typed(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list) and value and isinstance(value[0], float) else value


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        is_eager=True,
        callback=_read_config,
        help="Options by their long names; those on the command line win.",
    ),
]


def task_options(
    map_label: list[str] | None,
    columns: str | None,
    *,
    subtypes: bool,
    decode: str,
    paper_compat: bool,
    scheme: str | None,
    stride: int,
    max_lines: int | None,
    pack: bool,
    streaming: bool,
    objective: str,
    data: Sequence[str] = (),
    where: list[str] | None = None,
    scheme_in: str = "",
    strict_answers: bool = False,
    language: str = "",
) -> TaskOptions:
    """The options about a task's data, together.

    Raises:
        typer.BadParameter: if one makes no sense, or is about another objective.
    """
    try:
        options = TaskOptions(
            map_label=parse_map_label(tuple(map_label or ())),
            columns=tuple(columns.split(",")) if columns else (),
            subtypes=subtypes,
            decode=decode,
            paper_compat=paper_compat,
            scheme=scheme,
            stride=stride,
            max_lines=max_lines,
            pack=pack,
            streaming=streaming,
            where=parse_where(where),
            scheme_in=scheme_in.lower(),
            strict_answers=strict_answers,
            language=language.lower(),
        )
        check_options(options, objective)
        check_streams(options, data)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    return options


def checked_options(
    objective: str, data: Sequence[str], map_label: list[str] | None = None, **given: Any
) -> TaskOptions:
    """Some of the options about a task's data; all others are as nobody named them.

    Raises:
        typer.BadParameter: as :func:`task_options`.
    """
    try:
        options = TaskOptions(map_label=parse_map_label(tuple(map_label or ())), **given)
        check_options(options, objective)
        check_streams(options, data)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    return options


def parse_where(texts: list[str] | None) -> tuple[tuple[str, str], ...]:
    """``language=sw`` as a pair, for each text.

    Raises:
        typer.BadParameter: if it is written otherwise.
    """
    try:
        return parse_pairs("--where", tuple(texts or ()), "COLUMN=VALUE, such as language=sw")
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


DEVICES = ("auto", "cpu", "cuda", "mps")


def one_objective(
    given: dict[str, list[str] | None], name: str | None = None, *, sources: Sequence[object] = ()
) -> tuple[str, tuple[str, ...]]:
    """The one objective that was named, and its data; with sources the name alone will do.

    Raises:
        typer.BadParameter: if none or several were, or a file without a name.
    """
    named = {objective: tuple(files) for objective, files in given.items() if files}
    if name is not None and (name not in given or not sources):
        raise typer.BadParameter(f"--objective {name}: says what --source is for: one of {', '.join(given)}.")
    if name is not None:
        named.setdefault(name, ())
    if not named and sources:
        raise typer.BadParameter(f"Say what --source is for: --objective NAME, one of {', '.join(given)}.")
    if not named:
        options = " or ".join(f"--{name} FILE" for name in given)
        raise typer.BadParameter(f"Say what for: {options}.")
    if len(named) > 1:
        raise typer.BadParameter(f"One objective at a time: {' and '.join(f'--{name}' for name in named)} were given.")
    found, files = next(iter(named.items()))
    if "" in files:
        raise typer.BadParameter(f"--{found}: the name of the file is empty.")
    return found, files


def parse_sources(texts: list[str] | None) -> list[tuple[str, str, str]]:
    """``en=en.sft:en.conllu`` as (name, SFT, data).

    Raises:
        typer.BadParameter: if one is written otherwise, or two have one name.
    """
    found = []
    for text in texts or ():
        match = re.fullmatch(r"([^=]+)=((?:hf://)?[^:]+):(.+)", text)
        if match is None:
            raise typer.BadParameter(f"--source {text}: write NAME=LANG.sft:FILE, such as en=en.sft:en.conllu.")
        found.append((match[1], match[2], match[3]))
    names = [name for name, *_ in found]
    if len(set(names)) < len(names):
        raise typer.BadParameter(f"--source: {max(names, key=names.count)} is there twice.")
    return found


def check_device(device: str) -> str:
    """A known device's name.

    Raises:
        typer.BadParameter: if it is not.
    """
    if device not in DEVICES:
        raise typer.BadParameter(f"--device {device}: known are {', '.join(DEVICES)}.")
    return device


def default_output(source: str) -> Path:
    """``corpus.sft`` in the present folder, for ``any/corpus.txt`` and for ``hf://owner/corpus:config``."""
    name = source.removeprefix("hf://").split(":")[0] if source.startswith("hf://") else source
    return Path(Path(name).with_suffix(".sft").name)
