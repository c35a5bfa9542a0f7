"""Data sources as the command line names them: local files, and ``hf://dataset[:config][:split]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import xxhash
from datasets import Dataset, concatenate_datasets

from sftkit.errors import DataError
from sftkit.tasks.readers.encodings import check_line_ends, check_packed, conversion
from sftkit.tasks.readers.local import HUB, local_file

#: Told what is being done with which source, how many lines were read, and what share of it that is, where it is known.
Reading = Callable[[str, int, float | None], None]


def nobody(what: str, lines: int, share: float | None) -> None:
    """The :data:`Reading` of nobody."""


def read_text(source: str) -> str:
    """The whole of a local text file.

    Raises:
        DataError: as :func:`local_file`, or if it is not UTF-8 (names the line), or its lines end as on old Macs.
    """
    raw = local_file(source).read_bytes()
    check_packed(source, raw)
    if (nul := raw.find(0)) >= 0:  # UTF-16 without a mark would pass as UTF-8 with them
        line = raw.count(b"\n", 0, nul) + 1
        raise DataError(f"{source}, line {line}: a NUL byte, so it is not UTF-8 text.{conversion(source, raw, nul)}")
    check_line_ends(source, raw)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        told = conversion(source, raw, error.start)
        raise DataError(f"{source}, line {line}: not UTF-8 text ({error.reason}).{told}") from None


def hub_rows(source: str) -> Dataset:
    """Rows of ``hf://dataset[:config][:split]``; the split is "train" where none is named.

    Raises:
        DataError: if ``datasets`` cannot load it.
    """
    name, config, split = _hub_parts(source)
    with understood(source, "datasets cannot load it"):
        return datasets.load_dataset(name, config, split=split)


@dataclass(frozen=True)
class HubText:
    """A data set on the hub, fetched or as a stream.

    Attributes:
        rows: a ``Dataset`` or ``IterableDataset``.
        key: what the rows follow from, of JSON's types.
        count: how many rows, if that is known.
    """

    rows: Any
    key: list[Any]
    count: int | None


def hub_text(source: str, *, streaming: bool) -> HubText:
    """Rows of ``hf://dataset[:config][:split]``, and what they follow from.

    A stream's key has its files as ``datasets`` resolved them, each with the commit that it is of, or, in a local
    directory, with the time of its last change. The fingerprint of fetched rows would do, were it not the same after
    the files of a local directory changed; so theirs has the Arrow files, too.

    Raises:
        DataError: if ``datasets`` cannot load it.
    """
    if not streaming:
        rows = hub_rows(source)
        stats = [Path(each["filename"]).stat() for each in rows.cache_files]
        return HubText(rows, [rows._fingerprint, [[each.st_size, each.st_mtime_ns] for each in stats]], len(rows))
    name, config, split = _hub_parts(source)
    with understood(source, "datasets cannot stream it"):
        builder = datasets.load_dataset_builder(name, config)
        stream = builder.as_streaming_dataset(split=split)
    files = {str(part): [list(each), each.origin_metadata] for part, each in (builder.config.data_files or {}).items()}
    known = (builder.info.splits or {}).get(split)
    made_by = [builder.dataset_name, builder.config_id, str(builder.config.version), builder.hash]
    return HubText(stream, [*made_by, files, split], known.num_examples if known else None)


def _hub_parts(source: str) -> tuple[str, str | None, str]:
    """Name, config and split."""
    name, *rest = source.removeprefix(HUB).split(":")
    if not name or len(rest) > 2:
        raise DataError(f"{source}: write {HUB}owner/name[:config][:split].")
    return name, rest[0] if len(rest) > 1 else None, rest[-1] if rest else "train"


@contextmanager
def understood(source: str, what: str) -> Iterator[None]:
    """Whatever ``datasets`` raises (dozens of kinds, builtin ones among them) as one line; and it shows no bars.

    Raises:
        DataError: naming the source, and what could not be done.
    """
    try:
        with quiet_datasets():
            yield
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise DataError(f"{source}: {what} ({type(error).__name__}: {reason}).") from error


def hub_table(source: str, columns: Mapping[str, Sequence[str]], rows: Dataset | None = None) -> Dataset:
    """Rows of a data set on the hub, with columns under our names and labels as words.

    Args:
        source: ``hf://dataset[:config][:split]``.
        columns: our name -> names that the column may have there.
        rows: those that are meant; None: all.

    Raises:
        DataError: if a column is missing, naming those that are there.
    """
    rows = hub_rows(source) if rows is None else rows
    return Dataset.from_dict({ours: hub_column(source, rows, names) for ours, names in columns.items()})


def hub_column(source: str, rows: Dataset, names: Sequence[str]) -> list[Any]:
    """The first column that there is of some, labels as words.

    Raises:
        DataError: if there is none of them, naming those that are there.
    """
    there = [name for name in names if name in rows.column_names]
    if not there:
        raise DataError(
            f"{source}: has no column {' or '.join(map(repr, names))}, only {', '.join(rows.column_names)}."
        )
    return _in_words(rows, there[0])


def _in_words(rows: Dataset, column: str) -> list[Any]:
    """A column's values, numbers that stand for labels replaced by the labels."""
    kind = rows.features[column]
    values: list[Any] = rows[column][:]
    inner = getattr(kind, "feature", None)
    if isinstance(kind, datasets.ClassLabel):
        return [None if value is None or value < 0 else kind.int2str(value) for value in values]
    if isinstance(inner, datasets.ClassLabel):
        return [[inner.int2str(value) for value in row] for row in values]
    return values


def joined(parts: Sequence[Dataset]) -> Dataset:
    """Several data sets one after the other."""
    return parts[0] if len(parts) == 1 else concatenate_datasets(list(parts))


#: The most examples of a source that are held out, whatever the share: more tell little, and cost time at each scoring.
MOST_HELD_OUT = 10_000
#: Fewer than so many examples do not tell a good step from a better one.
FEW_HELD_OUT = 50


def number_held_out(count: int, share: float, source: str) -> int:
    """How many of so many examples are held out: a share of them, at least one and at most ``MOST_HELD_OUT``.

    Raises:
        DataError: if there are fewer than two.
    """
    if count < 2:
        raise DataError(f"{source}: too few examples ({count}) to hold some out. Give more data, or --dev FILE.")
    return min(max(1, round(share * count)), count - 1, MOST_HELD_OUT)


def digest(source: str, watch: Callable[[float], None] | None = None) -> dict[str, str]:
    """A source's name and, for a local file, the xxh3-128 of its bytes: what a training record says of its data.

    Args:
        source: a local file, or a data set on the hub.
        watch: told what share of the bytes was read.
    """
    if source.startswith(HUB):
        return {"name": source}
    hasher, path = xxhash.xxh3_128(), Path(source)
    with path.open("rb") as file:
        while piece := file.read(1 << 22):
            hasher.update(piece)
            if watch is not None:
                watch(file.tell() / path.stat().st_size)
    return {"name": path.name, "xxh3_128": hasher.hexdigest()}


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """Silence datasets' progress bars and log: progress and errors are shown by whoever runs the command."""
    shown, level = not datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if shown:
            datasets.enable_progress_bars()
