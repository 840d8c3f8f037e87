"""What may happen to a pod and to a group, said without looking at the daemon's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LATER = {"Pending": {"Pending", "Running", "Succeeded", "Failed"}, "Running": {"Running", "Succeeded", "Failed"}}


class Violation(BaseException):
    """An invariant does not hold. No daemon code catches it: it is no `Exception`."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def phase_may_follow(before: str, after: str) -> bool:
    """A phase never goes backwards; a finished pod stays as it is."""
    return after in _LATER.get(before, {before})


def may_delete(pod: Mapping[str, Any], group_status: str) -> bool:
    """Whether a group whose pod is there may be deleted: the pod is ending, or this attempt is over."""
    if pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") in ("Succeeded", "Failed"):
        return True
    return group_status == "failed"
