"""How a Job stands: successes and failures of its pods, whether it is over, how many pods it lacks.

A deleted pod counts as the Job's podReplacementPolicy says: at once with TerminatingOrFailed, when its phase is Failed
with Failed. Restarts of containers count against backoffLimit with restartPolicy OnFailure.
"""

from __future__ import annotations

from virtual_kubelet_salad.sandbox.api_errors import Json


def _phase(pod: Json) -> str:
    return str(pod["status"].get("phase", ""))


def _succeeded(pods: list[Json]) -> int:
    return sum(1 for pod in pods if _phase(pod) == "Succeeded")


def _failed(pods: list[Json]) -> int:
    return sum(1 for pod in pods if _phase(pod) == "Failed")


def _restarts(pods: list[Json]) -> int:
    return sum(entry.get("restartCount", 0) for pod in pods for entry in pod["status"].get("containerStatuses", []))


def _is_running(pod: Json, policy: str) -> bool:
    if _phase(pod) in ("Succeeded", "Failed"):
        return False
    return policy == "Failed" or "deletionTimestamp" not in pod["metadata"]


def is_finished(status: Json) -> bool:
    """Whether the Job is complete or has failed."""
    ends = ("Complete", "Failed")
    return any(item["type"] in ends and item["status"] == "True" for item in status.get("conditions", []))


def missing_pods(job: Json, pods: list[Json]) -> int:
    """How many pods are to be created now."""
    spec = job["spec"]
    if spec["suspend"]:
        return 0
    running = sum(1 for pod in pods if _is_running(pod, spec["podReplacementPolicy"]))
    left = spec.get("completions", spec["parallelism"]) - _succeeded(pods)
    wanted: int = min(spec["parallelism"], left) - running
    return max(0, wanted)


def job_status(job: Json, pods: list[Json], now: str) -> Json:
    """The status that the Job's controller would write; a finished one stays as it is."""
    spec, before = job["spec"], job.get("status", {})
    if is_finished(before):
        return dict(before)
    succeeded, failed = _succeeded(pods), _failed(pods)
    active = sum(1 for pod in pods if _is_running(pod, "TerminatingOrFailed"))
    status: Json = {"startTime": before.get("startTime", now), "active": active, "succeeded": succeeded}
    status.update(failed=failed, ready=sum(1 for pod in pods if _phase(pod) == "Running"))
    status = {name: value for name, value in status.items() if value}
    wears_out = spec["template"]["spec"]["restartPolicy"] == "OnFailure"
    tries = failed + (_restarts(pods) if wears_out else 0)
    if succeeded >= spec.get("completions", 1):
        status["completionTime"] = now
        status["conditions"] = [_condition("Complete", "CompletionsReached", now)]
    elif tries > spec["backoffLimit"]:
        status["conditions"] = [_condition("Failed", "BackoffLimitExceeded", now)]
    return status


def _condition(kind: str, reason: str, now: str) -> Json:
    return {"type": kind, "status": "True", "reason": reason, "lastProbeTime": now, "lastTransitionTime": now}
