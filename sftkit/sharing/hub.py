"""Names that may mean the hub: models by id, SFTs by ``hf://owner/name[@revision][/file.sft]``.

Downloads through huggingface_hub into its own cache, and uploads files in one commit; its login and offline mode hold.
Imports neither torch nor transformers. Does not convert: a repo published as ``pytorch_diff.bin`` gives that file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sftkit.errors import CheckpointError, FormatError, HubError, OutputExistsError, SftkitError
from sftkit.sharing.naming import cached_model as cached_model
from sftkit.sharing.naming import looks_like_hub_id as looks_like_hub_id
from sftkit.sharing.naming import of_the_web, why_no_model
from sftkit.sharing.reach import offline_where_nobody_answers
from sftkit.storage.nearby import did_you_mean
from sftkit.storage.places import at_home

SCHEME = "hf://"
#: The file in which the reference implementation publishes an SFT.
PUBLISHED = "pytorch_diff.bin"
#: The base where none is named: the paper's.
DEFAULT_BASE = "bert-base-multilingual-cased"
_WEIGHTS = (
    "model.safetensors", "model-*.safetensors", "model.safetensors.index.json", "*.json", "tokenizer*", "vocab*",
    "merges*", "*.model", "*.txt", "*.spm", "*.codes", "*.tiktoken", "*.jinja",
    "[1-9]_*/*", "[1-9][0-9]_*/*", "*_linear.pt",  # modules of sentence-transformers, with weights of their own
    "*.py",  # copied, and run only where that is asked for
)  # fmt: skip
_PICKLED = ("pytorch_model*.bin", "pytorch_model.bin.index.json")

_T = TypeVar("_T")
#: Told a model's id and how many bytes of it are going to be downloaded.
Told = Callable[[str, int], None]
#: The error where the hub cannot be reached.
_UNREACHABLE = "{}: no such directory, and the hub cannot be reached. Is the name spelt right, and is there a network?"


def untold(repo: str, size: int) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class HubAddress:
    """``hf://owner/name[@revision][/file]`` in its parts."""

    repo: str
    revision: str | None = None
    file: str | None = None


def parse_address(text: str) -> HubAddress:
    """The parts of a hub address, whose ``hf://`` may be left out.

    Raises:
        FormatError: if it is not one.
    """
    match = re.fullmatch(r"(?:hf://)?(\w[\w.-]*/\w[\w.-]*)(?:@([^/:]+))?(?:/(.+))?", text)
    if match is None and (web := of_the_web(text)):
        raise FormatError(f"{text}: an address of the web. On the hub it is {SCHEME}{web}.")
    if match is None:
        raise FormatError(f"{text}: a hub address looks like hf://owner/name, hf://owner/name@revision or …/file.sft.")
    return HubAddress(match[1], match[2], match[3])


def resolve_model(name: str, *, told: Told = untold, unreachable: str = _UNREACHABLE) -> Path:
    """A model's directory: an existing one as it is, else the hub's, downloaded.

    Args:
        name: a directory, a hub id ("bert-base-multilingual-cased", "owner/name@revision") or ``hf://owner/name``.
        told: told before a download how much it is.
        unreachable: the error where the hub cannot be reached; "{}" in it is the model's id.

    Raises:
        CheckpointError: if it is neither a directory nor to be had from the hub.
    """
    path = at_home(name)
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{name}: a file; a model is a directory or a hub id.")
    if name.startswith(SCHEME):
        address = parse_address(name)
        repo, revision = address.repo, address.revision
    else:
        repo, _, revision = name.partition("@")
        if problem := why_no_model(name):
            raise CheckpointError(problem)
    return _download_model(repo, revision or None, told, unreachable.format(repo))


