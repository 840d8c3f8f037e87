"""What Virtual Kubelet's own suite of black-box tests expects of a kubelet, as far as one container per pod allows.

That suite asks the node's port by way of the API server, as these stories do. It waits for a pod's IP address, which a
pod has not here.
"""

from __future__ import annotations

import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.kubectl_world import SECONDS, TIMEOUT, KubectlWorld

GRACE_SECONDS = 30
# Instead of the minute that SaladCloud takes for a first measurement.
USAGE_PERIOD_SECONDS = 2.0


def pods_of_the_node_are_listed(world: KubectlWorld) -> None:
    world.create_pod(manifests.pod("web"))
    pod = world.until_ready("web", SECONDS)

    def is_listed() -> bool:
        listed = json.loads(world.proxied("pods"))
        assert (listed["kind"], listed["apiVersion"]) == ("PodList", "v1")
        assert {each["spec"]["nodeName"] for each in listed["items"]} == {world.node}
        found = [each for each in listed["items"] if each["metadata"]["uid"] == pod["metadata"]["uid"]]
        assert [each["status"]["phase"] for each in found] == ["Running"]
        return True

    world.until(is_listed, "the pod to be listed", SECONDS)
    _delete(world, "web")


def usage_is_told_in_two_forms(world: KubectlWorld) -> None:
    world.cloud.control("configure", usage_period=USAGE_PERIOD_SECONDS)
    world.create_pod(manifests.pod("web"))
    pod = world.until_ready("web", SECONDS)
    name, uid = "web", pod["metadata"]["uid"]

    def is_summed_up() -> dict[str, Any]:
        summary = json.loads(world.proxied("stats/summary"))
        assert summary["node"]["nodeName"] == world.node
        found: list[dict[str, Any]] = [each for each in summary["pods"] if each["podRef"]["uid"] == uid]
        assert len(found) == 1, summary
        assert found[0]["containers"][0]["memory"]["workingSetBytes"] > 0, summary
        return found[0]

    told = world.until(is_summed_up, "the pod in the summary", SECONDS)
    assert told["podRef"] == {"name": name, "namespace": world.namespace, "uid": uid}
    assert [container["name"] for container in told["containers"]] == ["main"]

    def is_exposed() -> bool:
        samples = [
            sample
            for family in text_string_to_metric_families(world.proxied("metrics/resource"))
            for sample in family.samples
            if sample.labels.get("namespace") == world.namespace
        ]
        of_pod = [sample for sample in samples if sample.name == "pod_cpu_usage_seconds_total"]
        of_container = [sample for sample in samples if sample.name == "container_cpu_usage_seconds_total"]
        assert [sample.labels["pod"] for sample in of_pod] == [name]
        assert [(sample.labels["pod"], sample.labels["container"]) for sample in of_container] == [(name, "main")]
        return True

    world.until(is_exposed, "the pod among the metrics", SECONDS)
    _delete(world, "web")


def a_deleted_pod_runs_no_more_from_the_first_moment(world: KubectlWorld) -> None:
    _delete_and_look(world, None)


def a_pod_deleted_by_force_runs_no_more_from_the_first_moment(world: KubectlWorld) -> None:
    _delete_and_look(world, 0)


def optional_sources_that_are_missing_hold_nobody_up(world: KubectlWorld) -> None:
    _create_with_missing_sources(world, is_optional=True)
    for name, reason in (("secret", "OptionalSecretNotFound"), ("config-map", "OptionalConfigMapNotFound")):
        pod = world.until_ready(name, SECONDS)
        _until_told(world, pod, reason)
        world.until(lambda: pod["metadata"]["uid"] in _running(world), "to run", SECONDS)  # noqa: B023
    _delete(world, "secret", "config-map")


def mandatory_sources_that_are_missing_are_waited_for(world: KubectlWorld) -> None:
    _create_with_missing_sources(world, is_optional=False)
    for name, reason in (("secret", "MandatorySecretNotFound"), ("config-map", "MandatoryConfigMapNotFound")):
        waiting = world.until_pod(name, _waits_for_its_source, "to wait", SECONDS)
        _until_told(world, waiting, reason)
        assert waiting["metadata"]["uid"] not in _running(world)
    assert world.group_names() == set()
    world.kubectl("create", "secret", "generic", "missing", "--from-literal=key=value")
    world.kubectl("create", "configmap", "missing", "--from-literal=key=value")
    uids = {pod["metadata"]["uid"] for pod in world.until_all_ready(2, SECONDS)}
    world.until(lambda: uids <= _running(world), "both to run", SECONDS)
    _delete(world, "secret", "config-map")


def health_and_configuration_are_told(world: KubectlWorld) -> None:
    assert world.proxied("healthz") == "ok"
    configuration = json.loads(world.proxied("configz"))["kubeletconfig"]
    assert configuration["kind"] == "KubeletConfiguration"
    assert configuration["authentication"]["anonymous"] == {"enabled": False}
    path = f"/api/v1/nodes/{world.node}/proxy"
    assert "there is no such path" in world.refused("get", "--raw", f"{path}/nothing")
    assert "Forbidden" in world.refused("get", "--raw", f"{path}/pods", "--as=restricted")


def _delete_and_look(world: KubectlWorld, grace_seconds: int | None) -> None:
    """The group stays for as long as the test likes, and with it the pod's object."""
    world.create_pod(manifests.pod("web"))
    pod = world.until_ready("web", SECONDS)
    uid, group = pod["metadata"]["uid"], seen.group_name(pod)
    world.until(lambda: uid in _running(world), "to run", SECONDS)
    world.refuse_deletes(group)
    world.delete_pod("web", grace_seconds)
    leaving = world.until_pod("web", lambda each: "deletionTimestamp" in each["metadata"], "to leave", SECONDS)
    expected = GRACE_SECONDS if grace_seconds is None else grace_seconds
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == expected
    world.until(lambda: uid not in _running(world), "to run no more", SECONDS)
    assert world.pod("web") is not None and group in world.group_names()
    world.accept_deletes(group)
    world.until_nothing_is_left(timeout=SECONDS)


def _create_with_missing_sources(world: KubectlWorld, *, is_optional: bool) -> None:
    for name, kind in (("secret", "secretKeyRef"), ("config-map", "configMapKeyRef")):
        source = {"name": "missing", "key": "key", "optional": is_optional}
        variable = {"name": "VALUE", "valueFrom": {kind: source}}
        world.create_pod(manifests.pod(name, environment_from=[variable]))


def _waits_for_its_source(pod: Object) -> bool:
    return bool(seen.container_state(pod, "waiting").get("reason") == "CreateContainerConfigError")


def _running(world: KubectlWorld) -> set[str]:
    return {each["metadata"]["uid"] for each in json.loads(world.proxied("runningpods/"))["items"]}


def _until_told(world: KubectlWorld, pod: Object, reason: str) -> None:
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]

    def is_told() -> bool:
        events = world.cluster.events_of(name, world.namespace)
        return any(event["reason"] == reason and event["involvedObject"]["uid"] == uid for event in events)

    world.until(is_told, f"{reason} of {name}", SECONDS)


def _delete(world: KubectlWorld, *names: str) -> None:
    world.kubectl("delete", "pod", *names, TIMEOUT)


STORIES = (
    pods_of_the_node_are_listed,
    usage_is_told_in_two_forms,
    a_deleted_pod_runs_no_more_from_the_first_moment,
    a_pod_deleted_by_force_runs_no_more_from_the_first_moment,
    optional_sources_that_are_missing_hold_nobody_up,
    mandatory_sources_that_are_missing_are_waited_for,
    health_and_configuration_are_told,
)
