"""Whether anybody answers at an address, told in seconds."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

#: Seconds that a connection may take.
_PATIENCE = 5.0


def answers(endpoint: str) -> bool:
    """Whether a connection to an endpoint can be made. Behind a proxy that is the proxy's to say: then true.

    Args:
        endpoint: such as "https://huggingface.co".
    """
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)
    proxies = getproxies()
    if not host or ((proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(host)):
        return True
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except OSError:
        return False
    return True


@contextmanager
def offline_where_nobody_answers() -> Iterator[None]:
    """Where no connection to the hub can be made, have its library look into its cache at once.

    It would try again and again for half a minute first.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or answers(constants.ENDPOINT):
        yield
        return
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = False
