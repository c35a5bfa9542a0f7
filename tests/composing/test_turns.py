"""Pieces of several files, shared out to threads."""

import threading

import pytest

from sftkit.composing.turns import THREADS, in_turns


def test_results_come_in_the_order_of_the_pieces_and_each_file_is_closed_once_after_its_last() -> None:
    files: list[list[str]] = [["a", "b", "c"], [], ["d"], ["e", "f"]]
    done, closed = list[tuple[int, str]](), list[int]()

    def close(number: int) -> None:
        assert {piece for _, piece in done} >= set(files[number])
        closed.append(number)

    def work(number: int, piece: str) -> str:
        done.append((number, piece))
        return f"{number}{piece}"

    assert in_turns(files, work, close) == [["0a", "0b", "0c"], [], ["2d"], ["3e", "3f"]]
    assert sorted(closed) == [0, 1, 2, 3]


def test_each_thread_has_a_file_of_its_own_while_there_are_as_many() -> None:
    count = THREADS + 1
    together = threading.Barrier(count, timeout=20)
    busy, lock = set[int](), threading.Lock()

    def work(number: int, _: str) -> None:
        with lock:
            assert number not in busy
            busy.add(number)
        together.wait()  # every thread holds a piece now
        with lock:
            busy.remove(number)

    in_turns([["first"] for _ in range(count)], work, lambda _: None)


@pytest.mark.parametrize("at", ["work", "close"])
def test_the_first_error_is_raised_and_ends_the_rest(at: str) -> None:
    begun = list[int]()

    def work(_: int, piece: int) -> None:
        begun.append(piece)
        if at == "work" and piece == 0:
            raise OSError("full")

    def close(number: int) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        in_turns([[0], list(range(1, 200_000))], work, close)
    assert len(begun) < 200_000
