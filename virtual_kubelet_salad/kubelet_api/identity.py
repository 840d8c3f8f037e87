"""Who asks: a client certificate of the cluster's CA, or a bearer token that the API server vouches for.

Tokens are never kept, only their hashes, and what the API server said of each is believed for two minutes. Safe to use
from any thread. Source: the kubelet's own authentication.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kubelet_api.answers_cache import AnswersCache
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import TokenBucket

KNOWN_SECONDS = 120.0
# Somebody who mended their token should not wait.
UNKNOWN_SECONDS = 10.0
MOST_KEPT = 1_000
# Every Kubernetes token is far shorter; the API server refuses longer ones too.
MOST_TOKEN_CHARACTERS = 16_000
# Guessed tokens must not become a flood of questions to the API server.
REVIEWS_PER_MINUTE = 600.0
REVIEWS_AT_ONCE = 60.0
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody whom the cluster knows."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False, compare=False)


class Authenticator:
    """Tells who somebody is."""

    def __init__(self, api: ApiServer, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._known: AnswersCache[User | None] = AnswersCache(clock, MOST_KEPT)
        self._reviews = TokenBucket(clock, REVIEWS_PER_MINUTE, REVIEWS_AT_ONCE)

    def user(self, certificate: Mapping[str, Any] | None, authorization: str) -> User | None:
        """`certificate` as `ssl` decodes a verified one, `authorization` the header of that name. None: nobody whom we
        know. Raises `errors.Error` when the API server could not be asked.
        """
        if certificate is not None:
            found = self._of_certificate(certificate)
            if found is not None:
                return found
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(token) > MOST_TOKEN_CHARACTERS:
            return None
        return self._of_token(token)

    def _of_certificate(self, certificate: Mapping[str, Any]) -> User | None:
        """The common name is the user, each organization a group. The handshake verified it, perhaps long ago."""
        if ssl.cert_time_to_seconds(certificate["notAfter"]) <= self._clock.now().timestamp():
            return None
        subject = [attribute for part in certificate.get("subject", ()) for attribute in part]
        names = [value for kind, value in subject if kind == "commonName"]
        groups = [value for kind, value in subject if kind == "organizationName"]
        if not names or not names[-1]:
            return None
        return User(names[-1], "", (*groups, AUTHENTICATED))

    def _of_token(self, token: str) -> User | None:
        key = hashlib.sha256(token.encode()).digest()
        kept = self._known.get(key)
        if kept is not None:
            return kept[0]
        delay = self._reviews.try_acquire()
        if delay > 0.0:
            raise errors.CouldNotAsk("too many unknown tokens were shown", retry_after=delay)
        user = _reviewed(self._api.token_review(token))
        self._known.put(key, user, KNOWN_SECONDS if user is not None else UNKNOWN_SECONDS)
        return user


def _reviewed(status: Mapping[str, Any]) -> User | None:
    if status.get("authenticated") is not True:
        return None
    user = status.get("user") or {}
    name = user.get("username")
    if not isinstance(name, str) or not name:
        return None
    extra = {key: tuple(values) for key, values in (user.get("extra") or {}).items()}
    return User(name, str(user.get("uid") or ""), tuple(user.get("groups") or ()), extra)
