"""A daemon that is started for another project than that of its pods: nothing changes, and the Node says why."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tests.integration.conftest import QUICK_FLAGS
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World, holds_for

pytestmark = pytest.mark.integration

CONDITION = "SaladCloudReachable"
TAINT = "saladcloud.virtual-kubelet.io/unreachable"
WATCHED_SECONDS = 5.0


def test_nothing_changes_until_the_right_project_is_served_again(
    world: World, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    world.cloud.control("configure", projects=["default", "other"])
    for name in ("stays", "leaves"):
        world.cluster.create_pod(manifests.pod(name))
    world.until_all_ready(2)
    groups = world.group_names()
    assert world.daemon.stop() == 0
    world.cluster.delete_pod("leaves")
    pod = manifests.pod("new")
    pod["spec"]["nodeName"] = seen.NODE_NAME
    world.cluster.create_pod(pod)
    before = {name: world.pod(name) for name in ("stays", "leaves")}

    for project in ("other", "unknown"):
        requests = world.cloud.statistics()["requests_by_operation"]
        flags = (*QUICK_FLAGS, "--sce-project-name", project)
        with DaemonProcess(tmp_path, kubeconfig_file, world.cloud.url, *flags, name=project) as daemon:
            daemon.wait_until_ready()
            world.until(lambda: _said(world, project), f"the node to tell of {project}")
            world.until(lambda: _events(world) >= {"stays", "leaves"}, "the pods to be told")
            world.until_pod("new", lambda pod: _waits_for(pod) == "ProjectMismatch", "to wait")
            holds_for(WATCHED_SECONDS, lambda: _unchanged(world, before, requests), "pods and groups as they were")
            assert daemon.stop() == 0
            assert daemon.problems() == []
    assert world.group_names() == groups

    world.daemon.start()
    world.daemon.wait_until_ready()
    world.until(lambda: seen.condition(world.cluster.node(), CONDITION) == "True", "the node to be reachable again")
    world.until(lambda: TAINT not in _taints(world), "the taint to go")
    world.until(lambda: world.pod("leaves") is None, "the deleted pod to go")
    world.until_all_ready(2)
    for name in ("stays", "new"):
        world.cluster.delete_pod(name)
    world.until_nothing_is_left()


def test_a_lone_edited_claim_is_that_pods_own_trouble(world: World) -> None:
    for name in ("edited", "other"):
        world.cluster.create_pod(manifests.pod(name))
    world.until_all_ready(2)
    claim = world.pod("edited")["metadata"]["annotations"]["salad.com/container-group"]  # type: ignore[index]
    _annotate(world, claim.replace("/default/", "/another/"))
    world.until(lambda: _events(world) == {"edited"}, "the pod's author to be told")
    world.daemon.restart()
    world.cluster.create_pod(manifests.pod("third"))
    world.until_ready("third")
    assert seen.condition(world.cluster.node(), CONDITION) == "True"
    _annotate(world, claim)
    for name in ("edited", "other", "third"):
        world.cluster.delete_pod(name)
    world.until_nothing_is_left()


def _said(world: World, project: str) -> bool:
    conditions = (world.cluster.node() or {})["status"]["conditions"]
    (found,) = [each for each in conditions if each["type"] == CONDITION]
    assert (found["status"], found["reason"]) == ("False", "ProjectMismatch"), found
    assert "sandbox/default" in found["message"] and f"sandbox/{project}" in found["message"], found
    assert TAINT in _taints(world)
    assert seen.condition(world.cluster.node(), "Ready") == "True"
    return True


def _unchanged(world: World, before: dict[str, Any], requests: dict[str, int]) -> None:
    for name, pod in before.items():
        assert world.pod(name) == pod
    now = world.cloud.statistics()["requests_by_operation"]
    for operation in ("create_container_group", "delete_container_group", "update_container_group"):
        assert now.get(operation, 0) == requests.get(operation, 0), operation
    new = world.pod("new")
    assert new is not None and not seen.has_finalizer(new)


def _events(world: World) -> set[str]:
    """The pods that an Event tells of it."""
    events = world.cluster.items("/api/v1/namespaces/default/events")
    return {event["involvedObject"]["name"] for event in events if event["reason"] == "ProjectMismatch"} - {"new"}


def _waits_for(pod: seen.Object) -> str:
    return str(seen.container_state(pod, "waiting").get("reason", ""))


def _taints(world: World) -> set[str]:
    return {taint["key"] for taint in (world.cluster.node() or {})["spec"].get("taints", [])}


def _annotate(world: World, claim: str) -> None:
    patch = {"metadata": {"annotations": {"salad.com/container-group": claim}}}
    world.cluster.patch("/api/v1/namespaces/default/pods/edited", patch)
