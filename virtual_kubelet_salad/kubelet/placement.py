"""Tells whether this daemon serves the place where the workloads of its pods lie, or was configured for another.

A claim names its place, but a pod's author can edit it; one author must not be able to make the node useless for all.
So the Node bears a record of the place that it served last, which only the daemon and administrators can write: claims
elsewhere count when the record names another place too. It is brought up to date only while no claim lies elsewhere.
A Node without a record is judged by all its pods together.

`judge` belongs to the thread of the node's status; `is_elsewhere` may be asked by any thread.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Provider
from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

GUESS_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be written on the Node about it."""

    mismatch: str = ""
    """A sentence; empty when the right place is served."""
    record: str | None = None
    """The place to be recorded; None: what is there stays."""


class Placement:
    """Of one node."""

    def __init__(self, clock: Clock, cache: PodCache, claims: Claims, provider: Provider) -> None:
        self._clock = clock
        self._cache = cache
        self._claims = claims
        self._provider = provider
        # Replaced as a whole by `judge`; None before the Node was read.
        self._verdict: Verdict | None = None
        # What the pods alone say, and until when it is not asked again (monotonic).
        self._guess = Verdict()
        self._guessed_until = float("-inf")

    def judge(self, node: Mapping[str, Any]) -> Verdict:
        """Looks at the Node as it was read, and at all pods. Before the pods have been listed nothing is known."""
        if not self._cache.has_synced.is_set():
            return Verdict()
        annotations = (node.get("metadata") or {}).get("annotations") or {}
        verdict = self._judge(annotations.get(self._provider.identity.place_annotation))
        before, self._verdict = self._verdict, verdict
        if verdict.mismatch and (before is None or before.mismatch != verdict.mismatch):
            log.error("wrong place: %s", verdict.mismatch)
        elif before is not None and before.mismatch and not verdict.mismatch:
            log.info("the place is right again place=%s", self._provider.place)
        return verdict

    def is_elsewhere(self) -> bool:
        """Whether the node's workloads lie elsewhere, so that nothing may be started here."""
        verdict = self._verdict
        return bool((verdict if verdict is not None else self._guessed()).mismatch)

    def _guessed(self) -> Verdict:
        """Before the Node was read. All pods are looked at, so not for each of them."""
        now = self._clock.monotonic()
        if now >= self._guessed_until:
            self._guess = self._judge(None)
            self._guessed_until = now + GUESS_SECONDS
        return self._guess

    def _judge(self, recorded: str | None) -> Verdict:
        answers = {self._claims.lies_here(pod) for pod in self._cache.all()}
        place, noun = self._provider.place, self._provider.identity.workload_noun
        if False not in answers:
            return Verdict(record=place)
        is_mismatch = recorded != place if recorded is not None else True not in answers
        if not is_mismatch:
            return Verdict()
        where = recorded if recorded is not None else "another place"
        return Verdict(
            f"{noun}s of this node's pods lie in {where}, and this daemon serves {place}: they are left as they are, "
            "and nothing is started"
        )
