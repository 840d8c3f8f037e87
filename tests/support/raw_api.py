"""Plain HTTPS requests to an API server, for tests that must see exactly what it answers to exactly what was sent."""

from __future__ import annotations

import json
import pathlib
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

REQUEST_SECONDS = 20
JSON = "application/json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"


class CouldNotReach(Exception):
    """No answer: refused, reset, timed out, or not TLS."""


@dataclass(frozen=True)
class RawAnswer:
    """`body` is the decoded JSON, or the text when it is not JSON."""

    status: int
    body: Any


class RawApi:
    """Speaks with a client certificate; with `user`, as that user (impersonated), who has only what is bound to that
    name."""

    def __init__(
        self, url: str, ca_file: pathlib.Path, certificate: pathlib.Path, key: pathlib.Path, user: str | None = None
    ) -> None:
        self._url = url
        self._user = user
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._tls.load_cert_chain(certificate, key)

    def request(self, method: str, path: str, body: object = None, content_type: str = JSON) -> RawAnswer:
        """One request; every HTTP status is an answer. Raises CouldNotReach."""
        headers = {"Content-Type": content_type, "Accept": JSON}
        if self._user is not None:
            headers["Impersonate-User"] = self._user
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS, context=self._tls) as response:
                return RawAnswer(response.status, _decoded(response.read()))
        except urllib.error.HTTPError as error:
            with error:
                return RawAnswer(error.code, _decoded(error.read()))
        except OSError as error:
            raise CouldNotReach(f"{method} {path}: {error}") from error

    def patch_status(self, path: str, body: object) -> RawAnswer:
        """A strategic-merge PATCH of the object's status subresource."""
        return self.request("PATCH", f"{path}/status", body, STRATEGIC_MERGE)


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
