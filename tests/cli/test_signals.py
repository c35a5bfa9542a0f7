"""When Ctrl-C and SIGTERM end a training run: at once, or after the step, so that a checkpoint can be saved."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from sftkit.cli.run import signals
from sftkit.cli.show.progress import TrainingDisplay

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture
def display() -> Iterator[TrainingDisplay]:
    """Of a run with a directory, with the program's signal handlers in force."""
    with signals.ended_in_order(), TrainingDisplay(quiet=True, patient=True) as made:
        yield made


@BOTH
def test_while_steps_are_done_it_waits_for_the_end_of_one(display: TrainingDisplay, number: signal.Signals) -> None:
    display.phase("phase 1", 10)
    signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt):
        display.step(1, None)


def test_while_the_model_is_scored_it_waits_for_the_end_of_a_batch(display: TrainingDisplay) -> None:
    display.phase("phase 1", 10)
    display.evaluating()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        display.waiting()


def test_while_data_is_loaded_and_tokenised_it_ends_at_once(display: TrainingDisplay) -> None:
    display.loading("features")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


class _Dying:
    """Ctrl-C comes while it is taken away."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_what_came_in_a_destructor_is_not_printed_and_not_forgotten(
    display: TrainingDisplay, capsys: pytest.CaptureFixture[str]
) -> None:
    _Dying()
    with pytest.raises(KeyboardInterrupt):
        display.waiting()
    assert capsys.readouterr().err == ""


def test_an_error_that_an_interruption_was_turned_into_is_an_interruption(display: TrainingDisplay) -> None:
    with pytest.raises(ValueError, match="shape"), signals.kept():
        raise ValueError("could not determine the shape")
    display.phase("phase 1", 10)
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), signals.kept():
        raise ValueError("could not determine the shape")


def test_while_entries_are_chosen_it_ends_at_once(display: TrainingDisplay) -> None:
    display.phase("phase 1", 10)
    display.phase("select", 0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_what_came_between_two_phases_is_not_forgotten(display: TrainingDisplay) -> None:
    display.phase("phase 1", 10)
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        display.phase("select", 0)


def test_a_second_one_ends_at_once_but_not_its_echo_from_a_launcher(
    display: TrainingDisplay, monkeypatch: pytest.MonkeyPatch
) -> None:
    display.phase("phase 1", 10)
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    monkeypatch.setattr(signals, "_SAME", 0.0)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
