"""Plain text for the language objectives, one sentence or paragraph a line: read, and cut into windows of tokens.

Lines longer than the window are split; short ones are not packed. A CSV, JSON or parquet file has its text in the
column ``text``.
"""

from __future__ import annotations

from typing import Any

import datasets
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from sftkit.errors import DataError
from sftkit.tasks.sources import HUB, hub_rows, local_file, quiet_datasets, read_text

#: Endings of files that hold a table; all others are plain text.
_TABLES = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


def text_rows(source: str) -> Dataset:
    """One row a line that is not blank; of a table, a row a cell of its column ``text``.

    Raises:
        DataError: if the source is missing, not text, or has no such line or column.
    """
    rows = hub_rows(source) if source.startswith(HUB) else _file_rows(source)
    if "text" not in rows.column_names:
        raise DataError(f"{source}: has no column 'text', only {', '.join(rows.column_names)}.")
    rows = rows.select_columns(["text"])
    with quiet_datasets():
        rows = rows.filter(lambda batch: [bool((text or "").strip()) for text in batch["text"]], batched=True)
    if len(rows) == 0:
        raise DataError(f"{source}: holds no text, only blank lines.")
    return rows


def _file_rows(source: str) -> Dataset:
    path = local_file(source)
    kind = _TABLES.get(path.suffix.lower())
    if kind is not None:
        try:
            with quiet_datasets():
                return datasets.load_dataset(kind, data_files=str(path), split="train")
        except datasets.exceptions.DatasetGenerationError as error:
            raise DataError(f"{source}: cannot be read as {kind} ({error.__cause__ or error}).") from error
    try:
        with quiet_datasets():
            return datasets.load_dataset("text", data_files=str(path), split="train", encoding="utf-8-sig")
    except datasets.exceptions.DatasetGenerationError as error:
        read_text(source)  # says at which line, if it is the encoding
        raise DataError(f"{source}: cannot be read as text ({error.__cause__ or error}).") from error


def text_windows(rows: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """``input_ids`` of every line, lines longer than ``max_length`` split into several windows."""

    def tokenize(batch: dict[str, list[str]]) -> dict[str, Any]:
        encoded = tokenizer(
            batch["text"],
            truncation=True,
            max_length=max_length,
            return_overflowing_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return {"input_ids": encoded["input_ids"]}

    with quiet_datasets():
        return rows.map(tokenize, batched=True, remove_columns=rows.column_names)
