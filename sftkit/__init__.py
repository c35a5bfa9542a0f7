"""sftkit: composable sparse fine-tuning. The Python interface is ``sftkit.read`` and what ``sftkit.api`` offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sftkit.api import SFT

__version__ = "0.1.0"


def read(path: str | Path) -> SFT:
    """Read a whole ``.sft`` file into memory.

    Raises:
        FormatError: if anything in it is not what the format asks for.
    """
    from sftkit.api import read as read_file  # numpy and scipy come in here, not when a command starts

    return read_file(path)


def predict(
    model: str | Path,
    texts: Iterable[Any],
    *,
    objective: str,
    sfts: Sequence[str | Path | SFT] = (),
    batch_size: int = 32,
    max_length: int = 256,
    stride: int = 128,
    device: str = "auto",
) -> Iterator[dict[str, Any]]:
    """Label texts that have no labels; as ``sftkit predict --jsonl``. Texts are taken as they are needed.

    >>> for each in predict("base/", ["ta mi lo"], objective="pos", sfts=["mt.sft", "pos.sft"]):  # doctest: +SKIP
    ...     print(each["words"], each["labels"], each["scores"])

    Args:
        model: a directory or a hub id: a model, or the base that the SFTs are added to.
        texts: strings, whose words are what white space parts, or lists of words, for "pos", "ner", "dep"; strings for
            "classify" and "mlm"; pairs of texts for "nli"; pairs of question and passage for "qa".
        objective: one of these.
        sfts: files or SFTs in memory, added in memory.
        batch_size: windows a batch.
        max_length: tokens a window, special ones included.
        stride: tokens that two windows of one passage share.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        SftkitError: of the kind that fits, if model and SFTs do not go together.
    """
    from sftkit.prediction.run import predict_texts  # torch comes in here

    settings = {"batch_size": batch_size, "max_length": max_length, "device": device}
    return predict_texts(model, texts, objective, sfts, stride, settings)