def _download_model(repo: str, revision: str | None, told: Told, unreachable: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError

    def fetch(patterns: tuple[str, ...]) -> Path:
        wanted: dict[str, Any] = {"revision": revision, "allow_patterns": list(patterns)}
        if cached_model(f"{repo}@{revision or ''}") is not None:
            with _without_bars():  # to look whether there is a newer one
                return Path(snapshot_download(repo, **wanted))
        if told is not untold:
            with suppress(DryRunError), _without_bars():  # what is wrong is told by the download itself
                files: Any = snapshot_download(repo, **wanted, dry_run=True)
                told(repo, sum(file.file_size for file in files if file.will_download))
        return Path(snapshot_download(repo, **wanted))

    try:
        folder = _ask(f"{repo}: no such directory, and", lambda: fetch(_WEIGHTS), CheckpointError, unreachable)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{did_you_mean(repo)}") from None
    if not any(folder.glob("model*.safetensors")):
        folder = _ask(f"{repo}:", lambda: fetch(_WEIGHTS + _PICKLED), CheckpointError, unreachable)
    return folder


@contextmanager
def _without_bars() -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def resolve_sft(argument: str) -> Path:
    """An SFT's file: a local one as it is, a hub address downloaded.

    Args:
        argument: a path, or ``hf://owner/name[@revision][/file.sft]``; without a file name the repo must hold one SFT,
            as ``.sft`` or as ``pytorch_diff.bin``.

    Raises:
        FormatError: if there is no such file, or the repo holds none or several.
    """
    if not argument.startswith(SCHEME):
        return at_home(argument)
    from huggingface_hub import hf_hub_download

    address = parse_address(argument)
    file = address.file or _only_sft(argument, address)
    return Path(
        _ask(f"{argument}:", lambda: hf_hub_download(address.repo, file, revision=address.revision), FormatError)
    )


def is_published(path: Path) -> bool:
    """Whether a path is an SFT in the reference's layout: its file, or the directory that holds it."""
    return path.name == PUBLISHED or (path / PUBLISHED).is_file()


def local_sft(name: str) -> Path:
    """The ``.sft`` file that a name stands for.

    It is downloaded if it is on the hub, and converted, into a file that lasts as long as the program runs, if it was
    published as ``pytorch_diff.bin``.

    Raises:
        FormatError: if there is none, or several.
    """
    path = resolve_sft(name)
    if not is_published(path):
        return path
    from sftkit.sharing.convert import converted

    return converted(path, path.parent.name if path.name == PUBLISHED else path.name)


def _only_sft(argument: str, address: HubAddress) -> str:
    from huggingface_hub import list_repo_files

    files = _ask(f"{argument}:", lambda: list_repo_files(address.repo, revision=address.revision), FormatError)
    found = sorted(file for file in files if file.endswith(".sft"))
    if len(found) == 1:
        return found[0]
    if found:
        raise FormatError(
            f"{argument}: holds {len(found)} SFTs; add the file's name, such as {SCHEME}{address.repo}/{found[0]}."
        )
    if PUBLISHED in files:
        return PUBLISHED
    raise FormatError(f"{argument}: holds no .sft file.")


@dataclass(frozen=True, slots=True)
class Pushed:
    """What an upload came to: the repo's address on the web, and files there that were left as they are."""

    url: str
    kept: tuple[str, ...]


def push_files(
    repo: str,
    files: Mapping[str, Path | bytes],
    *,
    revision: str | None = None,
    private: bool = False,
    overwrite: bool = False,
    keep: str = "README.md",
) -> Pushed:
    """Upload files to a model repo in one commit; repo and branch are made if there are none.

    Args:
        repo: "owner/name".
        files: names in the repo -> local files, or bytes.
        revision: a branch; the main one by default.
        private: make the repo a private one.
        overwrite: replace files that are there already; what they were stays in the repo's history.
        keep: a file that, where it is there already, is left alone unless ``overwrite`` is given.

    Raises:
        OutputExistsError: if another file is there already and ``overwrite`` is false, or the repo is public and was
            to be private; nothing is uploaded then.
        HubError: if the hub cannot be reached or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()

    def ask(call: Callable[[], _T]) -> _T:
        return _ask(f"{repo}:", call, HubError)

    url = ask(lambda: api.create_repo(repo, private=private or None, exist_ok=True))
    if private and not ask(lambda: api.repo_info(repo)).private:
        raise OutputExistsError(f"{repo} exists already and is public. Choose another name, or leave --private out.")
    new = revision is not None and revision not in [at.name for at in ask(lambda: api.list_repo_refs(repo)).branches]
    there = set() if new else set(ask(lambda: api.list_repo_files(repo, revision=revision)))
    kept = there & {keep} if not overwrite else set()
    taken = sorted(there & files.keys() - {keep})
    if taken and not overwrite:
        raise OutputExistsError(
            f"{repo} has {taken[0]} already. Choose another name, or replace it with --overwrite (its history stays)."
        )
    if new:
        ask(lambda: api.create_branch(repo, branch=str(revision), exist_ok=True))
    parts = [CommitOperationAdd(name, data) for name, data in files.items() if name not in kept]
    ask(lambda: api.create_commit(repo, parts, commit_message=f"Upload {next(iter(files))}", revision=revision))
    return Pushed(str(url), tuple(sorted(kept)))


_LOG_IN = "Log in with: hf auth login, or set HF_TOKEN"


def _ask(what: str, call: Callable[[], _T], kind: type[SftkitError], unreachable: str = "") -> _T:
    """Call the hub; its errors become one line, that where nobody answers can be another."""
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        LocalTokenNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )  # fmt: skip

    unreachable = unreachable or f"{what} the hub cannot be reached. Is the name spelt right, and is there a network?"
    try:
        with offline_where_nobody_answers():
            return call()
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        raise kind(unreachable) from None
    except LocalTokenNotFoundError:
        raise kind(f"{what} the hub wants to know who you are. {_LOG_IN}.") from None
    except RepositoryNotFoundError:
        raise kind(f"{what} the hub has no such repo, or it is private. {_LOG_IN} if it is yours.") from None
    except (HfHubHTTPError, HFValidationError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            status = error.response.status_code
            raise kind(f"{what} the hub refuses ({status}). {_LOG_IN} to a token that may do this.") from None
        line = " ".join(str(error).split("\n\n")[-1].split())[:200]
        raise kind(f"{what} the hub says: {line}") from None
    except Exception as error:
        # The HTTP library underneath (requests, httpx, httpx2) changes with huggingface_hub's version.
        if type(error).__module__.split(".")[0] in ("requests", "httpx", "httpx2", "httpcore"):
            raise kind(unreachable) from None
        raise
