"""SFTs to the hub and from it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftkit.errors import FormatError, SettingsError
from sftkit.inspecting.summary import summarise
from sftkit.sharing.card import base_on_hub, card
from sftkit.sharing.convert import ConvertReport, checked, to_sft
from sftkit.sharing.hub import PUBLISHED, SCHEME, parse_address, push_files, resolve_sft
from sftkit.storage.atomic import atomic_file, check_output

_CARD = "README.md"


@dataclass(frozen=True)
class Publication:
    """What ``push`` uploads, or has uploaded.

    Attributes:
        repo: "owner/name".
        revision: the branch; None for the main one.
        file: the SFT's name there.
        k: its entries.
        card: the model card.
        url: the repo's address; None before it is uploaded.
        notes: what the user may want to know.
    """

    repo: str
    revision: str | None
    file: str
    k: int
    card: str
    url: str | None = None
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The document that ``push --json`` prints."""
        return {
            "repo": self.repo, "revision": self.revision, "file": self.file, "k": self.k, "url": self.url,
            "card": self.card,
        }  # fmt: skip


def prepare(path: Path, address: str, revision: str | None = None) -> Publication:
    """Read an SFT as a whole, so that nothing damaged is published, and write its card.

    Args:
        path: the ``.sft`` file.
        address: "owner/name", also with "@branch" and the name that the file is to have.
        revision: a branch, if the address names none.

    Raises:
        FormatError: if the SFT is damaged or the address is none.
    """
    place = parse_address(address)
    file, branch = place.file or path.name, revision or place.revision
    summary = summarise(path, path.name)
    if not file.endswith(".sft"):
        raise FormatError(f"{file}: an SFT's name on the hub ends in .sft, or it is not found there.")
    named, on_hub = base_on_hub(summary)
    told = f"its base is called {named}, where others have none: say in the card which it is on the hub."
    notes = (told,) if named and not on_hub else ()
    return Publication(place.repo, branch, file, summary.k, card(summary, place.repo, file, branch), notes=notes)


def push(path: Path, made: Publication, *, private: bool = False, overwrite: bool = False) -> Publication:
    """Upload an SFT with its card; a README that is in the repo already is kept unless ``overwrite`` is given.

    Raises:
        OutputExistsError: if the repo has a file of that name and ``overwrite`` is false.
        HubError: if the hub cannot be reached or refuses.
    """
    files: dict[str, Path | bytes] = {made.file: path, _CARD: made.card.encode()}
    done = push_files(made.repo, files, revision=made.revision, private=private, overwrite=overwrite, keep=_CARD)
    notes = tuple(f"the repo's own {name} is kept; --overwrite puts the card in its place." for name in done.kept)
    return replace(made, url=done.url, notes=(*made.notes, *notes))


def pull(address: str, output: Path | None = None, *, overwrite: bool = False) -> ConvertReport:
    """Download an SFT, converted if it was published as ``pytorch_diff.bin``, and check it as a whole.

    Args:
        address: "owner/name", also with "@revision" and a file's name.
        output: the file to make; by default the present folder gets one of the name that it has there, or, of a
            published one, of the repo's.
        overwrite: replace an existing output.

    Raises:
        OutputExistsError: if the output exists and ``overwrite`` is false.
        FormatError: if there is none, or several, or it is damaged.
        SettingsError: if the output's name is not that of an SFT.
    """
    place = parse_address(address)
    if output is not None:
        _check(output, overwrite)
    path = resolve_sft(address if address.startswith(SCHEME) else SCHEME + address)
    published = path.name == PUBLISHED
    if output is None:
        output = Path(f"{place.repo.split('/')[1]}.sft" if published else path.name)
        _check(output, overwrite)
    if published:
        return to_sft(path, output, overwrite=overwrite)
    report = checked(path)
    with atomic_file(output, overwrite=overwrite) as part:
        shutil.copyfile(path, part)
    return ConvertReport(output, report.k, report.density, report.objective, report.head)


def _check(output: Path, overwrite: bool) -> None:
    if output.suffix != ".sft":
        raise SettingsError(f"{output}: what comes from the hub is an SFT, so its name ends in .sft.")
    check_output(output, overwrite=overwrite, directory=False)
