"""Makes sure that no daemon works for a node while it is cleaned up, by leading in its place.

A cleanup takes part in the election of the node's daemons: while it leads, a daemon that is started stands by. It
refuses when a daemon leads, or when one that runs without an election keeps renewing the Node's lease. With force it
takes the leader's lease: the daemon that led ends by itself within seconds, and stands by when it is started again.

Guarantees what an election can: a call of the old leader that is already under way may still arrive (see
`kube.leader`); claims and computed names make it harmless. One background thread renews the lease.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from virtual_kubelet_salad.errors import Error, NotFound, NotLeader
from virtual_kubelet_salad.kube import resources
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.leader import (
    LEASE_DURATION_SECONDS,
    RENEW_DEADLINE_SECONDS,
    LeaderElector,
    format_micro_time,
)
from virtual_kubelet_salad.kubelet.heartbeat import LEASE_NAMESPACE
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.threads import Loop, ThreadGroup

log = logging.getLogger(__name__)

# A leader that is alive renews each 2 s; a dead one's lease is free 15 s after it was first seen.
ACQUIRE_SECONDS = LEASE_DURATION_SECONDS + 10.0
LOOK_SECONDS = 0.25
# The longest --heartbeat-interval is 20 s.
HEARTBEAT_SECONDS = 25.0
HEARTBEAT_LOOK_SECONDS = 1.0
STEP_BOUND_SECONDS = 30.0
STOP_SECONDS = 5.0
# For how long the lease keeps the daemon standing by that it was taken from by force: time to remove it.
KEPT_SECONDS = 300

Object = dict[str, Any]


class Threads(Protocol):
    """What is needed of `runtime.threads.ThreadGroup`."""

    def add(self, loop: Loop) -> None: ...

    def start(self) -> None: ...

    def stop(self, deadline_seconds: float) -> list[str]: ...


class StillRunning(Exception):
    """A daemon works for this node; the text says how that is known."""


class Takeover:
    """`api` has a connection of its own, and no check before its writes. `wait` pauses for so many seconds and raises
    when it must not go on.
    """

    def __init__(
        self,
        api: ApiServer,
        clock: Clock,
        *,
        node_name: str,
        namespace: str,
        lease_name: str,
        identity: str,
        wait: Callable[[float], None],
        threads: Threads | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._node_name = node_name
        self._namespace = namespace
        self._lease_name = lease_name
        self._identity = identity
        self._wait = wait
        self._lost = ""
        self._elector = LeaderElector(
            api,
            clock,
            namespace=namespace,
            name=lease_name,
            identity=identity,
            on_gained=lambda: log.info("no daemon works for this node now lease=%s", lease_name),
            on_lost=self._on_lost,
        )
        self._threads = threads or ThreadGroup(clock, lambda name, error: self._on_lost(f"its thread died: {error!r}"))
        self._threads.add(Loop("leader", self._elector.step, bound_seconds=STEP_BOUND_SECONDS))

    def holder(self) -> str:
        """Who holds the leader's lease, alive or not; empty when nobody does. Raises `errors.Error`."""
        lease = self._lease(self._namespace, self._lease_name)
        return str((lease.get("spec") or {}).get("holderIdentity") or "")

    def acquire(self, *, by_force: bool) -> None:
        """Returns when no daemon works for this node any more. Raises `StillRunning`, `errors.Error`."""
        begun = self._clock.monotonic()
        heartbeat = self._heartbeat()
        is_watched = heartbeat > self._released_at()
        if by_force:
            self._seize()
        self._threads.start()
        while not self._elector.is_leader():
            if self._lost or self._clock.monotonic() - begun >= ACQUIRE_SECONDS:
                holder = self._elector.holder
                raise StillRunning(f"{holder} leads" if holder else "the leader's lease could not be had")
            self._wait(LOOK_SECONDS)
        if by_force:
            # Until then the old leader may not have noticed.
            self._wait(RENEW_DEADLINE_SECONDS)
            return
        while is_watched and self._clock.monotonic() - begun < HEARTBEAT_SECONDS:
            if self._heartbeat() not in ("", heartbeat):
                raise StillRunning("the Node's lease is still renewed, by a daemon without leader election")
            self._wait(HEARTBEAT_LOOK_SECONDS)

    def check(self) -> None:
        """Right before every write. Raises `NotLeader`."""
        if not self._elector.is_leader():
            raise NotLeader("the leader's lease is lost")

    @property
    def lost(self) -> str:
        """Why the lease is lost for good; empty while it is not."""
        return self._lost

    # -- the end; each stops the renewals, and raises nothing of `errors` ---------------------------------------------

    def release(self) -> None:
        """The next daemon may lead at once."""
        self._threads.stop(STOP_SECONDS)
        self._elector.release()

    def delete(self) -> bool:
        """Nobody needs the lease any more; whether it is gone."""
        self.release()
        try:
            self._api.delete(resources.lease(self._namespace, self._lease_name))
        except NotFound:
            return True
        except Error as error:
            log.warning("the leader's lease stays reason=%s", error)
            return False
        return True

    def keep(self) -> bool:
        """A daemon that still runs stands by for a while; whether that is so."""
        self._threads.stop(STOP_SECONDS)
        try:
            self.check()
            self._api.patch_lease(self._namespace, self._lease_name, {"spec": {"leaseDurationSeconds": KEPT_SECONDS}})
        except Error as error:
            log.warning("the leader's lease runs out soon, and a daemon that still runs works again reason=%s", error)
            return False
        return True

    # -----------------------------------------------------------------------------------------------------------------

    def _on_lost(self, why: str) -> None:
        self._lost = why

    def _seize(self) -> None:
        lease = self._lease(self._namespace, self._lease_name)
        holder = str((lease.get("spec") or {}).get("holderIdentity") or "")
        if not holder:
            return
        log.warning("the leader's lease is taken by force holder=%s", holder)
        moment = format_micro_time(self._clock.now())
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(LEASE_DURATION_SECONDS),
            "acquireTime": moment,
            "renewTime": moment,
            "leaseTransitions": int((lease.get("spec") or {}).get("leaseTransitions") or 0) + 1,
        }
        self._api.patch_lease(self._namespace, self._lease_name, {"spec": spec})

    def _released_at(self) -> str:
        """When the last leader stopped in order, as written: it renewed the Node's lease no later. Empty when it did
        not. Times of one format, so that they compare as texts.
        """
        spec = self._lease(self._namespace, self._lease_name).get("spec") or {}
        return "" if spec.get("holderIdentity") else str(spec.get("renewTime") or "")

    def _heartbeat(self) -> str:
        """When the Node's lease was renewed, as written; empty when there is none."""
        return str((self._lease(LEASE_NAMESPACE, self._node_name).get("spec") or {}).get("renewTime") or "")

    def _lease(self, namespace: str, name: str) -> Object:
        try:
            return self._api.get_lease(namespace, name)
        except NotFound:
            return {}
