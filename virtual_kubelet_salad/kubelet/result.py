"""What a reconcile says about itself: a sentence for the log, a word for the metric, and when to come back."""

from __future__ import annotations

import dataclasses

AT_ONCE = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one reconcile."""

    outcome: str
    """One of `OUTCOMES`; a metric's label."""
    said: str = ""
    """What was done and why, for the log."""
    after: float | None = None
    """Seconds until the pod is reconciled again though nothing wakes it; None: a wake-up is enough."""


OUTCOMES = (
    "gone",
    "not_ours",
    "settled",
    "status_written",
    "claimed",
    "created",
    "adopted",
    "updated",
    "started",
    "deleted",
    "released",
    "removed",
    "refused",
    "blocked",
    "waiting",
    "held_by_brake",
    "could_not_ask",
    "no_budget",
    "not_leader",
    "another_pod",
    "rejected",
    "failed",
)
