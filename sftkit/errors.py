"""The errors that sftkit raises on purpose.

Every one of them means "what you gave cannot be done", and its text says what, where and what to do next in one or two
lines. Bugs raise whatever they raise: nothing here wraps a bare ``ValueError``. Covers no exit codes and no printing:
the command line turns these into both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SftkitError(Exception):
    """Root of every error that sftkit raises on purpose.

    Attributes:
        path: what it is about, as the user called it; "" where that is no file.
        tensor: the tensor that it is about, or "".
        expected: of two values that ought to be one, such as shapes or fingerprints, the one that was asked for.
        found: the one that is there.
    """

    def __init__(
        self, *message: object, path: str = "", tensor: str = "", expected: Any = None, found: Any = None
    ) -> None:
        super().__init__(*message)
        self.path, self.tensor, self.expected, self.found = path, tensor, expected, found


class FormatError(SftkitError):
    """A ``.sft`` or safetensors file that is damaged, hostile, or of a version this program does not know."""


class CheckpointError(SftkitError):
    """A model directory that cannot be read or written as one."""


class MismatchError(SftkitError):
    """Two things that do not belong together: an SFT and a base, two SFTs, labels and a head."""


class DataError(SftkitError):
    """A data file whose content is not what its option promises; names the file and the line."""


class SettingsError(SftkitError):
    """Settings that contradict each other or the model, such as a K larger than what may move."""


class HubError(SftkitError):
    """The hub cannot be reached, or refuses what was asked of it."""


class OutputExistsError(SftkitError):
    """The output is already there and replacing it was not asked for."""


@contextmanager
def about(path: object = "", tensor: str = "") -> Iterator[None]:
    """Let errors that are raised in a block say by their fields what they are about, if they do not yet."""
    try:
        yield
    except SftkitError as error:
        error.path, error.tensor = error.path or str(path), error.tensor or tensor
        raise
