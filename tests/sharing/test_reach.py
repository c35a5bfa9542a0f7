"""Where the hub cannot be reached that is told in seconds, and what was downloaded before is still found."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from sftkit.errors import FormatError
from sftkit.sharing import hub
from sftkit.sharing.reach import answers


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def closed() -> Iterator[str]:
    """An address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_who_listens_answers_and_nobody_does_not(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert answers(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert not answers(closed)
    assert not answers("https://no.such.host.invalid")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert answers(closed)  # that is for the proxy to say


def test_a_hub_that_does_not_answer_is_told_of_at_once_and_the_library_is_as_before(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", closed)
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    with pytest.raises(FormatError, match="the hub cannot be reached"):
        hub.resolve_sft("hf://owner/name/x.sft")
    assert waits == []
    assert constants.HF_HUB_OFFLINE is False
