"""Plain requests to an API server that speaks TLS and knows its clients by certificate.

Every HTTP status is an answer, so that a caller sees exactly what the server said. A connection per request; callable
from any thread.
"""

from __future__ import annotations

import http.client
import json
import pathlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REQUEST_SECONDS = 20
JSON = "application/json"


class CouldNotReach(Exception):
    """No whole answer: refused, reset, cut off, timed out, or not TLS."""


@dataclass(frozen=True)
class RawAnswer:
    """`body` is the decoded JSON, or the text when it is not JSON."""

    status: int
    body: Any


class HttpsApi:
    """Speaks with a client certificate; `headers` go with every request."""

    def __init__(
        self,
        url: str,
        ca_file: pathlib.Path,
        certificate: pathlib.Path,
        key: pathlib.Path,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._url = url
        self._headers = dict(headers or {})
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._tls.load_cert_chain(certificate, key)

    def request(
        self, method: str, path: str, body: object = None, content_type: str = JSON, timeout: float = REQUEST_SECONDS
    ) -> RawAnswer:
        """One request; `timeout` in seconds. Raises CouldNotReach."""
        headers = {"Content-Type": content_type, "Accept": JSON, **self._headers}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout, context=self._tls) as response:
                return RawAnswer(response.status, _decoded(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return RawAnswer(error.code, _decoded(error.read()))
        except (OSError, http.client.HTTPException) as error:
            raise CouldNotReach(f"{method} {path}: {error}") from error


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
