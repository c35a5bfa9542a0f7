"""Text of any size: read line by line, tokenised once, and cut into windows, here of one line each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from sftkit.errors import DataError
from sftkit.tasks.clm import CausalLM
from sftkit.tasks.corpora.lines import Lines
from sftkit.tasks.corpora.pieces import Piece
from sftkit.tasks.corpora.text import LanguageObjective
from sftkit.tasks.corpora.tokens import Encoder
from sftkit.tasks.mlm import MaskedLM
from sftkit.tasks.options import NO_OPTIONS, TaskOptions
from tests.helpers import pico
from tests.helpers.versions import OVERFLOW_IS_LOST


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "sftkit"


LINE_BY_LINE = TaskOptions(pack=False)


def windows(*paths: Path, objective: LanguageObjective | None = None, length: int = 16) -> list[list[int]]:
    made = objective or MaskedLM(LINE_BY_LINE)
    rows = made.read([str(path) for path in paths])
    return [example["input_ids"] for example in made.features(rows, pico.make_tokenizer(), length)]


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


LINES = st.lists(
    st.lists(st.sampled_from(["ta", "mi", "lo", "x1", "[MASK]", "é"]), min_size=1, max_size=30), min_size=1
)


@pytest.mark.skipif(OVERFLOW_IS_LOST, reason="this version of tokenizers ends what overflows too early")
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=LINES)
def test_windows_are_those_of_the_tokenizers_own_truncation(words: list[list[str]], tmp_path: Path) -> None:
    lines = [" ".join(line) for line in words]
    own = pico.make_tokenizer()(lines, truncation=True, max_length=16, return_overflowing_tokens=True)["input_ids"]
    assert windows(write(tmp_path / "x.txt", *lines)) == own


def test_several_sources_come_one_after_the_other(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt", "ta", "mi"), write(tmp_path / "b.txt", "lo")
    assert windows(first, second) == [*windows(first), *windows(second)]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_text_is_read_from_the_column_of_a_table(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"text.{ending}"
    table = Dataset.from_dict({"id": [1, 2, 3, 4], "text": ["ta mi", " ", "lo su", None]})
    {"csv": table.to_csv, "jsonl": table.to_json, "parquet": table.to_parquet}[ending](str(path))
    assert list(Lines(str(path), NO_OPTIONS).batches()) == [[Piece("ta mi", ends=True), Piece("lo su", ends=True)]]


def test_a_table_without_text_is_an_error(tmp_path: Path) -> None:
    Dataset.from_dict({"words": ["ta mi"]}).to_parquet(str(tmp_path / "x.parquet"))
    with pytest.raises(DataError, match="no column 'text', only words"):
        MaskedLM().read([str(tmp_path / "x.parquet")])


def test_a_table_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as parquet"):
        MaskedLM().read([str(write(tmp_path / "x.parquet", "ta mi"))])


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"ta\n" * 5000 + b"caf\xe9\n")
    with pytest.raises(DataError, match=r"x\.txt, line 5001: not UTF-8"):
        windows(tmp_path / "x.txt")


def test_a_second_run_does_not_tokenise_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.txt", "ta mi", "lo")
    first = windows(path, objective=MaskedLM())
    monkeypatch.setattr(Encoder, "parts", None)
    assert windows(path.rename(tmp_path / "elsewhere.txt"), objective=MaskedLM()) == first
    assert len([folder for folder in cache.iterdir() if folder.is_dir()]) == 1


def test_another_process_finds_the_same_tokens(tmp_path: Path, cache: Path) -> None:
    windows(write(tmp_path / "x.txt", "ta mi", "lo"), objective=MaskedLM())
    program = (
        "import sys; from sftkit.tasks.mlm import MaskedLM; from tests.helpers import pico; "
        "MaskedLM().features(MaskedLM().read([sys.argv[1]]), pico.make_tokenizer(), 16)"
    )
    environment = os.environ | {"HF_DATASETS_CACHE": str(cache.parent)}
    subprocess.run([sys.executable, "-c", program, tmp_path / "x.txt"], check=True, env=environment)
    assert len([folder for folder in cache.iterdir() if folder.is_dir()]) == 1


def test_other_windows_of_the_same_text_are_not_tokenised_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = write(tmp_path / "x.txt", "ta " * 20)
    windows(long)
    monkeypatch.setattr(Encoder, "parts", None)
    assert [len(windows(long, length=length)) for length in (16, 32)] == [2, 1]
    assert len(windows(long, objective=MaskedLM(), length=10)) == 3


def test_other_text_or_another_separator_is_tokenised_anew(tmp_path: Path) -> None:
    assert windows(write(tmp_path / "x.txt", "ta mi")) != windows(write(tmp_path / "x.txt", "mi ta"))
    path, objective, tokenizer = write(tmp_path / "x.txt", "ta", "mi"), MaskedLM(), pico.make_tokenizer()
    before = objective.features(objective.read([str(path)]), tokenizer, 16)[0]["input_ids"]
    tokenizer.sep_token = "[UNK]"
    after = objective.features(objective.read([str(path)]), tokenizer, 16)[0]["input_ids"]
    assert (before[2], after[2]) == (tokenizer.convert_tokens_to_ids("[SEP]"), tokenizer.unk_token_id)


def test_a_text_that_cannot_be_read_to_its_end_leaves_no_tokens(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(lines: Lines) -> Iterator[list[Piece]]:
        yield [Piece("ta mi", ends=True)]
        raise DataError("broken")

    rows = MaskedLM().read([str(write(tmp_path / "x.txt", "ta mi", "lo"))])
    monkeypatch.setattr(Lines, "batches", broken)
    with pytest.raises(DataError, match="broken"):
        MaskedLM().features(rows, pico.make_tokenizer(), 16)
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_held_out_lines_are_not_trained_on(tmp_path: Path) -> None:
    path, objective = write(tmp_path / "x.txt", *(f"ta {'mi ' * i}" for i in range(1, 41))), MaskedLM(LINE_BY_LINE)
    training, dev = objective.held_out(objective.read([str(path)]), 0.2, 3, "x")
    tokens = [
        [tuple(example["input_ids"]) for example in objective.features(rows, pico.make_tokenizer(), 16)]
        for rows in (training, dev)
    ]
    assert (len(training), len(dev)) == (32, 8)
    assert sorted(tokens[0] + tokens[1]) == sorted(map(tuple, windows(path)))


def test_no_more_than_10000_lines_are_held_out(tmp_path: Path) -> None:
    objective = MaskedLM()
    _, dev = objective.held_out(objective.read([str(write(tmp_path / "x.txt", *["ta"] * 30_000))]), 0.5, 0, "x")
    assert len(dev) == 10_000


def test_a_text_of_which_the_tokenizer_knows_nothing_is_an_error(tmp_path: Path) -> None:
    tokenizer = pico.make_tokenizer()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("ta", "")
    rows = MaskedLM().read([str(write(tmp_path / "x.txt", "ta", "tata"))])
    with pytest.raises(DataError, match="nothing to predict"):
        MaskedLM().features(rows, tokenizer, 16)


def test_causal_windows_have_two_tokens_or_more(tmp_path: Path) -> None:
    assert min(map(len, windows(write(tmp_path / "x.txt", "ta mi", "lo"), objective=CausalLM(LINE_BY_LINE)))) >= 2
