"""Plain HTTPS requests to an API server, for tests that must see exactly what it answers to exactly what was sent."""

from __future__ import annotations

import pathlib

from virtual_kubelet_salad.sandbox.https_api import JSON, CouldNotReach, HttpsApi, RawAnswer

__all__ = ["JSON", "STRATEGIC_MERGE", "CouldNotReach", "RawAnswer", "RawApi"]

STRATEGIC_MERGE = "application/strategic-merge-patch+json"


class RawApi(HttpsApi):
    """Speaks with a client certificate; with `user`, as that user (impersonated), who has only what is bound to that
    name."""

    def __init__(
        self, url: str, ca_file: pathlib.Path, certificate: pathlib.Path, key: pathlib.Path, user: str | None = None
    ) -> None:
        super().__init__(url, ca_file, certificate, key, {} if user is None else {"Impersonate-User": user})

    def patch_status(self, path: str, body: object) -> RawAnswer:
        """A strategic-merge PATCH of the object's status subresource."""
        return self.request("PATCH", f"{path}/status", body, STRATEGIC_MERGE)
