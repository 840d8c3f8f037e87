"""Leader election on a Lease: of several replicas for one node, one writes.

`step()`, on a thread of its own, acquires and renews. `is_leader()` is asked right before each write, by any thread: it
compares the monotonic clock with a deadline, so a replica that was frozen or cut off knows by itself that it leads no
more. A leader stops 10 s after the start of its last successful renewal; others take over no earlier than 15 s after
they saw it. Only times observed locally are compared: the clocks of replicas may differ, as long as they run at about
the same speed.

Does not fence: a call that passed `is_leader()` may reach its server after another replica has taken over, when it is
under way for longer than the 5 s between. What is written must be harmless then. Leadership that was lost or released
is never taken again by the same elector: its process ends and starts anew.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import math
import random
from collections.abc import Callable
from typing import Any, Protocol

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.runtime.clock import Clock

log = logging.getLogger(__name__)

# Where the Leases of elections live; those of the control plane are there too.
NAMESPACE = "kube-system"
# As the control plane's own components: duration > renew deadline > retry period, each with room for a slow call.
LEASE_DURATION_SECONDS = 15.0
RENEW_DEADLINE_SECONDS = 10.0
RETRY_PERIOD_SECONDS = 2.0

# Somebody wrote the Lease at the same time; a fresh look should follow soon.
_CONFLICT_RETRY_SECONDS = 0.5
# Standbys look at different times: up to this part of the period is added.
_JITTER_PART = 0.5
# A released Lease is free at once; the API server wants a positive duration all the same.
_RELEASED_DURATION_SECONDS = 1

Object = dict[str, Any]


class Api(Protocol):
    """What is needed of `kube.client.ApiServer`, with a connection of its own: nobody's call may delay a renewal."""

    def get_lease(self, namespace: str, name: str) -> Object: ...

    def create_lease(self, namespace: str, lease: Object) -> Object: ...

    def patch_lease(self, namespace: str, name: str, patch: Object) -> Object: ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Record:
    """The Lease as last seen: any difference shows that its holder is alive."""

    resource_version: str
    holder: str
    duration_seconds: float
    transitions: int
    renew_time: str


