"""What somebody may ask of the node: a SubjectAccessReview on the subresource of `nodes` that the path stands for.

Verbs and subresources are those of a kubelet, so that existing roles (`system:kubelet-api-admin`, metrics-server's)
fit. An answer is believed for two minutes, a refusal for ten seconds. Safe to use from any thread.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet_api.answers_cache import AnswersCache
from virtual_kubelet_salad.kubelet_api.identity import User
from virtual_kubelet_salad.runtime.clock import Clock

ALLOWED_SECONDS = 120.0
# Somebody who was just given the right should not wait.
DENIED_SECONDS = 10.0
MOST_KEPT = 5_000

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_SUBRESOURCES = {
    "/stats": ("stats",),
    "/metrics": ("metrics",),
    "/logs": ("log",),
    "/checkpoint": ("checkpoint",),
    # The narrow right first, then the one that covers everything.
    "/pods": ("pods", "proxy"),
    "/runningpods": ("pods", "proxy"),
    "/healthz": ("healthz", "proxy"),
    "/configz": ("configz", "proxy"),
}
_EVERYTHING_ELSE = ("proxy",)


def subresources(path: str) -> tuple[str, ...]:
    """Any one of which allows the path."""
    for prefix, found in _SUBRESOURCES.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return found
    return _EVERYTHING_ELSE


def verb(method: str) -> str | None:
    """None: no request that a kubelet answers."""
    return _VERBS.get(method)


class Authorizer:
    """Tells what somebody may do with this node."""

    def __init__(self, api: ApiServer, clock: Clock, node_name: str) -> None:
        self._api = api
        self._node_name = node_name
        self._answers: AnswersCache[bool] = AnswersCache(clock, MOST_KEPT)

    def may(self, user: User, method: str, path: str) -> bool:
        """Raises `errors.Error` when the API server could not be asked."""
        wanted = verb(method)
        return wanted is not None and any(self._may(user, wanted, each) for each in subresources(path))

    def _may(self, user: User, wanted: str, subresource: str) -> bool:
        key = (user, tuple(sorted(user.extra.items())), wanted, subresource)
        kept = self._answers.get(key)
        if kept is not None:
            return kept[0]
        allowed = self._api.subject_access_review(self._question(user, wanted, subresource))
        self._answers.put(key, allowed, ALLOWED_SECONDS if allowed else DENIED_SECONDS)
        return allowed

    def _question(self, user: User, wanted: str, subresource: str) -> dict[str, Any]:
        return {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
            "resourceAttributes": {
                "verb": wanted,
                "version": "v1",
                "resource": "nodes",
                "subresource": subresource,
                "name": self._node_name,
            },
        }
