"""Where lines of text come from: files, and data sets of the hub, fetched or streamed, played by local directories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import pytest
from datasets import Dataset

from sftkit.errors import DataError, SettingsError
from sftkit.tasks.corpora.lines import Lines
from sftkit.tasks.corpora.pieces import Piece
from sftkit.tasks.mlm import MaskedLM
from sftkit.tasks.options import TaskOptions, check_options, check_streams
from tests.helpers import pico

TEXT = ["ta mi", "", "lo su", " ", "en"]
BOTH_WAYS = pytest.mark.parametrize("streaming", [False, True], ids=["fetched", "streamed"])
CARD = """---
configs:
- config_name: sw
  data_files: sw.txt
- config_name: en
  data_files:
  - split: train
    path: en.txt
  - split: test
    path: en-test.txt
---
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def hub(folder: Path, kind: str, lines: list[str]) -> str:
    """A directory that ``datasets`` loads as it would a data set on the hub."""
    folder.mkdir()
    table = Dataset.from_dict({"id": list(range(len(lines))), "text": lines})
    save: dict[str, Callable[[str], object]] = {
        "txt": lambda path: write(Path(path), lines), "csv": table.to_csv, "jsonl": table.to_json,
        "parquet": table.to_parquet,
    }  # fmt: skip
    save[kind](str(folder / f"train.{kind}"))
    return f"hf://{folder}"


def read(source: object, *, streaming: bool = False, max_lines: int | None = None) -> list[str]:
    lines = Lines(str(source), TaskOptions(streaming=streaming, max_lines=max_lines))
    return [piece.text for batch in lines.batches() for piece in batch]


@BOTH_WAYS
@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl", "parquet"])
def test_a_data_set_on_the_hub_gives_the_text_that_is_not_blank(kind: str, streaming: bool, tmp_path: Path) -> None:
    assert read(hub(tmp_path / "data", kind, TEXT), streaming=streaming) == ["ta mi", "lo su", "en"]


@BOTH_WAYS
def test_config_and_split_are_named_after_the_data_set(streaming: bool, tmp_path: Path) -> None:
    for name in ("sw", "en", "en-test"):
        write(tmp_path / "data" / f"{name}.txt", [name])
    (tmp_path / "data" / "README.md").write_text(CARD)
    source = f"hf://{tmp_path / 'data'}"
    found = [read(f"{source}:{part}", streaming=streaming) for part in ("sw:train", "en:train", "en:test")]
    assert found == [["sw"], ["en"], ["en-test"]]


@BOTH_WAYS
def test_only_the_first_lines_are_read_if_that_is_asked_for(streaming: bool, tmp_path: Path) -> None:
    source = hub(tmp_path / "data", "jsonl", TEXT)
    assert [len(read(source, streaming=streaming, max_lines=most)) for most in (1, 2, 9)] == [1, 2, 3]


def test_of_a_local_file_only_the_first_lines_are_read_if_that_is_asked_for(tmp_path: Path) -> None:
    assert read(write(tmp_path / "x.txt", TEXT), max_lines=2) == ["ta mi", "lo su"]


def test_a_stream_leaves_nothing_but_its_tokens(tmp_path: Path, cache: Path) -> None:
    objective = MaskedLM(TaskOptions(streaming=True))
    objective.features(objective.read([hub(tmp_path / "data", "csv", TEXT)]), pico.make_tokenizer(), 16)
    assert [path.name for path in cache.iterdir() if path.is_dir()] == ["sftkit"]


