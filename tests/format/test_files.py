"""Files written and read: nothing lost, nothing half written, and of use without sftkit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from sftkit.errors import FormatError, OutputExistsError
from sftkit.format import writing
from sftkit.format.entries import EntryStream
from sftkit.format.files import SftFile, read
from sftkit.format.metadata import Metadata, ParameterSpec
from sftkit.format.sft import CsrDifference, flatten, to_csr
from sftkit.format.writing import write
from sftkit.storage.atomic import atomic_file
from sftkit.storage.dtypes import BFLOAT16, VALUE_DTYPES
from tests.format.golden import EMBEDDING, POSITIONS, golden

SHAPES = st.sampled_from([(), (7,), (3, 5), (2, 3, 4), (60, 30), (300, 400)])


@st.composite
def sfts(draw: Any) -> CsrDifference:
    """SFTs over one to three parameters of any rank, some of them without entries."""
    parameters, specs = {}, {}
    for number in range(draw(st.integers(1, 3))):
        spec = ParameterSpec(draw(SHAPES), "float32")
        positions = sorted(draw(st.sets(st.integers(0, spec.size - 1), max_size=12)))
        values = [draw(st.sampled_from([0.5, -1.25, 3.0, -0.0625])) for _ in positions]
        name = specs_name(number)
        specs[name] = spec
        if positions:
            parameters[name] = to_csr(np.array(positions, np.int64), np.array(values, np.float32), spec, name)
    k = sum(matrix.nnz for matrix in parameters.values())
    head = {"classifier.weight": np.arange(6, dtype=np.float16).reshape(2, 3)} if draw(st.booleans()) else {}
    return CsrDifference(parameters, Metadata(specs, k, k / sum(spec.size for spec in specs.values())), head)


def specs_name(number: int) -> str:
    return f"encoder.layer.{number}.weight"


@settings(deadline=None, max_examples=60)
@given(sft=sfts(), values=st.sampled_from(sorted(VALUE_DTYPES)))
def test_what_is_written_is_read_back(
    sft: CsrDifference, values: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write(tmp_path_factory.mktemp("sft") / "x.sft", sft, values=values)
    back = read(path)
    assert back.metadata == sft.metadata
    assert back.names == sft.names
    for name in sft.names:
        assert back.parameters[name].shape == sft.metadata.parameters[name].matrix_shape
        assert (back.parameters[name] != sft.parameters[name]).nnz == 0
    assert {name: array.tolist() for name, array in back.head.items()} == {
        name: array.tolist() for name, array in sft.head.items()
    }


@settings(deadline=None, max_examples=40)
@given(sft=sfts(), step=st.integers(1, 50_000))
def test_a_stream_gives_the_entries_in_pieces(
    sft: CsrDifference, step: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = SftFile(write(tmp_path_factory.mktemp("sft") / "x.sft", sft))
    for name, spec in sft.metadata.parameters.items():
        stream = EntryStream(file, name)
        pieces = [stream.below(stop) for stop in range(step, spec.size + step, step)]
        expected = sft.entries(name) if name in sft.names else (np.zeros(0), np.zeros(0))
        assert np.concatenate([positions for positions, _ in pieces]).tolist() == expected[0].tolist()
        assert np.concatenate([values for _, values in pieces]).tolist() == expected[1].tolist()


def test_the_same_sft_always_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.sft", golden()), write(tmp_path / "b.sft", golden())
    assert first.read_bytes() == second.read_bytes()


def test_values_that_bf16_rounds_to_zero_are_dropped_and_not_counted(tmp_path: Path) -> None:
    spec = ParameterSpec((4,), "float32")
    values = np.array([1.0, 1e-42, 2.0], np.float32)  # the middle one is below half of bf16's smallest number
    sft = CsrDifference({"w": to_csr(np.array([0, 1, 3]), values, spec, "w")}, Metadata({"w": spec}, 3))
    back = read(write(tmp_path / "x.sft", sft, values="bf16"))
    assert back.k == back.metadata.k == 2
    assert back.metadata.density == 0.5
    assert back.entries("w")[0].tolist() == [0, 3]


def test_a_value_that_does_not_fit_f16_is_refused(tmp_path: Path) -> None:
    spec = ParameterSpec((4,), "float32")
    sft = CsrDifference({"w": to_csr(np.array([1]), np.array([7e4], np.float32), spec, "w")}, Metadata({"w": spec}, 1))
    with pytest.raises(FormatError, match=r"7e\+04 does not fit f16"):
        write(tmp_path / "x.sft", sft, values="f16")
    assert list(tmp_path.iterdir()) == []


def test_the_stored_dtype_is_said(tmp_path: Path) -> None:
    for values in VALUE_DTYPES:
        assert SftFile(write(tmp_path / f"{values}.sft", golden(), values=values)).stored_values == values


def test_unsorted_and_doubled_entries_of_a_csr_array_are_put_in_order() -> None:
    matrix = csr_array((np.array([1, 2, 3, 0], np.float32), ([0, 0, 0, 1], [2, 1, 2, 0])), shape=(2, 3))
    positions, values = flatten(matrix)
    assert positions.tolist() == [1, 2]
    assert values.tolist() == [2, 4]


RECIPE = """
import sys, numpy as np{imports}
from safetensors import safe_open
theta = {{n: np.zeros(s, np.float32) for n, s in {shapes}.items()}}
with safe_open(sys.argv[1], framework="np") as file:
    for name in {{key[5:-5] for key in file.keys() if key.endswith("/gaps")}}:
        pos = np.cumsum(file.get_tensor(f"diff/{{name}}/gaps").astype(np.int64)) - 1
        theta[name].reshape(-1)[pos] += file.get_tensor(f"diff/{{name}}/values")
