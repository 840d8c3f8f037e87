"""From what a workload does to what a pod's status says; pure.

Every function returns the part of a PodStatus that is ours, to be sent as a strategic-merge PATCH when `differs` says
so. It is always computed against the pod that the informer shows, never against what was sent last: others write pod
conditions too (the node controller sets Ready=False after a blip). The phase never goes backwards, transition times
survive, `startTime` is written once, `podIP` never.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Ending, Pod, Run, Workload

# What a container runtime reports for a process that was killed, and what the kubelet uses when it lost track of a
# container.
EXIT_CODE_UNKNOWN = 137
REASON_UNKNOWN = "ContainerStatusUnknown"
REASON_INTERRUPTED = "Interrupted"
# pods/status.message and a container's waiting message have no limit of their own; a screen has.
MESSAGE_LENGTH = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Writer:
    """Builds statuses for the pods of one node."""

    host_ip: str
    interruption_annotation: str

    def waiting(self, pod: Pod, now: datetime.datetime, reason: str, message: str = "") -> dict[str, Any]:
        """The container waits: Pending before the first run, a waiting container in a Running pod afterwards."""
        waiting = _without_empty({"reason": reason, "message": message[:MESSAGE_LENGTH]})
        container = self._container(pod, {"waiting": waiting})
        before = pods.container_status(pod)
        if "running" in (before.get("state") or {}) and before.get("containerID"):
            container["lastState"] = self._lost(pod, now, EXIT_CODE_UNKNOWN)
        return self._status(pod, now, "Pending", container, message=message)

    def failed(
        self, pod: Pod, now: datetime.datetime, reason: str, message: str, *, exit_code: int | None = None
    ) -> dict[str, Any]:
        """The pod has failed as a whole. With an exit code its container is shown as terminated with a status that
        nobody knows.
        """
        if exit_code is None:
            container = self._container(
                pod, (pods.container_status(pod).get("state") or {"waiting": {"reason": reason}})
            )
        else:
            container = self._container(pod, self._lost(pod, now, exit_code))
        return self._status(pod, now, "Failed", container, reason=reason, message=message)

    def ended(self, pod: Pod, now: datetime.datetime) -> dict[str, Any]:
        """What is written right before a deleted pod goes: no container runs any more. Succeeded only for a known
        exit 0.
        """
        state = pods.container_status(pod).get("state") or {}
        terminated = state.get("terminated")
        if terminated:
            phase = "Succeeded" if terminated.get("exitCode") == 0 else "Failed"
            return self._status(pod, now, phase, self._container(pod, {"terminated": terminated}))
        return self._status(pod, now, "Failed", self._container(pod, self._lost(pod, now, EXIT_CODE_UNKNOWN)))

    def not_run_here(self, pod: Pod, now: datetime.datetime, *, is_ready: bool) -> dict[str, Any]:
        """A DaemonSet's pod: never run; reported Running so that the DaemonSet's rollout on the other nodes goes on
        (or left Pending on request).
        """
        text = "pods of DaemonSets do not run on a virtual node"
        if not is_ready:
            return self.waiting(pod, now, "NotRunOnVirtualNode", text)
        started = ((pods.container_status(pod).get("state") or {}).get("running") or {}).get(
            "startedAt"
        ) or pods.format_time(now)
        every = [
            {
                **self._container(
                    {"spec": {"containers": [container]}, "status": pods.status(pod)},
                    {"running": {"startedAt": started}},
                ),
                "ready": True,
                "started": True,
            }
            for container in (pod.get("spec") or {}).get("containers") or []
        ]
        wanted = self._status(pod, now, "Running", every[0], reason="NotRunOnVirtualNode", message=text)
        return {**wanted, "containerStatuses": every}

    def following(self, pod: Pod, now: datetime.datetime, workload: Workload) -> dict[str, Any]:
        """The status of a pod whose workload is there."""
        before = pods.container_status(pod)
        restarts = int(before.get("restartCount", 0)) + sum(not ending.is_interruption for ending in workload.endings)
        final = self._final_ending(pod, workload)
        if final is not None:
            return self._finished(pod, now, final, restarts=int(before.get("restartCount", 0)))
        last_state: Mapping[str, Any] = before.get("lastState") or {}
        container_id = before.get("containerID")
        if workload.endings:
            last_state = {"terminated": _terminated(workload.endings[-1])}
            container_id = workload.endings[-1].container_id
        if workload.run is not None:
            container = self._running_container(pod, workload.run, restarts, last_state)
            return self._status(pod, now, "Running", container)
        if (
            workload.is_running
            and not workload.endings
            and ("running" in (before.get("state") or {}) or not container_id)
        ):
            # Counted as running, not yet read: what the status says of the run stays, and a first run is shown
            # without an id.
            container = {
                **self._container(pod, {"running": {"startedAt": pods.format_time(now)}}),
                **before,
                "lastState": last_state,
            }
            if "running" not in container["state"]:
                container["state"] = {"running": {"startedAt": pods.format_time(now)}}
            return self._status(pod, now, "Running", container)
        waiting = _without_empty(
            {"reason": workload.reason or "Restarting", "message": workload.message[:MESSAGE_LENGTH]}
        )
        container = {**self._container(pod, {"waiting": waiting}), "restartCount": restarts, "lastState": last_state}
        if container_id:
            container["containerID"] = container_id
        return self._status(
            pod, now, "Running" if workload.is_running else "Pending", container, message=workload.message
        )

    def _final_ending(self, pod: Pod, workload: Workload) -> Ending | None:
        """The ending after which this pod runs no more, if one has come."""
        policy = pods.restart_policy(pod)
        goes_on = pods.annotations_of(pod).get(self.interruption_annotation) == "continue"
        for ending in workload.endings:
            if ending.is_replacement:
                continue
            if ending.is_interruption:
                if policy == "Never" and not goes_on:
                    return ending
            elif policy == "Never" or (policy == "OnFailure" and ending.exit_code == 0):
                return ending
        return None

    def _finished(self, pod: Pod, now: datetime.datetime, ending: Ending, restarts: int) -> dict[str, Any]:
        container = {
            **self._container(pod, {"terminated": _terminated(ending)}),
            "containerID": ending.container_id,
            "restartCount": restarts,
        }
        if ending.is_interruption:
            status = self._status(pod, now, "Failed", container, reason=REASON_INTERRUPTED, message=ending.message)
            disruption = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": ending.message[:MESSAGE_LENGTH],
            }
            status["conditions"].append(_condition(pod, now, disruption))
            return status
        return self._status(pod, now, "Succeeded" if ending.exit_code == 0 else "Failed", container)

    def _running_container(self, pod: Pod, run: Run, restarts: int, last_state: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **self._container(pod, {"running": {"startedAt": pods.format_time(run.started_at)}}),
            "containerID": run.container_id,
            "ready": run.ready,
            "started": run.started,
            "restartCount": restarts,
            "lastState": last_state,
        }

    def _container(self, pod: Pod, state: Mapping[str, Any]) -> dict[str, Any]:
        """The status of container 0 in a state, not ready, everything else as it was."""
        spec, before = pods.container(pod), pods.container_status(pod)
        built = {
            "name": spec.get("name", ""),
            "image": spec.get("image", ""),
            "imageID": before.get("imageID", ""),
            "ready": False,
            "started": False,
            "restartCount": int(before.get("restartCount", 0)),
            "state": state,
            "lastState": before.get("lastState") or {},
        }
        if before.get("containerID"):
            built["containerID"] = before["containerID"]
        return built

    def _lost(self, pod: Pod, now: datetime.datetime, exit_code: int) -> dict[str, Any]:
        """A terminated state for a container whose end nobody saw."""
        before = pods.container_status(pod)
        started = ((before.get("state") or {}).get("running") or {}).get("startedAt")
        return {
            "terminated": _without_empty(
                {
                    "exitCode": exit_code,
                    "reason": REASON_UNKNOWN,
                    "message": "the container could not be located when the pod ended",
                    "startedAt": started,
                    "finishedAt": pods.format_time(now),
                    "containerID": before.get("containerID"),
                }
            )
        }

    def _status(
        self,
        pod: Pod,
        now: datetime.datetime,
        phase: str,
        container: dict[str, Any],
        *,
        reason: str | None = None,
        message: str | None = None,
    ) -> dict[str, Any]:
        before = pods.status(pod)
        if phase == "Pending" and pods.phase(pod) == "Running":
            phase = "Running"
        status: dict[str, Any] = {
            "phase": phase,
            "reason": reason,
            "message": (message or "")[:MESSAGE_LENGTH] or None,
            "containerStatuses": [container],
            "startTime": before.get("startTime") or pods.format_time(now),
            "conditions": self._conditions(pod, now, phase, container),
        }
        generation = pods.metadata(pod).get("generation")
        if generation:
            status["observedGeneration"] = generation
        if self.host_ip and before.get("hostIP") != self.host_ip:
            status["hostIP"] = self.host_ip
            status["hostIPs"] = (
                [{"$patch": "replace"}, {"ip": self.host_ip}] if before.get("hostIPs") else [{"ip": self.host_ip}]
            )
        return status

    def _conditions(
        self, pod: Pod, now: datetime.datetime, phase: str, container: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        is_ready = bool(container.get("ready")) and phase == "Running"
        unready: dict[str, Any] = {"status": "True", "reason": None, "message": None}
        if not is_ready:
            names = f"containers with unready status: [{container.get('name', '')}]"
            unready = {"status": "False", "reason": "ContainersNotReady", "message": names}
            if phase == "Succeeded":
                unready.update(reason="PodCompleted", message=None)
            elif phase == "Failed":
                unready.update(reason="PodFailed", message=None)
        wanted: list[dict[str, Any]] = [
            {
                "type": "Initialized",
                "status": "True",
                "reason": "PodCompleted" if phase == "Succeeded" else None,
                "message": None,
            },
            {"type": "ContainersReady", **unready},
            {"type": "Ready", **(_readiness_gates(pod) if is_ready else unready)},
        ]
        if not any(condition.get("type") == "PodScheduled" for condition in pods.status(pod).get("conditions") or []):
            wanted.append({"type": "PodScheduled", "status": "True"})
        return [_condition(pod, now, condition) for condition in wanted]


def differs(pod: Pod, wanted: Mapping[str, Any]) -> bool:
    """Whether the pod's status does not yet say everything in `wanted`."""
    return not _covers(pods.status(pod), wanted)


