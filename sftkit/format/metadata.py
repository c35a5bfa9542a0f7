"""What an SFT says of itself: the JSON document in the file's safetensors metadata.

Unknown keys of a newer minor version are ignored on reading. The document says nothing of when or where the file was
made, so that the same run gives the same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sftkit.errors import FormatError
from sftkit.shown import called
from sftkit.storage.documents import NotJson, check_characters, check_levels, parse_json
from sftkit.storage.dtypes import canonical_dtype

FORMAT = "sft"
VERSION = "1"
#: Of the document. One of a model of 100,000 parameters has some 10 million.
MOST_CHARACTERS = 1 << 25


#: What SFTs are learned for: a language, whose model keeps its output, or a task, which has a head of its own.
LANGUAGE_OBJECTIVES = ("mlm", "clm")
TASK_OBJECTIVES = ("pos", "ner", "dep", "nli", "classify", "qa")
OBJECTIVE_NAMES = (*LANGUAGE_OBJECTIVES, *TASK_OBJECTIVES)


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """Shape and dtype ("float32") of one parameter of the backbone that the SFT was learned on."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """(rows, everything else), the shape of the parameter's CSR array."""
        if not self.shape:
            return (1, 1)
        return (self.shape[0], math.prod(self.shape[1:]))


@dataclass(frozen=True, slots=True)
class Base:
    """The base that an SFT belongs to.

    ``fingerprint`` (see :mod:`sftkit.checkpoints.fingerprint`) is that of the base as it was; for a float32 base,
    ``rounded`` holds those of its roundings to bfloat16 and float16: so a half-precision copy of it is recognised.
    """

    name: str
    model_type: str = ""
    revision: str | None = None
    fingerprint: str | None = None
    rounded: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Untied:
    """That the output matrix was untied from the input embedding while training, and the two names."""

    input: str
    output: str


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything in the ``sft`` document. See the format page for what each key means."""

    parameters: Mapping[str, ParameterSpec]
    k: int
    density: float = 0.0
    base: Base | None = None
    objective: str = ""
    method: str = ""
    labels: tuple[str, ...] = ()
    problem_type: str = ""
    head: str | None = None
    tied_embeddings: Untied | None = None
    trained_with: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Mapping[str, Any], ...] = ()

    @property
    def output(self) -> str:
        """Name of the output matrix if φ moves it, as it may in the difference of two untied language models; else "".

        It is a parameter like those of the backbone, by its full name in the model.
        """
        name = self.tied_embeddings.output if self.tied_embeddings is not None else ""
        return name if name in self.parameters else ""

    @property
    def is_task(self) -> bool:
        """Whether the head, if there is one, is a task's and not a language model's."""
        return self.objective not in ("", *LANGUAGE_OBJECTIVES)

    def document(self) -> dict[str, Any]:
        """The ``sft`` document, as plain dictionaries and lists."""
        document = asdict(self)
        if not self.problem_type:  # files of before this key, and heads that say nothing of it, have none
            del document["problem_type"]
        document["parameters"] = {
            name: {"shape": list(spec.shape), "dtype": spec.dtype} for name, spec in sorted(self.parameters.items())
        }
        return document

    def to_strings(self) -> dict[str, str]:
        """The safetensors metadata.

        Raises:
            FormatError: if it is what :meth:`from_strings` would refuse: nested too deep, too long, or no text.
        """
        try:
            check_levels([self.training, self.parents, self.parameters])
            document = self.document()
            check_characters(document)
        except NotJson as error:
            raise FormatError(f"What the SFT says of itself cannot be written: it is {error}.") from None
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if len(text) > MOST_CHARACTERS:
            raise FormatError(
                f"What the SFT says of itself has {len(text):,} characters, more than a file may hold "
                f"({MOST_CHARACTERS:,})."
            )
        return {"format": FORMAT, "format_version": VERSION, "sft": text}

    @staticmethod
    def from_strings(strings: Mapping[str, str], where: str) -> Metadata:
        """Parse safetensors metadata.

        Args:
            strings: the file's ``__metadata__``.
            where: the file's name, for errors.

        Raises:
            FormatError: if this is no SFT, its version is unknown, or its document is malformed.
        """
        if strings.get("format") != FORMAT:
            raise FormatError(f"{where}: a safetensors file, but not an SFT (its metadata lacks format: {FORMAT}).")
        version = str(strings.get("format_version", ""))
        if version.split(".")[0] != VERSION:
            raise FormatError(f"{where}: format version {version or 'missing'}; this program reads version {VERSION}.")
        try:
            text = strings["sft"]
        except KeyError:
            raise FormatError(f"{where}: the metadata document 'sft' is missing. The file is damaged.") from None
        if len(text) > MOST_CHARACTERS:
            raise FormatError(
                f"{where}: the metadata document 'sft' has {len(text):,} characters, more than {MOST_CHARACTERS:,}."
            )
        try:
            document = parse_json(text, parse_constant=_refuse_constant, parse_float=_finite)
        except NotJson as error:
            raise FormatError(f"{where}: the metadata document 'sft' is {error!s:.300}.") from None
        try:
            return _parse(document)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise FormatError(f"{where}: the metadata document 'sft' is malformed ({_reason(error)}).") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text:.30} is larger than any number")
    return number


def _reason(error: Exception) -> str:
    return f"missing key {error}" if isinstance(error, KeyError) else f"{error!s:.300}"


def _parse(document: Any) -> Metadata:
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    parameters = {str(name): _spec(name, value) for name, value in document["parameters"].items()}
    k = _count("k", document["k"])
    total = sum(spec.size for spec in parameters.values())
    base, untied = document.get("base"), document.get("tied_embeddings")
    return Metadata(
        parameters=parameters,
        k=k,
        density=_share("density", document.get("density", k / total if total else 0.0)),
        base=_base(base) if base else None,
        objective=str(document.get("objective") or ""),
        method=str(document.get("method") or ""),
        labels=tuple(str(label) for label in document.get("labels") or ()),
        problem_type=str(document.get("problem_type") or ""),
        head=document.get("head") and str(document["head"]),
        tied_embeddings=Untied(str(untied["input"]), str(untied["output"])) if isinstance(untied, dict) else None,
        trained_with=tuple(str(digest) for digest in document.get("trained_with") or ()),
        training=_object("training", document.get("training") or {}),
        parents=tuple(_object("parents", parent) for parent in document.get("parents") or ()),
    )


def _base(value: Any) -> Base:
    if isinstance(value, str):
        return Base(value)
    rounded = _object("base/rounded", value.get("rounded") or {})
    return Base(
        name=str(value.get("name", "")),
        model_type=str(value.get("model_type") or ""),
        revision=_text("base/revision", value.get("revision")),
        fingerprint=_text("base/fingerprint", value.get("fingerprint")),
        rounded={str(dtype): str(digest) for dtype, digest in rounded.items()},
    )


def _spec(name: Any, value: Any) -> ParameterSpec:
    shape, dtype = (value["shape"], value.get("dtype", "float32")) if isinstance(value, dict) else value
    sizes = tuple(_count(f"parameters/{called(name)}/shape", size) for size in shape)
    if math.prod(sizes) >= 2**62:  # flat positions are int64
        raise ValueError(f"parameters/{called(name)}/shape: {list(sizes)} has more elements than any model")
    return ParameterSpec(sizes, canonical_dtype(str(dtype)))


def _object(what: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):  # a list of pairs would make one, of keys that are no text
        raise TypeError(f"{what}: {value!r:.80} is not an object")
    return dict(value)


def _text(what: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{what}: {value!r:.80} is not text")
    return value


def _share(what: str, value: Any) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError(f"{what}: {value!r:.80} is not a share")
    return share


def _count(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(f"{what}: {value!r:.80} is not a count")
    return value
