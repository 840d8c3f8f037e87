"""Values that variables take from the pod itself."""

from __future__ import annotations

from typing import Any

import pytest

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet import downward

POD: dict[str, Any] = {
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u-1",
        "labels": {"b": "2", "a": "1", "example.com/x": "y"},
        "annotations": {"note": 'say "hi"\n\\o/ é\x01\u200b\U000e0001\x7f', "it's": "z"},
    },
    "spec": {"nodeName": "saladcloud-node", "serviceAccountName": "robot", "containers": [{"name": "other"}]},
}


def field(path: str, pod: dict[str, Any] = POD, **more: Any) -> str:
    return downward.field_value(pod, {"fieldPath": path, **more}, node_name="here", host_ip="10.0.0.7")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['a']", "1"),
        ("metadata.labels['example.com/x']", "y"),
        ("metadata.labels['absent']", ""),
        ("metadata.annotations['it's']", "z"),
        ("metadata.labels", 'a="1"\nb="2"\nexample.com/x="y"'),
        ("spec.nodeName", "saladcloud-node"),
        ("spec.host", "saladcloud-node"),
        ("spec.serviceAccountName", "robot"),
        ("status.hostIP", "10.0.0.7"),
        ("status.hostIPs", "10.0.0.7"),
    ],
)
def test_each_field_has_its_value(path: str, value: str) -> None:
    assert field(path) == value
    assert field(path, apiVersion="v1") == value


def test_a_map_as_a_whole_is_quoted_as_go_quotes() -> None:
    expected = r'''it's="z"''' + "\n" + r'''note="say \"hi\"\n\\o/ é\x01\u200b\U000e0001\x7f"'''
    assert field("metadata.annotations") == expected


def test_a_pod_without_labels_has_an_empty_map() -> None:
    assert field("metadata.labels", {"metadata": {}}) == ""
    assert field("metadata.labels['a']", {"metadata": {}}) == ""


def test_a_pod_that_does_not_name_its_node_is_on_this_one() -> None:
    assert field("spec.nodeName", {"spec": {}}) == "here"


@pytest.mark.parametrize(
    "path",
    [
        "status.podIP",
        "status.podIPs",
        "status.phase",
        "spec.restartPolicy",
        "metadata.name['a']",
        "metadata.labels[a]",
        "['a']",
        "",
    ],
)
def test_other_fields_are_refused_by_name(path: str) -> None:
    with pytest.raises(Refused) as caught:
        field(path)
    assert caught.value.reason == "UnsupportedFieldRef"
    assert path in str(caught.value)


def test_another_version_is_refused() -> None:
    with pytest.raises(Refused):
        field("metadata.name", apiVersion="v2")


def resource(wanted: str, divisor: Any = None, *, container_name: str = "", **resources: dict[str, str]) -> str:
    reference = {"resource": wanted, "divisor": divisor, "containerName": container_name}
    return downward.resource_value(POD, {"name": "main", "resources": resources}, reference)


@pytest.mark.parametrize(
    ("wanted", "divisor", "stated", "value"),
    [
        ("limits.cpu", None, "1", "1"),
        ("limits.cpu", "0", "1500m", "2"),
        ("limits.cpu", "1m", "1500m", "1500"),
        ("limits.cpu", "1", "1001m", "2"),
        ("limits.cpu", "1m", "0.0001", "1"),
        ("limits.memory", None, "1Gi", "1073741824"),
        ("limits.memory", "1Mi", "1Gi", "1024"),
        ("limits.memory", "1Mi", "1000M", "954"),
        ("limits.memory", "1Gi", "1", "1"),
        ("limits.memory", 1, "1e3", "1000"),
        ("limits.memory", "1Ki", "9007199254740993", "8796093022209"),
        ("limits.ephemeral-storage", "1G", "20G", "20"),
        ("requests.cpu", "1m", "250m", "250"),
        ("requests.memory", "1Mi", "512Mi", "512"),
    ],
)
def test_resources_are_counted_in_divisors_and_rounded_up(wanted: str, divisor: Any, stated: str, value: str) -> None:
    kind, _, name = wanted.partition(".")
    container = {"name": "main", "resources": {kind: {name: stated}}}
    assert downward.resource_value(POD, container, {"resource": wanted, "divisor": divisor}) == value


def test_a_limit_that_is_not_stated_is_the_request() -> None:
    assert resource("limits.cpu", "1m", requests={"cpu": "500m"}) == "500"
    assert resource("limits.cpu", "1m", limits={"cpu": "0"}, requests={"cpu": "500m"}) == "500"


def test_a_request_that_is_not_stated_is_the_limit_or_nothing() -> None:
    assert resource("requests.cpu", limits={"cpu": "2"}) == "2"
    assert resource("requests.cpu") == "0"


def test_a_limit_that_the_container_does_not_state_is_the_pods_own() -> None:
    pod = {"spec": {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "4", "memory": "8Gi"}}}}
    container: dict[str, Any] = {"name": "main", "resources": {"limits": {"memory": "1Gi"}}}
    assert downward.resource_value(pod, container, {"resource": "limits.cpu"}) == "4"
    assert downward.resource_value(pod, container, {"resource": "limits.memory", "divisor": "1Gi"}) == "1"
    assert downward.resource_value(pod, container, {"resource": "requests.cpu"}) == "0"


def test_a_limit_of_a_container_that_states_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="states a limit or a request for memory"):
        resource("limits.memory")


@pytest.mark.parametrize("wanted", ["limits.nvidia.com/gpu", "limits.hugepages-2Mi", "cpu", "", "limit.cpu"])
def test_other_resources_are_refused(wanted: str) -> None:
    with pytest.raises(Refused) as caught:
        resource(wanted)
    assert caught.value.reason == "UnsupportedResourceFieldRef"


def test_a_quantity_that_is_none_is_refused() -> None:
    with pytest.raises(Refused):
        resource("limits.cpu", limits={"cpu": "1K"})
    with pytest.raises(Refused):
        resource("limits.cpu", "x", limits={"cpu": "1"})


def test_another_container_may_be_named_and_must_exist() -> None:
    assert resource("limits.cpu", container_name="main", limits={"cpu": "2"}) == "2"
    assert resource("requests.cpu", container_name="other", limits={"cpu": "2"}) == "0"
    with pytest.raises(Refused, match="no container named nobody"):
        resource("limits.cpu", container_name="nobody")
