"""``sftkit train --source``: wrong usage."""

from __future__ import annotations

import pytest

from tests.cli.run import sftkit


@pytest.mark.parametrize(
    "arguments",
    [
        ("--source", "en.sft:x.conllu", "--objective", "pos"),
        ("--source", "en=en.sft:x.conllu"),
        ("--source", "en=en.sft:x.conllu", "--objective", "chess"),
        ("--source", "a=a.sft:x", "--source", "a=b.sft:y", "--objective", "pos"),
        ("--objective", "pos"),
        ("--source", "a=a.sft:x", "--objective", "pos", "--mlm", "x.txt"),
        ("--source", "a=a.sft:x", "--objective", "pos", "--with", "b.sft"),
    ],
)
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    assert sftkit("train", *arguments).status == 2
