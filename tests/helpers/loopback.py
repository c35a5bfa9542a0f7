"""A hub on this machine's loopback address that has one model: what huggingface_hub asks of the real one, no more."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

_COMMIT = "0" * 39 + "1"


class _Server(ThreadingHTTPServer):
    models: dict[str, Path]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        for name, folder in self.server.models.items():
            if path.startswith(f"{name}/resolve/"):
                return self._file(folder / path.rsplit("/", 1)[1])
            if path.startswith(f"api/models/{name}/tree/"):
                return self._json([_entry(each) for each in sorted(folder.iterdir())])
            if path.startswith(f"api/models/{name}"):
                return self._json({"id": name, "sha": _COMMIT, "siblings": []})
        return self._answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def _json(self, document: object) -> None:
        self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _file(self, path: Path) -> None:
        if not path.is_file():
            return self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        data = path.read_bytes()
        return self._answer(200, data, {"ETag": f'"{_digest(data)}"', "X-Repo-Commit": _COMMIT})

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def hub_of(models: dict[str, Path]) -> Iterator[str]:
    """Serve model directories by their ids; gives the address for ``HF_ENDPOINT``."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.models = models
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _entry(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    return {"type": "file", "oid": _digest(data), "size": len(data), "path": path.name}


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