class LeaderElector:
    """One replica's part in the election.

    `on_gained` and `on_lost` are each called at most once, on the thread of `step()`; they must return at once, since
    nothing is renewed meanwhile. `on_lost` is not called after `release()`.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        namespace: str,
        name: str,
        identity: str,
        on_gained: Callable[[], None],
        on_lost: Callable[[str], None],
        jitter: random.Random | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._on_gained = on_gained
        self._on_lost = on_lost
        self._jitter = jitter if jitter is not None else random.Random()
        # Until this monotonic time we lead. Written by step() alone, read by everybody.
        self._leads_until = -math.inf
        self._has_led = False
        # Written by release() alone; step() and release() may be on different threads.
        self._is_released = False
        self._is_lost = False
        self._record: _Record | None = None
        # Monotonic time at which the record was first seen as it is.
        self._observed_at = -math.inf
        # What the latest failed step complained about; an outage is logged once, not every two seconds.
        self._trouble = ""

    def is_leader(self) -> bool:
        """Whether we lead at this very moment. Never waits; callable from any thread."""
        return not self._is_released and self._clock.monotonic() < self._leads_until

    @property
    def holder(self) -> str:
        """Who was last seen to hold the Lease; empty when nobody or not known."""
        return self._record.holder if self._record is not None else ""

    @property
    def is_led_by_another(self) -> bool:
        """Whether another replica was last seen to hold the Lease; it may have died since."""
        return self.holder not in ("", self._identity)

    def step(self) -> float:
        """Acquire or renew, once. Returns the seconds until the next step; raises nothing of `errors`."""
        if self._is_released or self._is_lost:
            return RETRY_PERIOD_SECONDS
        if self._has_led and not self.is_leader():
            return self._lose("the lease could not be renewed in time")
        try:
            delay = self._acquire_or_renew()
        except (errors.Conflict, errors.NotFound) as error:
            # Our picture is outdated; the next step looks before it writes.
            self._forget()
            log.info("lease changed by others name=%s why=%s", self._name, error)
            delay = _CONFLICT_RETRY_SECONDS
        except errors.Error as error:
            self._warn_once(str(error))
            delay = self._pause()
        else:
            self._trouble = ""
        if self._has_led and not self._is_lost:
            # Whatever happens, look again when the deadline comes, so that the loss is reported at once.
            delay = min(delay, max(0.0, self._leads_until - self._clock.monotonic()))
        return delay

    def release(self) -> bool:
        """Lead no more, and let the next replica take over without waiting. Call it when nothing writes any more.

        Returns whether the Lease was freed (also when it was not ours): after False the others have to wait it out.
        """
        led = self.is_leader()
        self._is_released = True
        record = self._record
        if not led or record is None:
            return True
        spec = {
            "holderIdentity": "",
            "leaseDurationSeconds": _RELEASED_DURATION_SECONDS,
            "renewTime": format_micro_time(self._clock.now()),
        }
        try:
            self._patch(record, spec)
        except errors.Error as error:
            log.warning("lease not released name=%s why=%s", self._name, error)
            return False
        log.info("lease released name=%s identity=%s", self._name, self._identity)
        return True

    # -- one step

    def _acquire_or_renew(self) -> float:
        # A leader knows the Lease and writes at once; if somebody else wrote meanwhile the answer is a conflict.
        if not self.is_leader() or self._record is None:
            self._look()
        record = self._record
        if record is None:
            self._lead_from(self._clock.monotonic(), self._create)
        elif record.holder == self._identity:
            self._lead_from(self._clock.monotonic(), lambda: self._patch(record, self._renewal()))
        elif self._has_led:
            return self._lose(f"{record.holder or 'nobody'} holds the lease now")
        elif record.holder and (left := self._observed_at + record.duration_seconds - self._clock.monotonic()) > 0.0:
            # As soon as it runs out: of several who come then, one wins.
            return min(self._pause(), left)
        else:
            self._lead_from(self._clock.monotonic(), lambda: self._patch(record, self._takeover(record.transitions)))
        return RETRY_PERIOD_SECONDS

    def _look(self) -> None:
        try:
            self._observe(self._api.get_lease(self._namespace, self._name))
        except errors.NotFound:
            self._forget()

    def _lead_from(self, started: float, write: Callable[[], Object]) -> None:
        """A write that succeeds makes us lead, counted from its start: the answer may have taken long."""
        self._observe(write())
        if self._is_released:
            return
        self._leads_until = started + RENEW_DEADLINE_SECONDS
        if not self._has_led:
            self._has_led = True
            log.info("leading name=%s identity=%s", self._name, self._identity)
            self._on_gained()

    def _lose(self, why: str) -> float:
        self._leads_until = -math.inf
        self._is_lost = True
        log.error("leadership lost name=%s identity=%s why=%s", self._name, self._identity, why)
        self._on_lost(why)
        return RETRY_PERIOD_SECONDS

    def _warn_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("lease not written name=%s why=%s", self._name, trouble)

    def _pause(self) -> float:
        return RETRY_PERIOD_SECONDS * (1.0 + _JITTER_PART * self._jitter.random())

    # -- what is known

    def _observe(self, lease: Object) -> None:
        metadata, spec = lease.get("metadata") or {}, lease.get("spec") or {}
        record = _Record(
            resource_version=str(metadata.get("resourceVersion") or ""),
            holder=str(spec.get("holderIdentity") or ""),
            duration_seconds=float(spec.get("leaseDurationSeconds") or LEASE_DURATION_SECONDS),
            transitions=int(spec.get("leaseTransitions") or 0),
            renew_time=str(spec.get("renewTime") or ""),
        )
        if record != self._record:
            self._record, self._observed_at = record, self._clock.monotonic()

    def _forget(self) -> None:
        self._record = None

    # -- what is written

    def _create(self) -> Object:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": self._takeover(transitions=-1),
        }
        return self._api.create_lease(self._namespace, lease)

    def _patch(self, record: _Record, spec: Object) -> Object:
        # The resourceVersion makes the API server refuse the write if anybody has written since.
        patch = {"metadata": {"resourceVersion": record.resource_version}, "spec": spec}
        return self._api.patch_lease(self._namespace, self._name, patch)

    def _renewal(self) -> Object:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(LEASE_DURATION_SECONDS),
            "renewTime": format_micro_time(self._clock.now()),
        }

    def _takeover(self, transitions: int) -> Object:
        renewal = self._renewal()
        return {**renewal, "acquireTime": renewal["renewTime"], "leaseTransitions": transitions + 1}


def lease_name(node_name: str) -> str:
    """The Lease of the daemons that work for this node."""
    return f"virtual-kubelet-salad-{node_name}"


def format_micro_time(moment: datetime.datetime) -> str:
    """As `metav1.MicroTime` must be written: UTC with exactly six digits. Go refuses any other number of them."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
