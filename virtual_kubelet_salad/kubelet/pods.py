"""Questions about a pod as the API server sends it; pure, total (a strange pod gives an answer, not an exception),
read-only.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Pod, RunReference

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"

# Reasons that are written only about a workload that was seen; they are the memory of that across a restart of the
# daemon.
REASONS_OF_A_SEEN_WORKLOAD = frozenset(
    {"ImagePreparing", "Allocating", "Downloading", "Reallocating", "StartError", "Stopped", "Restarting"}
)
REASONS_OF_A_FAILED_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
# What a container runtime reports for a container that it could not start.
EXIT_CODE_NEVER_RAN = 128


def metadata(pod: Pod) -> Mapping[str, Any]:
    return pod.get("metadata") or {}


def uid(pod: Pod) -> str:
    return str(metadata(pod).get("uid", ""))


def name(pod: Pod) -> str:
    return str(metadata(pod).get("name", ""))


def namespace(pod: Pod) -> str:
    return str(metadata(pod).get("namespace", ""))


def annotations_of(pod: Pod) -> Mapping[str, str]:
    return metadata(pod).get("annotations") or {}


def status(pod: Pod) -> Mapping[str, Any]:
    return pod.get("status") or {}


def phase(pod: Pod) -> str:
    return str(status(pod).get("phase", "Pending"))


def container(pod: Pod) -> Mapping[str, Any]:
    """Container 0, the only one that runs."""
    containers = (pod.get("spec") or {}).get("containers") or [{}]
    first: Mapping[str, Any] = containers[0]
    return first


def restart_policy(pod: Pod) -> str:
    return str((pod.get("spec") or {}).get("restartPolicy", "Always"))


def container_status(pod: Pod) -> Mapping[str, Any]:
    """The status of container 0; empty when there is none yet."""
    wanted = container(pod).get("name")
    for candidate in status(pod).get("containerStatuses") or []:
        if candidate.get("name") == wanted:
            found: Mapping[str, Any] = candidate
            return found
    return {}


def waiting_reason(pod: Pod) -> str:
    waiting = (container_status(pod).get("state") or {}).get("waiting") or {}
    return str(waiting.get("reason", ""))


def is_image_failed(pod: Pod) -> bool:
    """Whether its status says that the present attempt was given up because of the image."""
    return waiting_reason(pod) in REASONS_OF_A_FAILED_IMAGE


def is_mirror(pod: Pod) -> bool:
    """A static pod's mirror belongs to a real kubelet."""
    return MIRROR_ANNOTATION in annotations_of(pod)


def is_owned_by(pod: Pod, kind: str) -> bool:
    return any(
        owner.get("kind") == kind and owner.get("controller") for owner in metadata(pod).get("ownerReferences") or []
    )


def is_terminating(pod: Pod) -> bool:
    return bool(metadata(pod).get("deletionTimestamp"))


def is_finished(pod: Pod) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def seconds_to_deadline(pod: Pod, now: datetime.datetime) -> float | None:
    """How much is left of `activeDeadlineSeconds`; None when it has none, has not begun, or is over."""
    seconds = (pod.get("spec") or {}).get("activeDeadlineSeconds")
    started = parse_time(status(pod).get("startTime"))
    if seconds is None or started is None or is_terminating(pod) or is_finished(pod):
        return None
    return float(seconds) - (now - started).total_seconds()


def is_overdue(pod: Pod, now: datetime.datetime) -> bool:
    """Whether it has been active for longer than its `activeDeadlineSeconds`."""
    seconds = seconds_to_deadline(pod, now)
    return seconds is not None and seconds <= 0.0


def has_started(pod: Pod) -> bool:
    """Whether its status shows that the container has run, here or elsewhere."""
    current = container_status(pod)
    state = current.get("state") or {}
    return bool(
        current.get("started")
        or current.get("containerID")
        or current.get("restartCount")
        or "running" in state
        or _has_ended(state)
    )


def was_seen(pod: Pod) -> bool:
    """Whether its container's status could only be written after the workload of the present attempt had been seen:
    every claim writes the state anew, and takes the container's id away.
    """
    current = container_status(pod)
    state = current.get("state") or {}
    return (
        "running" in state
        or _has_ended(state)
        or bool(current.get("containerID"))
        or waiting_reason(pod) in REASONS_OF_A_SEEN_WORKLOAD
    )


def never_run(reason: str, message: str, now: datetime.datetime) -> dict[str, Any]:
    """The terminated state of a container that was refused: whoever waits for its begin or its end need not go on."""
    moment = format_time(now)
    return {
        "exitCode": EXIT_CODE_NEVER_RAN,
        "reason": reason,
        "message": message,
        "startedAt": moment,
        "finishedAt": moment,
    }


def _has_ended(state: Mapping[str, Any]) -> bool:
    """Whether there was a run, and it is over."""
    terminated = state.get("terminated")
    if terminated is None:
        return False
    return bool(terminated.get("containerID")) or terminated.get("exitCode") != EXIT_CODE_NEVER_RAN


def remembered_run(pod: Pod) -> RunReference | None:
    """The present run, else the last one that ended."""
    current = container_status(pod)
    state = current.get("state") or {}
    if "running" in state:
        return _reference(current.get("containerID"), state["running"], is_over=False)
    ended = state.get("terminated") or (current.get("lastState") or {}).get("terminated") or {}
    return _reference(ended.get("containerID"), ended, is_over=True)


def _reference(container_id: object, described: Mapping[str, Any], *, is_over: bool) -> RunReference | None:
    started_at = parse_time(described.get("startedAt"))
    return RunReference(str(container_id), started_at, is_over) if container_id and started_at else None


def parse_time(text: object) -> datetime.datetime | None:
    """A Kubernetes time; None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def format_time(moment: datetime.datetime) -> str:
    """As `metav1.Time` is written: UTC, whole seconds."""
    return moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
