"""Jobs under their real controller: it must be told how a container ended, and what was no fault of the container."""

from __future__ import annotations

from typing import Any

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import ClusterWorld

# Generous: the controller waits 10 s before it tries again, and an exit that no event tells of is waited for a minute.
SECONDS = 240.0
RUNS_FOR_EVER: dict[str, str] = {}
ON_INTERRUPTION = "salad.com/on-interruption"


# -- exit codes


def exit_codes_are_told(world: ClusterWorld) -> None:
    expected = {"ok": (0, "Completed"), "error": (3, "Error"), "memory": (137, "OOMKilled")}
    exits = {"ok": "0 after 1s", "error": "3 after 1s", "memory": "137 after 1s oom"}
    for name, script in exits.items():
        world.create_job(manifests.job(name, {"SIM_EXIT": script}))
    for name, ending in expected.items():
        _check_ending(world, name, *ending)
    _clear(world)


def exit_codes_are_told_though_the_event_is_lost(world: ClusterWorld) -> None:
    """The instance is another one, and a minute later nothing has told why: the group's own log is asked. Where that
    knows nothing either, nobody says that the container succeeded."""
    expected = {"ok": (0, "Completed"), "error": (4, "Error"), "nobody-knows": (137, "ContainerStatusUnknown")}
    for name, (code, _) in expected.items():
        environment = {
            # So long that the log, which shows the latest events only, still has this exit when it is asked.
            "SIM_EXIT": f"{0 if name == 'nobody-knows' else code} after 8s",
            "SIM_EXIT_EVENT": "none" if name == "nobody-knows" else "lost",
        }
        world.create_job(manifests.job(name, environment))
    for name, ending in expected.items():
        _check_ending(world, name, *ending)
    _clear(world)


# -- trying again


def each_failed_pod_counts_against_the_backoff_limit(world: ClusterWorld) -> None:
    world.create_job(manifests.job("fails", manifests.exits(1), backoffLimit=1))
    job = _until_job(world, "fails", "Failed")
    assert _reason(job, "Failed") == "BackoffLimitExceeded"
    assert job["status"]["failed"] == 2
    assert [seen.phase(pod) for pod in _pods_of(world, "fails")] == ["Failed", "Failed"]
    _clear(world)


def restarts_in_place_count_against_the_backoff_limit(world: ClusterWorld) -> None:
    world.create_job(manifests.job("fails", manifests.exits(1), restart_policy="OnFailure", backoffLimit=2))
    first = world.until(lambda: _pods_of(world, "fails"), "the pod", SECONDS)
    job = _until_job(world, "fails", "Failed")
    assert _reason(job, "Failed") == "BackoffLimitExceeded"
    # The controller deletes the pod of such a Job; it was the only one.
    assert {pod["metadata"]["uid"] for pod in _pods_of(world, "fails")} <= {first[0]["metadata"]["uid"]}
    _clear(world)


def restarts_in_place_end_with_a_success(world: ClusterWorld) -> None:
    job = manifests.job("recovers", RUNS_FOR_EVER, restart_policy="OnFailure", backoffLimit=3)
    world.create_job(job)
    pod = _until_running(world, "recovers")
    world.cloud.control("exit_container", name=seen.group_name(pod), code=9)
    pod = _until_running(world, "recovers", other_than=pod)
    status = seen.container_status(pod)
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 9
    world.cloud.control("exit_container", name=seen.group_name(pod), code=0)
    _until_job(world, "recovers", "Complete")
    _clear(world)


def an_exit_code_can_fail_the_whole_job(world: ClusterWorld) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
    world.create_job(manifests.job("fails", manifests.exits(42), backoffLimit=6, podFailurePolicy={"rules": rules}))
    job = _until_job(world, "fails", "Failed")
    assert _reason(job, "Failed") == "PodFailurePolicy"
    assert len(_pods_of(world, "fails")) == 1
    _clear(world)


# -- interruptions