def _covers(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(_covers(actual.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        if any(isinstance(item, Mapping) and "type" in item for item in wanted):
            by_type = {item.get("type"): item for item in actual or []}
            return all(_covers(by_type.get(item["type"]), item) for item in wanted)
        wanted = [item for item in wanted if "$patch" not in item]
        return isinstance(actual, list) and len(actual) == len(wanted) and all(map(_covers, actual, wanted))
    return bool(actual == wanted) or (actual is None and wanted in ("", {}, False))


def _readiness_gates(pod: Pod) -> dict[str, Any]:
    """Ready needs the pod's own readiness gates beside its container."""
    conditions = {
        condition.get("type"): condition.get("status") for condition in pods.status(pod).get("conditions") or []
    }
    missing = [
        gate.get("conditionType", "")
        for gate in (pod.get("spec") or {}).get("readinessGates") or []
        if conditions.get(gate.get("conditionType")) != "True"
    ]
    if missing:
        return {
            "status": "False",
            "reason": "ReadinessGatesNotReady",
            "message": f'the status of pod readiness gates is not "True": {missing}',
        }
    return {"status": "True", "reason": None, "message": None}


def _condition(pod: Pod, now: datetime.datetime, wanted: dict[str, Any]) -> dict[str, Any]:
    """A condition whose transition time is kept while its status stays."""
    for before in pods.status(pod).get("conditions") or []:
        if (
            before.get("type") == wanted["type"]
            and before.get("status") == wanted["status"]
            and before.get("lastTransitionTime")
        ):
            return {**wanted, "lastTransitionTime": before["lastTransitionTime"]}
    return {**wanted, "lastTransitionTime": pods.format_time(now)}


def _terminated(ending: Ending) -> dict[str, Any]:
    return _without_empty(
        {
            "exitCode": ending.exit_code,
            "reason": ending.reason,
            "message": ending.message[:MESSAGE_LENGTH],
            "containerID": ending.container_id,
            "startedAt": pods.format_time(ending.started_at) if ending.started_at else None,
            "finishedAt": pods.format_time(ending.finished_at),
        }
    )


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, "")}
