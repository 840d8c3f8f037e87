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

from virtual_kubelet_salad.kubelet import conditions, ephemeral, pods, prospect
from virtual_kubelet_salad.kubelet.prospect import MESSAGE_LENGTH
from virtual_kubelet_salad.kubelet.provider import Ending, Pod, Run, Workload

# What a container runtime reports for a process that was killed, and what the kubelet uses when it lost track of a
# container.
EXIT_CODE_UNKNOWN = 137
REASON_UNKNOWN = "ContainerStatusUnknown"
REASON_INTERRUPTED = "Interrupted"
# What a container waits for once there is a machine.
_STAGES_OF_A_MACHINE = ("Downloading", "ContainerCreating")
# API servers that do not keep it drop it from a status without a word.
_MAY_BE_DROPPED = "observedGeneration"


@dataclasses.dataclass(frozen=True, slots=True)
class Writer:
    """Builds statuses for the pods of one node."""

    host_ip: str
    interruption_annotation: str

    def waiting(
        self, pod: Pod, now: datetime.datetime, reason: str, message: str = "", then: str = ""
    ) -> dict[str, Any]:
        """The container waits: Pending before the first run, a waiting container in a Running pod afterwards. The
        message says since when as well if `then` tells what happens next.
        """
        if then:
            message = prospect.of_wait(message, conditions.unready_since(pod, now), then)
        waiting = _without_empty({"reason": reason, "message": message[:MESSAGE_LENGTH]})
        container = self._container(pod, {"waiting": waiting})
        before = pods.container_status(pod)
        if "running" in (before.get("state") or {}) and before.get("containerID"):
            container["lastState"] = self._lost(pod, now, EXIT_CODE_UNKNOWN)
        return self._status(pod, now, "Pending", container, message=message)

    def claimed(self, pod: Pod, now: datetime.datetime) -> dict[str, Any]:
        """An attempt begins, of which nothing has run yet."""
        wanted = self.waiting(pod, now, "ContainerCreating")
        if pods.container_status(pod).get("containerID"):
            wanted["containerStatuses"][0]["containerID"] = None
        return wanted

    def failed(
        self, pod: Pod, now: datetime.datetime, reason: str, message: str, *, exit_code: int | None = None
    ) -> dict[str, Any]:
        """The pod has failed as a whole. With an exit code its container is shown as terminated with a status that
        nobody knows, without one as never run.
        """
        if exit_code is None:
            state = pods.container_status(pod).get("state") or {}
            if "running" not in state and "terminated" not in state:
                state = {"terminated": pods.never_run(reason, message[:MESSAGE_LENGTH], now)}
            container = self._container(pod, state)
        else:
            container = self._container(pod, self._lost(pod, now, exit_code))
        return self._status(pod, now, "Failed", container, reason=reason, message=message)

    def refused(self, pod: Pod, now: datetime.datetime, reason: str, message: str, *, is_final: bool) -> dict[str, Any]:
        """The pod can never run, and each of its containers says so, for whoever waits for that very one. Final: it has
        failed; else it waits for its author.
        """
        if is_final:
            wanted = self.failed(pod, now, reason, message)
        else:
            wanted = self.waiting(pod, now, reason, message, then="not tried again until the pod is changed")
        state = wanted["containerStatuses"][0]["state"]
        others = ((pod.get("spec") or {}).get("containers") or [])[1:]
        alone: list[Pod] = [{"spec": {"containers": [other]}, "status": pods.status(pod)} for other in others]
        return {
            **wanted,
            "containerStatuses": wanted["containerStatuses"] + [self._container(one, state) for one in alone],
        }

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
        wanted = self._status(
            pod, now, "Running", every[0], reason="NotRunOnVirtualNode", message=text, has_machine=True
        )
        return {**wanted, "containerStatuses": every}

    def following(self, pod: Pod, now: datetime.datetime, workload: Workload) -> dict[str, Any]:
        """The status of a pod whose workload is there."""
        before = pods.container_status(pod)
        restarts = int(before.get("restartCount", 0)) + sum(not ending.is_interruption for ending in workload.endings)
        final = self.final_ending(pod, workload)
        if final is not None:
            return self._finished(pod, now, final, restarts=int(before.get("restartCount", 0)))
        last_state: Mapping[str, Any] = before.get("lastState") or {}
        container_id = before.get("containerID")
        if workload.endings:
            last_state = {"terminated": _terminated(workload.endings[-1])}
            container_id = workload.endings[-1].container_id
        if workload.run is not None:
            container = self._running_container(pod, workload.run, restarts, last_state)
            return self._status(pod, now, "Running", container, has_machine=True)
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
            return self._status(pod, now, "Running", container, has_machine=True)
        waiting = self._waiting(pod, now, workload)
        container = {**self._container(pod, {"waiting": waiting}), "restartCount": restarts, "lastState": last_state}
        if container_id:
            container["containerID"] = container_id
        return self._status(
            pod,
            now,
            "Running" if workload.is_running else "Pending",
            container,
            message=waiting.get("message"),
            has_machine=workload.machine is not None or workload.is_vague,
        )

    def _waiting(self, pod: Pod, now: datetime.datetime, workload: Workload) -> dict[str, Any]:
        before = (pods.container_status(pod).get("state") or {}).get("waiting") or {}
        if workload.is_vague and before.get("message") and before.get("reason") in _STAGES_OF_A_MACHINE:
            return dict(before)
        if workload.since is not None:
            message = prospect.of_stage(workload.message, workload.since)
        else:
            since = workload.endings[-1].finished_at if workload.endings else conditions.unready_since(pod, now)
            message = prospect.of_wait(workload.message, since)
        return _without_empty({"reason": workload.reason or "Restarting", "message": message})

    def final_ending(self, pod: Pod, workload: Workload) -> Ending | None:
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
            status["conditions"].append(conditions.dated(pod, now, disruption))
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
                    "message": "nobody saw the container end, so its exit code is not known",
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
        has_machine: bool = False,
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
            "conditions": conditions.standard(pod, now, phase, container, has_machine=has_machine),
        }
        added = ephemeral.statuses(pod, now)
        if added:
            status["ephemeralContainerStatuses"] = added
        generation = pods.metadata(pod).get("generation")
        if generation:
            status["observedGeneration"] = generation
        if self.host_ip and before.get("hostIP") != self.host_ip:
            status["hostIP"] = self.host_ip
            status["hostIPs"] = (
                [{"$patch": "replace"}, {"ip": self.host_ip}] if before.get("hostIPs") else [{"ip": self.host_ip}]
            )
        return status


def differs(pod: Pod, wanted: Mapping[str, Any]) -> bool:
    """Whether the pod's status does not yet say everything in `wanted`."""
    return not _covers(pods.status(pod), wanted)


def _covers(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(
            _covers(actual.get(key), value)
            for key, value in wanted.items()
            if key != _MAY_BE_DROPPED or actual.get(key) is not None
        )
    if isinstance(wanted, list):
        if any(isinstance(item, Mapping) and "type" in item for item in wanted):
            by_type = {item.get("type"): item for item in actual or []}
            return all(_covers(by_type.get(item["type"]), item) for item in wanted)
        wanted = [item for item in wanted if "$patch" not in item]
        return isinstance(actual, list) and len(actual) == len(wanted) and all(map(_covers, actual, wanted))
    return bool(actual == wanted) or (actual is None and wanted in ("", {}, False))


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