assert "sftkit" not in sys.modules
print([float(theta[n].reshape(-1)[p]) for n, ps in {positions}.items() for p in ps])
print(sum(int((a != 0).sum()) for a in theta.values()))
"""


@pytest.mark.parametrize(("stored", "imports"), [("f32", ""), ("bf16", ", ml_dtypes"), ("f16", "")])
def test_the_recipe_for_strangers_works_without_sftkit(stored: str, imports: str, tmp_path: Path) -> None:
    sft = golden()
    path = write(tmp_path / "x.sft", sft, values=stored)
    shapes = {name: spec.shape for name, spec in sft.metadata.parameters.items()}
    script = RECIPE.format(imports=imports, shapes=shapes, positions=POSITIONS)
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    values, count = done.stdout.splitlines()
    assert values == str([float(value) for name in POSITIONS for value in sft.entries(name)[1]])
    assert int(count) == sft.k


def test_an_existing_file_is_kept_unless_overwriting_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x.sft"
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write(path, golden())
    assert path.read_bytes() == b"precious"
    write(path, golden(), overwrite=True)
    assert read(path).k == 15


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sft"
    path.write_bytes(b"precious")

    def fail(part: Path, *_: Any) -> None:
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "_write", fail)
    with pytest.raises(OSError, match="No space"):
        write(path, golden(), overwrite=True)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a" / "b" / "x.sft", golden())).k == 15


def test_a_file_that_is_cut_short_while_it_is_open_is_an_error_naming_the_tensor(tmp_path: Path) -> None:
    path = write(tmp_path / "x.sft", golden())
    file = SftFile(path)
    os.truncate(path, path.stat().st_size - 40)  # a mapped file would end the program here by SIGBUS
    with pytest.raises(FormatError, match=rf"x\.sft: diff/{EMBEDDING}/gaps ends early"):
        EntryStream(file, EMBEDDING).below(300)
    with pytest.raises(FormatError, match="ends early"):
        file.entries(EMBEDDING)


def test_a_head_that_is_cut_off_while_the_file_is_open_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x.sft", golden())
    file = SftFile(path)
    os.truncate(path, 600)
    with pytest.raises(FormatError, match=r"x\.sft: head/.* ends early"):
        _ = file.head


def test_bfloat16_rounds_to_nearest_even(tmp_path: Path) -> None:
    spec = ParameterSpec((2,), "float32")
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32)  # halfway between two bf16 numbers
    sft = CsrDifference({"w": to_csr(np.arange(2), values, spec, "w")}, Metadata({"w": spec}, 2))
    back = read(write(tmp_path / "x.sft", sft, values="bf16"))
    assert back.entries("w")[1].tolist() == [1.0, 1 + 2**-6] == values.astype(BFLOAT16).tolist()


def test_what_a_killed_process_left_of_the_same_file_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left, other = tmp_path / ".sftkit-x.sft-abc.part", tmp_path / ".sftkit-y.sft-abc.part"
    for path in (left, other):
        path.write_text("half")
    write(tmp_path / "x.sft", golden())
    assert (left.exists(), other.exists()) == (os.name != "posix", True)


def test_what_another_process_is_still_writing_is_left_alone(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "x.sft", overwrite=True) as part:
        write(tmp_path / "x.sft", golden())
        assert part.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["x.sft"]
