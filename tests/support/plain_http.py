"""One plain HTTP or HTTPS request to a server on loopback, for health routes, metrics and control routes."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

# As long as a loaded machine may need.
REQUEST_SECONDS = 30.0


class NoAnswer(Exception):
    """Refused, reset, cut off or timed out."""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(
    method: str,
    url: str,
    body: object = None,
    headers: dict[str, str] | None = None,
    timeout: float = REQUEST_SECONDS,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Every HTTP status is an answer. `body` is sent as JSON; `context` is for https. Raises NoAnswer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data=data, headers={"Content-Type": "application/json", **(headers or {})}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout, context=context) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{method} {url}: {error}") from error
