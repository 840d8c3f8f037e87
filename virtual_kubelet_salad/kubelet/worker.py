"""A worker: takes one pod from the queue, reconciles it, and maps what came of it to the queue, the metrics and the
log. The only place that does.

Work is never forgotten: every failure comes back with a capped, jittered backoff.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from virtual_kubelet_salad.errors import (
    AnotherPod,
    BeingDeleted,
    Conflict,
    CouldNotAsk,
    Error,
    NoBudget,
    NotLeader,
    Unauthorized,
)
from virtual_kubelet_salad.kubelet.result import Result
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.workqueue import WorkQueue

log = logging.getLogger(__name__)

# How long an idle worker waits before it looks at the stop event again; adding a key wakes it at once.
IDLE_SECONDS = 5.0
NOT_LEADER_SECONDS = 2.0
# The informer will show soon what the API server has just said about the pod.
INFORMER_SECONDS = 5.0


class Observer(Protocol):
    """Counts reconciles."""

    def reconciled(self, outcome: str, seconds: float) -> None: ...

    def retried(self) -> None: ...


class Worker:
    """One step = at most one reconcile. Several workers share queue and reconcile function."""

    def __init__(self, queue: WorkQueue, reconcile: Callable[[str], Result], clock: Clock, observer: Observer) -> None:
        self._queue = queue
        self._reconcile = reconcile
        self._clock = clock
        self._observer = observer

    def step(self) -> float:
        """Reconciles the next pod, if one is ready; returns how long to wait when none is."""
        uid = self._queue.get()
        if uid is None:
            return IDLE_SECONDS
        begun = self._clock.monotonic()
        try:
            result, failed = self._run(uid)
        finally:
            self._queue.done(uid)
        seconds = self._clock.monotonic() - begun
        if not failed:
            self._queue.forget(uid)
            if result.after is not None:
                self._queue.add_after(uid, result.after, urgent=result.after == 0.0)
        elif result.after is None:
            self._observer.retried()
            self._queue.add_rate_limited(uid)
        else:
            self._queue.add_after(uid, result.after)
        self._observer.reconciled(result.outcome, seconds)
        level = logging.DEBUG if result.outcome in ("settled", "gone", "waiting", "no_budget") else logging.INFO
        log.log(
            level, "reconciled pod_uid=%s outcome=%s said=%r seconds=%.3f", uid, result.outcome, result.said, seconds
        )
        return 0.0

    def _run(self, uid: str) -> tuple[Result, bool]:
        """The result, and whether it is a failure that is to be tried again (with backoff unless it says when)."""
        try:
            return self._reconcile(uid), False
        except NoBudget as error:
            return Result("no_budget", str(error), error.retry_after), True
        except NotLeader as error:
            return Result("not_leader", str(error), NOT_LEADER_SECONDS), True
        except Unauthorized as error:
            return Result("could_not_ask", str(error)), True
        except CouldNotAsk as error:
            return Result("could_not_ask", str(error), error.retry_after), True
        except (AnotherPod, BeingDeleted, Conflict) as error:
            return Result("another_pod", str(error), INFORMER_SECONDS), True
        except Error as error:
            return Result("rejected", str(error)), True
        except Exception:
            # A defect of ours must not stop the other pods; it is logged with its trace and the pod is tried again.
            log.exception("reconcile failed pod_uid=%s", uid)
            return Result("failed"), True