@BOTH_WAYS
def test_a_text_is_read_to_its_end_once_and_not_again_by_the_next_run(
    streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, batches, ended = hub(tmp_path / "data", "txt", ["ta mi"] * 50), Lines.batches, []

    def counted(lines: Lines) -> Iterator[list[Piece]]:
        yield from batches(lines)
        ended.append(lines.source)

    monkeypatch.setattr(Lines, "batches", counted)
    for _ in range(2):
        objective = MaskedLM(TaskOptions(streaming=streaming))
        training, dev = objective.held_out(objective.read([source]), 0.2, 0, source)
        for rows in (training, dev):
            objective.features(rows, pico.make_tokenizer(), 16)
        assert (len(training), len(dev)) == (40, 10)
    assert ended == [source]


@BOTH_WAYS
def test_other_text_under_the_same_name_has_another_key(streaming: bool, tmp_path: Path) -> None:
    source, options = hub(tmp_path / "data", "txt", TEXT), TaskOptions(streaming=streaming)
    keys = [Lines(source, options).key, Lines(source, options).key]
    write(tmp_path / "data" / "train.txt", ["other"])
    os.utime(tmp_path / "data" / "train.txt", (1, 1))
    assert keys[0] == keys[1] != Lines(source, options).key


def test_a_stream_s_key_names_its_files_their_version_and_the_split(tmp_path: Path) -> None:
    source = hub(tmp_path / "data", "txt", TEXT)
    os.utime(tmp_path / "data" / "train.txt", (1, 1))
    files, split, most = Lines(source, TaskOptions(streaming=True, max_lines=7)).key[-3:]
    assert (files, split, most) == ({"train": [[str(tmp_path / "data" / "train.txt")], [("1.0",)]]}, "train", 7)


def test_the_same_bytes_as_another_kind_of_file_or_cut_short_have_another_key(tmp_path: Path) -> None:
    plain, table = write(tmp_path / "x.txt", ["text", "ta"]), write(tmp_path / "x.csv", ["text", "ta"])
    keys = [
        Lines(str(plain), TaskOptions()).key,
        Lines(str(table), TaskOptions()).key,
        Lines(str(plain), TaskOptions(max_lines=1)).key,
    ]
    assert len({str(key) for key in keys}) == 3


def told(source: object, *, most: int | None = None, streaming: bool = False) -> list[tuple[str, int, float | None]]:
    """What is said while a source is read to its end."""
    said: list[tuple[str, int, float | None]] = []
    list(
        Lines(str(source), TaskOptions(max_lines=most, streaming=streaming), lambda *each: said.append(each)).batches()
    )
    return [each for each in said if each[0] == f"reading {source}"]


def test_while_a_file_is_read_it_is_told_how_far_that_is(tmp_path: Path) -> None:
    said = told(write(tmp_path / "x.txt", ["ta mi lo su"] * 5000))
    assert [lines for _, lines, _ in said] == [1000, 2000, 3000, 4000, 5000]
    shares = [share for *_, share in said]
    assert all(share is not None and abs(share - at / 5) < 0.15 for at, share in enumerate(shares, start=1))


def test_of_the_first_lines_it_is_told_what_share_of_them_was_read(tmp_path: Path) -> None:
    assert [share for *_, share in told(write(tmp_path / "x.txt", ["ta"] * 90_000), most=4000)] == [0.25, 0.5, 0.75, 1]


def test_of_a_stream_that_says_no_length_it_is_told_how_many_lines_were_read(tmp_path: Path) -> None:
    source = hub(tmp_path / "data", "jsonl", ["ta"] * 2000)
    assert [each[1:] for each in told(source, streaming=True)] == [(1000, None), (2000, None)]
    assert [each[1:] for each in told(source)] == [(1000, 0.5), (2000, 1.0)]


def test_an_interruption_while_text_is_tokenised_leaves_no_tokens(tmp_path: Path, cache: Path) -> None:
    def interrupt(what: str, lines: int, share: float | None) -> None:
        if what.startswith("reading") and lines == 2000:
            raise KeyboardInterrupt

    objective = MaskedLM()
    objective.watch = interrupt
    rows = objective.read([str(write(tmp_path / "x.txt", ["ta"] * 5000))])
    with pytest.raises(KeyboardInterrupt):
        objective.features(rows, pico.make_tokenizer(), 16)
    assert [path.suffix for path in (cache / "sftkit").iterdir()] == [".lock"]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        (":nowhere", "nowhere"),
        (":none:train", "'none' not found"),
        (":a:b:c", r"write hf://owner/name\[:config\]\[:split\]"),
    ],
)
def test_a_name_that_is_none_is_one_line(suffix: str, says: str, streaming: bool, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says) as error:
        read(hub(tmp_path / "data", "csv", TEXT) + suffix, streaming=streaming)
    assert "\n" not in str(error.value)


@BOTH_WAYS
def test_hub_text_that_is_not_utf8_or_has_no_column_text_is_one_line(streaming: bool, tmp_path: Path) -> None:
    (tmp_path / "latin").mkdir()
    (tmp_path / "latin" / "train.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(DataError, match=r"hf://.*latin: .*decode"):
        read(f"hf://{tmp_path / 'latin'}", streaming=streaming)
    write(tmp_path / "words" / "train.csv", ["words", "ta"])
    with pytest.raises(DataError, match="has no column 'text', only words"):
        read(f"hf://{tmp_path / 'words'}", streaming=streaming)


@pytest.mark.parametrize("options", [TaskOptions(max_lines=5), TaskOptions(streaming=True)])
def test_options_about_text_are_not_for_other_data(options: TaskOptions) -> None:
    with pytest.raises(SettingsError, match="is about --mlm and --clm, not --pos"):
        check_options(options, "pos")


def test_what_could_only_stream_a_local_file_is_refused() -> None:
    with pytest.raises(SettingsError, match="local files never need it"):
        check_streams(TaskOptions(streaming=True), ["x.txt"])
    check_streams(TaskOptions(streaming=True), ["x.txt", "hf://owner/name"])
