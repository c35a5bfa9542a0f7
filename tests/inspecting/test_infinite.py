"""Numbers of a training record that no run has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sftkit.errors import FormatError
from sftkit.format.files import read
from sftkit.inspecting.curves import best, start
from sftkit.inspecting.training_facts import training_facts
from tests.format.raw import document, write_raw

_INFINITE: list[Any] = [float("inf"), 10**400]


@pytest.mark.parametrize("number", _INFINITE, ids=["infinite", "of 400 digits"])
def test_steps_and_values_that_are_no_numbers_of_a_run_are_left_out(number: Any) -> None:
    told = {"best": {"step": number, "metric": "loss", "value": number}, "start": {"value": 10**400}}
    assert (best(told), start(told)) == (None, None)
    training_facts(told | {"history": {"phase1": [[number, number]]}}, "lottery")


def test_a_number_larger_than_any_is_refused_as_infinity_is(tmp_path: Path) -> None:
    text = str(document(training={"lr": "X"})).replace("'", '"').replace('"X"', "1e999")
    with pytest.raises(FormatError, match="1e999 is larger than any number"):
        read(write_raw(tmp_path / "x.sft", sft=text))
