"""Errors of the public functions: typed, with fields, in words of arguments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sftkit
from sftkit.errors import FormatError, MismatchError, OutputExistsError, SettingsError, SftkitError
from sftkit.python.wording import as_arguments
from tests.helpers import pico
from tests.helpers.build import save_sft


@pytest.fixture
def paths(tmp_path: Path, pico_base: Path) -> tuple[Path, Path]:
    one, two = (save_sft(tmp_path / f"{name}.sft", pico_base, seed=at, k=2000) for at, name in enumerate("ab"))
    return one, two


def test_errors_speak_of_arguments(paths: tuple[Path, Path], pico_base: Path) -> None:
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        sftkit.read(paths[0]).save(paths[1])
    with pytest.raises(MismatchError, match="force=True"):
        sftkit.read(paths[0]).apply_to(pico.make_model(seed=3))
    with pytest.raises(SettingsError, match="method="):
        sftkit.compose(pico_base, paths[0], output="x", method="mean")
    with pytest.raises(SettingsError, match="Say where to"):
        sftkit.compose(pico_base, paths[0])


def test_no_message_speaks_of_a_command_line(paths: tuple[Path, Path], pico_base: Path, tmp_path: Path) -> None:
    a = sftkit.read(paths[0])
    (tmp_path / "text.txt").write_text("ta mi lo\n" * 30)
    other = pico.make_model(seed=3)
    calls: list[Callable[[], object]] = [
        lambda: sftkit.Switch(other, {"a": a}),
        lambda: a.applied_to(other).__enter__(),
        lambda: sftkit.apply(other, paths),
        lambda: sftkit.compose(pico_base, a, output=tmp_path / "out", method="ties", trim=3),
        lambda: sftkit.evaluate("mlm", tmp_path / "text.txt", pico_base, scheme="strict"),
        lambda: sftkit.evaluate("mlm", tmp_path / "text.txt", pico_base, device="tpu"),
        lambda: next(sftkit.predict(pico_base, ["ta mi"], objective="pos", device="cpu")),
    ]
    for call in calls:
        with pytest.raises(SftkitError) as error:
            call()
        assert "--" not in str(error.value)


def test_options_become_arguments() -> None:
    assert as_arguments("--trim 3: a share is needed.") == "trim=3: a share is needed."
    assert as_arguments("--method mean: unknown.") == 'method="mean": unknown.'
    assert as_arguments("Name one: --head a.sft") == 'Name one: head="a.sft"'
    assert as_arguments("Was it trained with --pos?") == 'Was it trained with objective="pos"?'
    assert as_arguments("Give a longer --max-length, or go on with --force.") == (
        "Give a longer max_length, or go on with force=True."
    )


def wrong(value: object) -> Any:
    """What a type checker would refuse."""
    return value


REFUSED: dict[str, Callable[[Any, Any], object]] = {
    "a weight is given as a pair": lambda _, a: sftkit.read(f"{a}:0.5"),
    r"is no SFT; give": lambda base, a: sftkit.compose(base, wrong((0.5, a)), output="x"),
    "in the place of the base": lambda _, a: sftkit.compose(a, a, output="x"),
    "what is made is a model": lambda base, a: sftkit.compose(base, a, output="x.sft"),
    "what is made is an SFT": lambda _, a: sftkit.subtract(a, a, output="x"),
    "nothing to add": lambda base, _: sftkit.compose(base, output="x"),
    "trim is about method='ties'": lambda base, a: sftkit.compose(base, a, output="x", trim=0.1),
    "values is about SFTs": lambda base, a: sftkit.compose(base, a, output="x", values="bf16"),
    "say the same thing": lambda base, _: sftkit.subtract(base, base, output="x.sft", k=1, density=0.1),
    "among the differences of two models": lambda _, a: sftkit.subtract(a, a, output="x.sft", k=1),
    "head and no_head contradict": lambda base, a: sftkit.compose(base, a, output="x", head=a, no_head=True),
    "is not among the SFTs": lambda base, a: sftkit.compose(base, a, output="x", head="other.sft"),
    "leave the weights out": lambda _, a: sftkit.overlap(a, wrong((a, 0.5))),
    "no objective 'tags'": lambda base, _: sftkit.evaluate("tags", "x.txt", base),
    "no option 'colums'": lambda base, _: sftkit.evaluate("pos", "x.txt", base, colums=("a", "b")),
    "texts is one text": lambda base, _: sftkit.predict(base, "ta mi", objective="mlm"),
    "takes names": lambda _, a: sftkit.Switch(pico.make_model(), wrong([a])),
    "no model in memory": lambda base, a: sftkit.apply(wrong(base), a),
    "1 weights for 2 SFTs": lambda _, a: sftkit.apply(pico.make_model(), [a, a], [1.0]),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_makes_no_sense_is_refused_in_a_line(says: str, paths: tuple[Path, Path], pico_base: Path) -> None:
    with pytest.raises(SftkitError, match=says):
        REFUSED[says](pico_base, paths[0])


def test_errors_have_fields(paths: tuple[Path, Path], pico_base: Path) -> None:
    sft = sftkit.read(paths[0])
    with pytest.raises(MismatchError) as shape:
        sft.apply_to(pico.make_model(intermediate_size=32))
    assert shape.value.path == "a.sft"
    assert shape.value.tensor in sft.metadata.parameters
    assert shape.value.expected != shape.value.found
    with pytest.raises(MismatchError) as weights:
        sft.apply_to(pico.make_model(seed=3))
    assert sft.metadata.base is not None
    assert weights.value.expected == sft.metadata.base.fingerprint
    assert len(weights.value.found) == 32
    with pytest.raises(FormatError) as missing:
        sftkit.compose(pico_base, "missing.sft", output="x")
    assert missing.value.path == "missing.sft"
    with pytest.raises(OutputExistsError) as there:
        sft.save(paths[1])
    assert there.value.path == str(paths[1])