def an_interruption_is_no_failure_of_the_pod(world: ClusterWorld) -> None:
    """A pod that may not run again fails with a condition by which the Job can tell."""
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
    world.create_job(manifests.job("moves", RUNS_FOR_EVER, podFailurePolicy={"rules": rules}))
    first = _until_running(world, "moves")
    world.cloud.control("node_offline", name=seen.group_name(first))
    pod = _until_pod_of(world, "moves", first, lambda pod: seen.phase(pod) == "Failed")
    assert pod["status"]["reason"] == "Interrupted"
    assert seen.condition(pod, "DisruptionTarget") == "True"
    second = _until_running(world, "moves", other_than=first)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    world.cloud.control("exit_container", name=seen.group_name(second), code=0)
    job = _until_job(world, "moves", "Complete")
    assert job["status"].get("failed", 0) == 0
    _clear(world)


def an_interruption_is_no_restart(world: ClusterWorld) -> None:
    """A pod that may run again, and one whose author says so, goes on elsewhere; not even one restart is allowed to
    these Jobs."""
    world.create_job(manifests.job("on-failure", RUNS_FOR_EVER, restart_policy="OnFailure"))
    world.create_job(manifests.job("continues", RUNS_FOR_EVER, annotations={ON_INTERRUPTION: "continue"}))
    for name in ("on-failure", "continues"):
        first = _until_running(world, name)
        group = seen.group_name(first)
        world.cloud.control("preempt", name=group)
        second = _until_running(world, name, other_than=first)
        assert second["metadata"]["uid"] == first["metadata"]["uid"]
        status = seen.container_status(second)
        assert status["restartCount"] == 0
        assert status["lastState"]["terminated"]["reason"] == "Interrupted"
        world.cloud.control("exit_container", name=group, code=0)
        _until_job(world, name, "Complete")
    _clear(world)


# -- replacement, time limits, indexes


def a_deleted_pod_is_replaced_only_when_it_has_failed(world: ClusterWorld) -> None:
    """With `podReplacementPolicy: Failed` the controller waits for the phase, and two never run side by side."""
    world.create_job(manifests.job("one", RUNS_FOR_EVER, backoffLimit=3, podReplacementPolicy="Failed"))
    first = _until_running(world, "one")
    world.delete_pod(first["metadata"]["name"])

    def replaced() -> Object | None:
        # The groups are asked for after the pods: what is there now was there then.
        pods = {pod["metadata"]["uid"]: pod for pod in _pods_of(world, "one")}
        groups = world.group_names()
        others = [pod for uid, pod in pods.items() if uid != first["metadata"]["uid"]]
        if not others:
            return None
        old = pods.get(first["metadata"]["uid"])
        if old is not None and seen.phase(old) != "Failed":
            raise SideBySide(seen.in_short([old, *others]))
        if seen.group_name(first) in groups:
            raise SideBySide(str(groups))
        return others[0]

    world.until(replaced, "another pod", SECONDS)
    second = _until_running(world, "one", other_than=first)
    world.cloud.control("exit_container", name=seen.group_name(second), code=0)
    _until_job(world, "one", "Complete")
    _clear(world)


