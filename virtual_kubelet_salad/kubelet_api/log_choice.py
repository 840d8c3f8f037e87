"""Which run of a pod's container a question for logs means, or why there is none; pure.

As on any node: the run that goes on, else the last one that ended; `previous` means the one before. Where none has ever
run, the reason is the answer.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Pod
from virtual_kubelet_salad.kubelet_api.answers import Answered


@dataclass(frozen=True, slots=True)
class Choice:
    """One run."""

    container_id: str
    """Empty: it runs, and its id is not known yet."""
    began: datetime.datetime
    ended: datetime.datetime | None = None
    after: datetime.datetime | None = None
    """It began after this moment; set where the run before has the same id."""
    before: datetime.datetime | None = None
    earlier_container_ids: frozenset[str] = frozenset()


def choose(pod: Pod, container: str, *, previous: bool) -> Choice:
    """Raises `Answered` with 404 for a container that the pod does not have, with 400 when there is no such run."""
    _check_container(pod, container)
    current = pods.container_status(pod)
    state = current.get("state") or {}
    last = (current.get("lastState") or {}).get("terminated") or {}
    if previous:
        if not last.get("containerID"):
            text = f'previous terminated container "{container}" in pod "{pods.name(pod)}" not found'
            raise Answered(400, "BadRequest", text)
        return _terminated(pod, last, following=state.get("running") or state.get("terminated") or {}, current=current)
    if "running" in state:
        return _running(pod, state["running"], str(current.get("containerID") or ""), last)
    if (state.get("terminated") or {}).get("containerID"):
        return _terminated(pod, state["terminated"])
    if last.get("containerID"):
        return _terminated(pod, last)
    raise Answered(400, "BadRequest", why_no_run(pod, container))


def why_no_run(pod: Pod, container: str) -> str:
    """What a reader should know when there is nothing to read."""
    where = f'container "{container}" in pod "{pods.name(pod)}"'
    state = pods.container_status(pod).get("state") or {}
    waiting = state.get("waiting") or {}
    status = pods.status(pod)
    reason = str(status.get("reason") or waiting.get("reason") or "")
    message = str(waiting.get("message") or status.get("message") or "")
    told = ": ".join(part for part in (reason, message) if part)
    if pods.is_finished(pod):
        return f"{where} never ran: {told or 'the pod is over'}"
    if "running" in state:
        return f"{where} does not run here: {told or 'nothing was started for it'}"
    return f"{where} is waiting to start: {told or 'nothing is known of it yet'}"


def _check_container(pod: Pod, container: str) -> None:
    spec = pod.get("spec") or {}
    if container == pods.container(pod).get("name"):
        return
    for status in pods.status(pod).get("ephemeralContainerStatuses") or []:
        if status.get("name") == container:
            ended = (status.get("state") or {}).get("terminated") or {}
            told = f"{ended.get('reason', '')}: {ended.get('message', '')}"
            where = f'container "{container}" in pod "{pods.name(pod)}"'
            raise Answered(400, "BadRequest", f"{where} never ran: {told}")
    every = [each for kind in ("containers", "initContainers", "ephemeralContainers") for each in spec.get(kind) or []]
    if any(each.get("name") == container for each in every):
        raise Answered(400, "BadRequest", why_no_run(pod, container))
    raise Answered(404, "NotFound", f'container "{container}" not found in pod "{pods.name(pod)}"')


def _running(pod: Pod, running: Mapping[str, Any], container_id: str, last: Mapping[str, Any]) -> Choice:
    began = pods.parse_time(running.get("startedAt")) or _created(pod)
    earlier = last.get("containerID")
    if earlier and earlier == container_id:
        return Choice(container_id, began, after=_between(last, running))
    return Choice(container_id, began, earlier_container_ids=frozenset([str(earlier)] if earlier else []))


def _terminated(
    pod: Pod,
    ended: Mapping[str, Any],
    following: Mapping[str, Any] | None = None,
    current: Mapping[str, Any] | None = None,
) -> Choice:
    """A run that is over; `following` is the state of the one after it."""
    container_id = str(ended["containerID"])
    began = pods.parse_time(ended.get("startedAt")) or _created(pod)
    before = None
    if following and current is not None and current.get("containerID") == container_id:
        before = _between(ended, following)
    return Choice(container_id, began, pods.parse_time(ended.get("finishedAt")), before=before)


def _between(ended: Mapping[str, Any], following: Mapping[str, Any]) -> datetime.datetime | None:
    """Halfway between the end of one run and the begin of the next."""
    finished = pods.parse_time(ended.get("finishedAt"))
    started = pods.parse_time(following.get("startedAt"))
    if finished is None or started is None:
        return finished or started
    return finished + (started - finished) / 2


def _created(pod: Pod) -> datetime.datetime:
    return pods.parse_time(pods.metadata(pod).get("creationTimestamp")) or datetime.datetime.fromtimestamp(
        0, datetime.UTC
    )
