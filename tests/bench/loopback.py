"""JSON over HTTP on loopback, on connections that stay open: one per thread."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

_TIMEOUT_SECONDS = 60.0
# A server may close a connection that was idle for longer (the simulator does after 120 s).
_IDLE_SECONDS = 30.0


class Loopback:
    """One server. Every thread that asks has its own connection, until the thread ends."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._address = (str(parts.hostname), int(parts.port or 80))
        self._of_thread = threading.local()

    def ask(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """The decoded answer. RuntimeError for a status from 400 on; OSError when there is no answer."""
        status, text = self.ask_text(method, path, body, content_type)
        if status >= 400:
            raise RuntimeError(f"{method} {path}: HTTP {status}: {text[:300]}")
        return json.loads(text) if text else None

    def ask_text(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> tuple[int, str]:
        """Status and body. OSError when there is no answer."""
        if time.monotonic() - getattr(self._of_thread, "used_at", 0.0) > _IDLE_SECONDS:
            self.close()
        connection = getattr(self._of_thread, "connection", None)
        if connection is None:
            connection = self._of_thread.connection = http.client.HTTPConnection(
                *self._address, timeout=_TIMEOUT_SECONDS
            )
        self._of_thread.used_at = time.monotonic()
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {**headers, **({"Content-Type": content_type} if data else {})})
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionError(f"{method} {path}: {error!r}") from error

    def close(self) -> None:
        """Closes the connection of this thread; the next request opens another."""
        connection = getattr(self._of_thread, "connection", None)
        if connection is not None:
            connection.close()
            self._of_thread.connection = None
