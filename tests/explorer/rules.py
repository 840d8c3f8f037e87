"""What may happen to a pod and to a group, said without looking at the daemon's code."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

FINALIZER = "salad.com/container-group"
CLAIM = "salad.com/container-group"
ATTEMPT = "salad.com/attempt"

# What others write on a Node or a pod.
FOREIGN_MARK = "example.com/theirs"
# The rule of an exception that nobody expected.
DEFECT = "defect"

_LATER = {"Pending": {"Pending", "Running", "Succeeded", "Failed"}, "Running": {"Running", "Succeeded", "Failed"}}


class Violation(BaseException):
    """An invariant does not hold. No daemon code catches it: it is no `Exception`."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


def defect_of(error: Exception) -> Violation:
    """What no code of ours means to raise: a defect of the daemon, or of the explorer."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    return Violation(DEFECT, f"{type(error).__name__}: {error} at {where.filename}:{where.lineno} in {where.name}")


def phase_may_follow(before: str, after: str) -> bool:
    """A phase never goes backwards; a finished pod stays as it is."""
    return after in _LATER.get(before, {before})


def is_over(pod: Mapping[str, Any]) -> bool:
    """Whether a pod is being deleted or finished."""
    return bool(pod["metadata"].get("deletionTimestamp")) or is_finished(pod)


def is_finished(pod: Mapping[str, Any]) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def may_delete(pod: Mapping[str, Any], group_status: str) -> bool:
    """Whether a group whose pod is there may be deleted: the pod is ending, or this attempt is over."""
    return is_over(pod) or group_status == "failed"


def is_claimed(pod: Mapping[str, Any]) -> bool:
    return FINALIZER in pod["metadata"].get("finalizers", [])


def annotation(pod: Mapping[str, Any], key: str) -> str | None:
    value: str | None = (pod["metadata"].get("annotations") or {}).get(key)
    return value


def container_status(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    statuses: list[Mapping[str, Any]] = pod["status"].get("containerStatuses") or [{}]
    return statuses[0]


def condition(item: Mapping[str, Any], kind: str) -> str | None:
    """The status of a condition of a pod or a node."""
    for one in (item.get("status") or {}).get("conditions") or []:
        if one.get("type") == kind:
            return str(one.get("status"))
    return None
