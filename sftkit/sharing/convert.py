"""``pytorch_diff.bin`` to ``.sft`` and back.

The reference's files say nothing of their base, task or training. What can be told from their names is told (the
prefix, a language model's head, a question-answering head); the rest comes from the caller, or is guessed and said so.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftkit.checkpoints.checkpoint import Checkpoint
from sftkit.checkpoints.fingerprint import identify
from sftkit.checkpoints.names import dotted, is_pooler, model_prefix, modern
from sftkit.checkpoints.wrappers import check_no_adapter
from sftkit.errors import FormatError, MismatchError, SettingsError
from sftkit.format.difference import density
from sftkit.format.encoding import Positions, Values
from sftkit.format.files import SftFile
from sftkit.format.metadata import LANGUAGE_OBJECTIVES, Metadata, ParameterSpec
from sftkit.format.sft import check_rows
from sftkit.format.writing import write_part
from sftkit.sharing.pytorch_diff import FILE_NAME, Components, Entries, read_components, write_components
from sftkit.shown import called
from sftkit.storage.atomic import atomic_file, check_output
from sftkit.storage.nearby import no_such

# The prefixes under which models keep their backbone.
_PREFIXES = ("bert", "roberta", "distilbert", "deberta", "electra", "albert", "xlm", "mpnet", "transformer", "model")
_LM_HEADS = ("cls.", "lm_head.", "vocab_", "generator_", "lm_predictions.", "mask_predictions.", "predictions.")


@dataclass(frozen=True)
class ConvertReport:
    """What was converted.

    Attributes:
        output: the ``.sft`` file, or the directory that holds ``pytorch_diff.bin``.
        k: entries.
        density: of the backbone, or, where no base was given, of the parameters that the file names.
        objective: what the SFT was trained for, given or guessed; "" if that is unknown.
        head: name and shape of each tensor of the head.
        notes: what the user may want to know.
    """

    output: Path
    k: int
    density: float
    objective: str
    head: Mapping[str, tuple[int, ...]]
    notes: tuple[str, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        """The document that ``convert --json`` prints."""
        head = [{"name": name, "shape": list(shape)} for name, shape in self.head.items()]
        return {
            "output": str(self.output), "k": self.k, "density": self.density, "objective": self.objective, "head": head
        }  # fmt: skip


@dataclass(frozen=True)
class _Converted:
    """The SFT that a file in the reference's layout stands for; satisfies ``Difference``."""

    diffs: Mapping[str, Entries]
    metadata: Metadata
    head: Mapping[str, NDArray[Any]]
    digest: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters that have entries, sorted."""
        return tuple(sorted(name for name, entries in self.diffs.items() if len(entries.positions)))

    def entries(self, name: str) -> tuple[Positions, Values]:
        """Flat row-major positions and values of one parameter."""
        return self.diffs[name].positions, self.diffs[name].values


def to_sft(
    source: Path,
    output: Path,
    *,
    base: Path | None = None,
    base_name: str = "",
    objective: str = "",
    labels: Sequence[str] = (),
    values: str = "f32",
    overwrite: bool = False,
) -> ConvertReport:
    """Convert a directory with ``pytorch_diff.bin``, or that file itself, to a ``.sft`` file.

    Args:
        source: directory or file.
        output: the ``.sft`` file.
        base: directory of the base it was learned on; without it no fingerprint is recorded, and the density is that
            of the parameters that the file names.
        base_name: what to record as the base's name; by default its path.
        objective: what it was trained for; guessed from the head's names by default.
        labels: those of a task, in the order of the head's rows; the file does not say them.
        values: "f32", "bf16" or "f16".
        overwrite: replace an existing file.

    Raises:
        FormatError: if the file is malformed.
        MismatchError: if it does not fit the base.
        SettingsError: if there are more or fewer labels than the head has rows.
        OutputExistsError: if ``output`` exists and ``overwrite`` is false.
    """
    file = source / FILE_NAME if source.is_dir() else source
    check_output(output, overwrite=overwrite, inputs=(file,))
    if not source.exists():
        raise FormatError(no_such(source, "file or directory"))
    if not file.exists():
        check_no_adapter(source)
        model = (source / "config.json").is_file()
        apart = f" A model's difference from its base is an SFT: sftkit subtract {source} BASE -o {output}" * model
        raise FormatError(f"{source}: holds no {FILE_NAME}.{apart}")
    components = read_components(file)
    _check_head(components.head, labels, file)
    checkpoint = Checkpoint(base) if base else None
    diffs = _canonical(components.diffs, checkpoint, file)
    specs = {name: ParameterSpec(entries.shape, "float32") for name, entries in diffs.items()}
    notes: list[str] = []
    if checkpoint is None:
        notes.append("No base given: no fingerprint is recorded. With --base DIR it would be.")
    else:
        _check_shapes(specs, checkpoint, file)
        specs |= {name: spec for name, spec in checkpoint.parameters.items() if name in specs or not is_pooler(name)}
    if not objective:
        objective, note = _guess(components.head, diffs)
        notes += [note] if note else []
    k = sum(len(entries.positions) for entries in diffs.values())
    check_rows((specs[name] for name in diffs if len(diffs[name].positions)), k, str(file))
    if components.head and objective not in ("", *LANGUAGE_OBJECTIVES) and not labels:
        notes.append("The file does not say the task's labels; without --labels A,B,… no command can score with it.")
    recorded = identify(checkpoint, base_name or str(base))() if checkpoint else None
    metadata = Metadata(specs, k, density(k, specs.values()), recorded, objective, labels=tuple(labels))
    sft = _Converted(diffs, metadata, components.head)
    with atomic_file(output, overwrite=overwrite) as part:
        write_part(part, sft, values=values)
        report = _checked_part(part, output, k if values == "f32" else None)
    return replace(report, notes=tuple(notes))


def converted(path: Path, name: str = "") -> Path:
    """A ``.sft`` file with what a directory or file in the reference's layout holds, for as long as the program runs.

    Args:
        path: the directory or file.
        name: what the file is to be called, without its ending.

    Raises:
        FormatError: as :func:`to_sft`.
    """
    folder = tempfile.TemporaryDirectory(prefix="sftkit-")
    atexit.register(folder.cleanup)
    made = Path(folder.name) / f"{name or path.name}.sft"
    to_sft(path, made)
    return made


def to_directory(source: Path, output: Path, *, model_type: str = "", overwrite: bool = False) -> ConvertReport:
    """Convert a ``.sft`` file to a directory with ``pytorch_diff.bin`` that the reference implementation loads.

    Args:
        source: the ``.sft`` file.
        output: the directory; made if there is none.
        model_type: of the base, such as "xlm-roberta"; by default what the SFT says.
        overwrite: replace an existing ``pytorch_diff.bin``.

    Raises:
        FormatError: if the SFT is malformed.
        SettingsError: if the base's model type is not known, and with it the names that the reference expects.
        OutputExistsError: if the file exists and ``overwrite`` is false.
    """
    file = SftFile(source)
    kind = model_type or (file.metadata.base.model_type if file.metadata.base else "")
    if not kind:
        raise SettingsError(f"{source} does not say what its base is; give it with --base DIR.")
    diffs = {}
    for name in file.names:
        prefix = "" if name == file.metadata.output else dotted(model_prefix(kind))
        diffs[prefix + name] = Entries(file.metadata.parameters[name].shape, *file.entries(name))
    k = sum(len(entries.positions) for entries in diffs.values())
    file.check_count(k)
    new = not output.exists()
    try:
        write_components(output / FILE_NAME, Components(diffs, dict(file.head)), overwrite=overwrite)
    except BaseException:
        if new and output.is_dir():
            output.rmdir()
        raise
    notes = [
        f"{name} has {len(entries.shape)} dimensions: older versions of the reference place its entries wrongly."
        for name, entries in diffs.items()
        if len(entries.shape) not in (1, 2)
    ]
    head = {name: array.shape for name, array in sorted(file.head.items())}
    metadata = file.metadata
    total = density(k, metadata.parameters.values())
    return ConvertReport(output, k, total, metadata.objective, head, tuple(notes[:1]))


def checked(path: Path, k: int | None = None) -> ConvertReport:
    """Read a file as a whole; a new one's K is compared with what went in.

    Raises:
        FormatError: if anything in it is not what the format asks for.
    """
    file = SftFile(path)
    entries = sum(len(file.entries(name)[0]) for name in file.names)
    file.check_count(entries)
    if k is not None and entries != k:
        raise FormatError(f"{path}: {entries:,} entries were written of {k:,}. This is a bug; please report it.")
    head = {name: array.shape for name, array in sorted(file.head.items())}
    return ConvertReport(path, entries, file.metadata.density, file.metadata.objective, head)


def _checked_part(part: Path, output: Path, k: int | None) -> ConvertReport:
    """What :func:`checked` says of a file that has not its name yet, under that name."""
    try:
        return replace(checked(part, k), output=output)
    except FormatError as error:
        raise FormatError(str(error).replace(str(part), str(output))) from None


def _check_head(head: Mapping[str, NDArray[Any]], labels: Sequence[str], file: Path) -> None:
    """Refuse values that are not finite, and labels that are not as many as the rows."""
    for name, array in head.items():
        if not np.isfinite(np.asarray(array, np.float64)).all():
            raise FormatError(f"{file}: {name}, of the head, holds a value that is not finite. The file is damaged.")
    if labels and not any(array.shape[:1] == (len(labels),) for array in head.values()):
        raise SettingsError(
            f"--labels names {len(labels)} labels, and no tensor of the head in {file} has as many rows"
        )


def _canonical(diffs: Mapping[str, Entries], checkpoint: Checkpoint | None, file: Path) -> dict[str, Entries]:
    prefix = _prefix(diffs, checkpoint)
    stray = [name for name in diffs if not name.startswith(prefix) and len(diffs[name].positions)]
    if stray:
        raise FormatError(f"{file}: {stray[0]} is no part of the backbone ({prefix}…), and cannot be in an SFT.")
    names: dict[str, str] = {}
    for old in (name for name in diffs if name.startswith(prefix)):
        name = modern(old.removeprefix(prefix))
        if not name:
            raise FormatError(f"{file}: {old!r} names no parameter. The file is damaged.")
        if name in names:
            raise FormatError(f"{file}: {called(names[name])} and {called(old)} are the same parameter; leave one out.")
        names[name] = old
    return {name: diffs[old] for name, old in names.items()}


def _prefix(names: Iterable[str], checkpoint: Checkpoint | None) -> str:
    """The prefix, dot included, that most of the names carry; "" for a bare backbone's."""
    names = list(names)
    known = [f"{prefix}." for prefix in _PREFIXES]
    if checkpoint is not None:
        known = [checkpoint.prefix or dotted(model_prefix(checkpoint.model_type))]
    counts = {prefix: sum(name.startswith(prefix) for name in names) for prefix in known}
    best = max(counts, key=lambda prefix: counts[prefix])
    if best == "transformer." and any(name.startswith("transformer.layer.") for name in names):
        return ""  # a bare DistilBERT; GPT-2's layers are transformer.h
    return best if counts[best] else ""


def _check_shapes(specs: Mapping[str, ParameterSpec], checkpoint: Checkpoint, file: Path) -> None:
    for name, spec in specs.items():
        own = checkpoint.parameters.get(name)
        if own is None and not is_pooler(name):
            raise MismatchError(f"{file}: {name} is no parameter of {checkpoint.path}. Was it learned on another base?")
        if own is not None and own.shape != spec.shape:
            raise MismatchError(
                f"{file}: {name} has shape {list(spec.shape)}, in {checkpoint.path} {list(own.shape)}. "
                "Was it learned on another base?"
            )


def _guess(head: Mapping[str, Any], diffs: Mapping[str, Entries]) -> tuple[str, str]:
    """Objective, and what to tell the user of it, from the head's names."""
    if not head:
        return "", ""
    if all(name.startswith(_LM_HEADS) for name in head):
        return "mlm", ""
    if any(name.startswith("qa_outputs.") for name in head):
        return "qa", ""
    if any("affine" in name for name in head):
        return "dep", ""
    guess = "classify" if any(is_pooler(name) for name in [*diffs, *head]) or len(head) > 2 else "pos"
    return guess, f"The head ({next(iter(head))}) is taken for one of {guess}; if it is not, say so with --objective."
