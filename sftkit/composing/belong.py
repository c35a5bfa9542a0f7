"""Whether SFTs belong to a base and to each other: names, shapes, fingerprints.

Shapes and names are never negotiable; a fingerprint that differs can be overruled with ``force``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from sftkit.algebra.arithmetic import Weighted
from sftkit.checkpoints.names import is_pooler
from sftkit.errors import MismatchError
from sftkit.format.difference import Difference
from sftkit.format.metadata import Base, ParameterSpec

#: Letters of a fingerprint that are shown where the whole is not compared.
_MARK = 10


def check_shapes(
    parameters: Mapping[str, ParameterSpec], weighted: Sequence[Weighted], base: str, aside: Collection[str] = ()
) -> tuple[str, ...]:
    """Compare every SFT's list of parameters with the base's.

    Args:
        parameters: the base's, by canonical name.
        weighted: the SFTs.
        base: what to call the base.
        aside: names of what it stores and what is no parameter.

    Returns:
        Notes: pooler entries that the base has no place for.

    Raises:
        MismatchError: naming the tensor and the two shapes.
    """
    notes = []
    for item in weighted:
        for problem in differing(parameters, item.sft, item.path, base, aside):
            raise problem
        skipped = [name for name in item.sft.names if name not in parameters]
        if skipped:
            notes.append(f"{item.path} changes {skipped[0]}, which {base} lacks: a pooler's entries are left out.")
    return tuple(notes)


def problems(
    parameters: Mapping[str, ParameterSpec], sft: Difference, path: str, base: str, aside: Collection[str] = ()
) -> Iterable[str]:
    """One line for each parameter of an SFT that the base lacks or has in another shape; a missing pooler is none."""
    return (str(problem) for problem in differing(parameters, sft, path, base, aside))


def differing(
    parameters: Mapping[str, ParameterSpec], sft: Difference, path: str, base: str, aside: Collection[str] = ()
) -> Iterable[MismatchError]:
    """The same as errors."""
    for name, spec in sorted(sft.metadata.parameters.items()):
        own = parameters.get(name)
        if own is None and name in aside:
            yield MismatchError(
                f"{path} counts {name} among the parameters of its base, but there it is a buffer or a copy of another "
                "weight: it was made when the two were not told apart. Make it anew.", path=path, tensor=name,
            )  # fmt: skip
        elif own is None:
            if not is_pooler(name) and not _in_head(sft, name) and name != sft.metadata.output:
                yield MismatchError(
                    f"{_whose(sft, path)}, which has {name} {list(spec.shape)}; {base} has no such parameter.",
                    path=path, tensor=name, expected=spec.shape,
                )  # fmt: skip
        elif tuple(own.shape) != tuple(spec.shape):
            yield MismatchError(
                f"{_whose(sft, path)}, and {base} is of other sizes: {name} has shape {list(spec.shape)} there and "
                f"{list(own.shape)} in {base}.",
                path=path, tensor=name, expected=spec.shape, found=own.shape,
            )  # fmt: skip


def _whose(sft: Difference, path: str) -> str:
    """Which base an SFT is of: "fo.sft was learned on mmt-small (fingerprint 3f2a91c07b…)"."""
    base = sft.metadata.base
    if base is None or not (base.name or base.fingerprint):
        return f"{path} was learned on another base"
    mark = f" (fingerprint {base.fingerprint[:_MARK]}…)" if base.fingerprint else ""
    return f"{path} was learned on {base.name or 'another base'}{mark}"


def _in_head(sft: Difference, name: str) -> bool:
    return name not in sft.names and any(key.endswith(f".{name}") for key in sft.head)


def check_fingerprint(
    found: str,
    dtype: str,
    weighted: Sequence[Weighted],
    base: str,
    *,
    origin: str = "",
    aside: Collection[str] = (),
    force: bool = False,
) -> tuple[str, ...]:
    """Compare the base's fingerprint with the one that each SFT was learned on.

    Args:
        found: the base's.
        dtype: of most of its backbone, such as "float16".
        weighted: the SFTs.
        base: what to call the base.
        origin: of what the base was composed from, if it was; SFTs of that one belong, too.
        aside: names of what it stores and what is no parameter, which fingerprints once covered.
        force: turn a mismatch into a note.

    Returns:
        Notes: where the fingerprint could not be compared, or differs and ``force`` was given.

    Raises:
        MismatchError: naming both fingerprints.
    """
    notes = []
    for item in weighted:
        problem, certain = _differs((found, origin or found), dtype, item.sft)
        if problem and certain and not force:
            name = item.sft.metadata.base.name if item.sft.metadata.base else ""
            raise MismatchError(
                f"{item.path} was learned on another base{f' ({name})' if name else ''}: its fingerprint is {problem}, "
                f"{base} has {origin or found}. Name the right base, or go on with --force.{_once_covered(aside)}",
                path=item.path, expected=problem, found=origin or found,
            )  # fmt: skip
        if problem:
            notes.append(f"{item.path}: {problem if not certain else 'learned on another base (' + problem + ')'}")
    return tuple(notes)


def _once_covered(aside: Collection[str]) -> str:
    if not aside:
        return ""
    return (
        f"\nOr it is the right one, and the SFT older than what fingerprints cover now: {min(aside)}, which the base "
        "stores, is a buffer or a copy and covered no more. Then make the SFT anew, or go on with --force."
    )


def _differs(found: tuple[str, str], dtype: str, sft: Difference) -> tuple[str, bool]:
    """What is wrong or unknown, and whether it is certain; ("", True) if all is well."""
    recorded = sft.metadata.base
    if recorded is None or not recorded.fingerprint:
        return "records no fingerprint of its base; names and shapes were checked.", False
    if not {recorded.fingerprint, *recorded.rounded.values()}.isdisjoint(found):
        return "", True
    learned = _main_dtype(sft.metadata.parameters.values())
    if learned and dtype and learned != dtype and dtype not in recorded.rounded:
        return f"was learned on a {learned} base and this one is {dtype}; names and shapes were checked.", False
    return recorded.rounded.get(dtype, recorded.fingerprint), True


def _main_dtype(specs: Iterable[ParameterSpec]) -> str:
    sizes: dict[str, int] = {}
    for spec in specs:
        sizes[spec.dtype] = sizes.get(spec.dtype, 0) + spec.size
    return max(sizes, key=lambda name: sizes[name], default="")


def same_base(weighted: Sequence[Weighted]) -> Base | None:
    """The base that SFTs have in common; what is recorded of it, or None if none of them records any.

    Raises:
        MismatchError: if two SFTs were learned on different bases.
    """
    known = [item for item in weighted if item.sft.metadata.base is not None]
    marked = [item for item in known if _prints(item)]
    for item in marked[1:]:
        if not _prints(item) & _prints(marked[0]):
            first, second = marked[0].sft.metadata.base, item.sft.metadata.base
            assert first is not None
            assert second is not None
            raise MismatchError(
                f"{marked[0].path} and {item.path} were learned on different bases: "
                f"{first.name or 'one'} ({first.fingerprint}) and {second.name or 'one'} ({second.fingerprint}).",
                path=item.path, expected=first.fingerprint, found=second.fingerprint,
            )  # fmt: skip
    return next((item.sft.metadata.base for item in marked or known), None)


def _prints(item: Weighted) -> frozenset[str]:
    base = item.sft.metadata.base
    return frozenset(filter(None, (base.fingerprint, *base.rounded.values()))) if base else frozenset()