def time_limits_are_kept(world: ClusterWorld) -> None:
    """The Job's own is kept by its controller, which deletes the pod; the pod's is kept by its node."""
    of_job = manifests.job("limited", RUNS_FOR_EVER, activeDeadlineSeconds=8)
    of_pod = manifests.job("pod-limited", RUNS_FOR_EVER)
    of_pod["spec"]["template"]["spec"]["activeDeadlineSeconds"] = 8
    world.create_job(of_job)
    world.create_job(of_pod)
    assert _reason(_until_job(world, "limited", "Failed"), "Failed") == "DeadlineExceeded"
    assert _reason(_until_job(world, "pod-limited", "Failed"), "Failed") == "BackoffLimitExceeded"
    (pod,) = _pods_of(world, "pod-limited")
    assert (seen.phase(pod), pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    _clear(world)


def a_finished_job_goes_by_itself_with_its_pods(world: ClusterWorld) -> None:
    for code in (0, 1):
        world.create_job(manifests.job(f"short-{code}", manifests.exits(code), ttlSecondsAfterFinished=1))
    for code in (0, 1):
        path = _path(world, f"short-{code}")
        world.until(lambda: world.cluster.get(path) is None, "the Job to be gone", SECONDS)  # noqa: B023
    world.until_nothing_is_left(timeout=SECONDS)


def every_index_has_its_own_end(world: ClusterWorld) -> None:
    """Each container knows its index, and ends with it as its exit code."""
    index = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
    job = manifests.job(
        "indexed", completionMode="Indexed", completions=3, parallelism=3, backoffLimitPerIndex=0, backoffLimit=6
    )
    job["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "INDEX", "valueFrom": {"fieldRef": {"fieldPath": index}}},
        {"name": "SIM_EXIT", "value": "$(INDEX) after 1s"},
    ]
    world.create_job(job)
    status = _until_job(world, "indexed", "Failed")["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0", "1,2")
    codes = {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: seen.container_state(
            pod, "terminated"
        )["exitCode"]
        for pod in _pods_of(world, "indexed")
    }
    assert codes == {"0": 0, "1": 1, "2": 2}
    _clear(world)


class SideBySide(Exception):
    """Two pods that must follow each other were there at the same time. Not an AssertionError, which a wait would take
    for "not yet"."""


def _path(world: ClusterWorld, name: str) -> str:
    return world.path("jobs", name, "apis/batch/v1")


def _conditions(job: Object) -> dict[str, Any]:
    return {each["type"]: each for each in job.get("status", {}).get("conditions") or [] if each["status"] == "True"}


def _reason(job: Object, condition: str) -> str:
    return str(_conditions(job)[condition]["reason"])


def _until_job(world: ClusterWorld, name: str, condition: str) -> Object:
    """The Job, as soon as it is Complete or Failed."""

    def look() -> Object | None:
        job = world.cluster.get(_path(world, name))
        assert job is not None
        assert condition in _conditions(job), f"{job.get('status')}\n{seen.in_short(world.pods())}"
        return job

    found: Object = world.until(look, f"Job {name} to be {condition}", SECONDS)
    return found


def _pods_of(world: ClusterWorld, job: str) -> list[Object]:
    return [pod for pod in world.pods() if pod["metadata"].get("labels", {}).get("job-name") == job]


def _until_pod_of(world: ClusterWorld, job: str, like: Object, is_so: seen.IsSo) -> Object:
    def look() -> Object | None:
        pods = [pod for pod in _pods_of(world, job) if pod["metadata"]["uid"] == like["metadata"]["uid"]]
        assert pods and is_so(pods[0]), seen.in_short(pods)
        return pods[0]

    found: Object = world.until(look, f"the pod of {job}", SECONDS)
    return found


def _until_running(world: ClusterWorld, job: str, other_than: Object | None = None) -> Object:
    """The Job's pod whose container runs; another container than that of `other_than`."""
    before = seen.container_status(other_than).get("containerID")

    def look() -> Object | None:
        for pod in _pods_of(world, job):
            status = seen.container_status(pod)
            if seen.container_state(pod, "running") and status.get("containerID", before) != before:
                return pod
        raise AssertionError(seen.in_short(_pods_of(world, job)))

    found: Object = world.until(look, f"a running pod of {job}", SECONDS)
    return found


def _check_ending(world: ClusterWorld, name: str, code: int, reason: str) -> None:
    """The Job ends as its exit code wants, and its only pod tells that code and reason."""
    _until_job(world, name, "Complete" if code == 0 else "Failed")
    (pod,) = _pods_of(world, name)
    ending = seen.container_state(pod, "terminated")
    assert (ending["exitCode"], ending["reason"]) == (code, reason), ending


def _clear(world: ClusterWorld) -> None:
    world.cluster.delete(world.path("jobs", group="apis/batch/v1"), {"propagationPolicy": "Background"})
    world.until_nothing_is_left(timeout=SECONDS)


STORIES = (
    exit_codes_are_told,
    exit_codes_are_told_though_the_event_is_lost,
    each_failed_pod_counts_against_the_backoff_limit,
    restarts_in_place_count_against_the_backoff_limit,
    restarts_in_place_end_with_a_success,
    an_exit_code_can_fail_the_whole_job,
    an_interruption_is_no_failure_of_the_pod,
    an_interruption_is_no_restart,
    a_deleted_pod_is_replaced_only_when_it_has_failed,
    time_limits_are_kept,
    a_finished_job_goes_by_itself_with_its_pods,
    every_index_has_its_own_end,
)
