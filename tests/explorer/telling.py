"""A status never claims what SaladCloud did not do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.explorer.rules import Violation, annotation, condition, container_status
from tests.explorer.truth import Truth

SCHEME = "salad://"
NOT_RUN = "NotRunOnVirtualNode"
REFUSED = "UnsupportedField"
NEVER_RAN = 128
# Of a container that was refused.
NEVER_RAN = 128
Pod = Mapping[str, Any]


def judge_status(pod: Pod, before: Pod | None, truth: Truth) -> None:
    """Looks at what a write has changed; `before` is the pod before it. Raises `Violation`."""
    uid, status = pod["metadata"]["uid"], pod["status"]
    old = before["status"] if before is not None else {}
    if status == old or status.get("reason") == NOT_RUN:
        return
    container = container_status(pod)
    state, last = container.get("state") or {}, container.get("lastState") or {}
    old_container = container_status(before) if before is not None else {}
    told = [(old_container.get(part) or {}).get("terminated") for part in ("state", "lastState")]
    for terminated in (state.get("terminated"), last.get("terminated")):
        if terminated and terminated not in told:
            _judge_ending(pod, terminated, truth)
    running = state.get("running")
    if running and running != (old_container.get("state") or {}).get("running"):
        _judge_run(pod, container, truth)
    if container.get("restartCount", 0) > old_container.get("restartCount", 0):
        if container["restartCount"] > truth.ended_runs(uid):
            raise Violation("restarts", f"{_name(pod)}: {container['restartCount']} restarts, too many")
    if status.get("phase") != old.get("phase"):
        _judge_phase(pod, truth)
    if condition(pod, "Ready") == "True" and not truth.runs.get(uid):
        raise Violation("ready", f"{_name(pod)} is ready and has never run")
    reason = (state.get("waiting") or {}).get("reason")
    if reason in ("ErrImagePull", "ImagePullBackOff") and uid not in truth.image_failed:
        raise Violation("waiting", f"{_name(pod)} waits for an image that did not fail")


def _judge_ending(pod: Pod, terminated: Mapping[str, Any], truth: Truth) -> None:
    uid, code, reason = pod["metadata"]["uid"], terminated["exitCode"], terminated.get("reason")
    instance = str(terminated.get("containerID") or "").removeprefix(SCHEME)
    if reason == "ContainerStatusUnknown":
        is_true = code == 137
    elif code == NEVER_RAN and not instance:
        is_true = pod["status"].get("phase") == "Failed" and reason == pod["status"].get("reason")
    elif code == NEVER_RAN and not instance:
        # A refused pod: nothing was ever started for it.
        is_true = reason == REFUSED and not truth.runs.get(uid)
    elif reason == "Interrupted":
        is_true = instance in truth.interrupted[uid]
    elif (instance, code) in truth.exits[uid]:
        is_true = True
    else:
        # A probe that failed for too long, or our own update: told as the kill that it is.
        is_true = code == 137 and (instance in truth.interrupted[uid] or uid in truth.updated)
    if not is_true:
        raise Violation("ending", f"{_name(pod)}: no such end was ever: {dict(terminated)}")


def _judge_run(pod: Pod, container: Mapping[str, Any], truth: Truth) -> None:
    runs = truth.runs.get(pod["metadata"]["uid"], [])
    instance = str(container.get("containerID") or "").removeprefix(SCHEME)
    if not runs or (instance and instance not in runs):
        raise Violation("run", f"{_name(pod)} runs as {instance}, which never ran")


def _judge_phase(pod: Pod, truth: Truth) -> None:
    uid, status = pod["metadata"]["uid"], pod["status"]
    phase, reason = status.get("phase"), status.get("reason")
    if phase == "Running" and not truth.runs.get(uid):
        raise Violation("running", f"{_name(pod)} is Running and has never run")
    if phase == "Succeeded" and not any(code == 0 for _, code in truth.exits[uid]):
        raise Violation("succeeded", f"{_name(pod)} Succeeded without an exit 0")
    if phase == "Failed":
        is_true = {
            "Interrupted": bool(truth.interrupted[uid]),
            "Stopped": uid in truth.stopped,
            "DeadlineExceeded": "activeDeadlineSeconds" in pod["spec"],
            "UnclaimedPod": annotation(pod, "explorer/released") is not None,
        }.get(reason or "", True)
        if not is_true:
            raise Violation("failed", f"{_name(pod)} Failed as {reason}, which it was not")


def _name(pod: Pod) -> str:
    return str(pod["metadata"]["name"])
