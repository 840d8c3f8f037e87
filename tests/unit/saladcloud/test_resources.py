from __future__ import annotations

from typing import Any

import pytest

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.saladcloud import resources
from virtual_kubelet_salad.saladcloud.resources import Sizes

GIB = 2**30


def sizes(requests: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, **spec: Any) -> Sizes:
    stated = {"requests": requests or {}, "limits": limits or {}}
    return resources.sizes(stored_pod(container={"resources": stated}, spec=spec))


def test_a_pod_that_states_nothing_gets_the_least() -> None:
    assert sizes() == Sizes(1, 1024, None, None, 0)
    assert sizes().as_request() == {"cpu": 1, "memory": 1024}


@pytest.mark.parametrize(
    ("written", "cores"), [("100m", 1), ("1", 1), ("1001m", 2), ("1500m", 2), ("2", 2), ("3.2", 4), ("1e1", 10)]
)
def test_cores_are_rounded_up_whole(written: str, cores: int) -> None:
    assert sizes({"cpu": written}).cpu_in_cores == cores


@pytest.mark.parametrize(
    ("written", "mib"), [("64Mi", 1024), ("1Gi", 1024), ("1025Mi", 2048), ("1500M", 2048), ("2G", 2048), ("3e9", 3072)]
)
def test_memory_is_rounded_up_to_whole_gib(written: str, mib: int) -> None:
    assert sizes({"memory": written}).memory_in_mib == mib


def test_requests_win_over_limits_and_the_container_over_the_pod() -> None:
    assert sizes({"cpu": "2"}, {"cpu": "8", "memory": "4Gi"}) == Sizes(2, 4096, None, None, 0)
    pods_own = {"requests": {"cpu": "6"}, "limits": {"memory": "8Gi"}}
    assert sizes({"cpu": "2"}, resources=pods_own) == Sizes(2, 8192, None, None, 0)


def test_an_amount_of_zero_asks_for_nothing_so_the_next_one_counts() -> None:
    assert sizes({"cpu": "0", "memory": "0"}, {"cpu": "4", "memory": "8Gi"}) == Sizes(4, 8192, None, None, 0)
    assert sizes({"nvidia.com/gpu": "0"}, {"nvidia.com/gpu": "0"}).gpus == 0


def test_a_resource_that_cannot_be_had_may_be_opted_out_of() -> None:
    pod = stored_pod(
        container={"resources": {"limits": {"cpu": "2", "rdma/hca": "1", "example.com/none": "0"}}},
        annotations={"salad.com/ignore-unsupported": "Resources"},
    )
    assert resources.sizes(pod).cpu_in_cores == 2
    assert resources.unknown_names(pod) == ["rdma/hca"]


def test_storage_is_in_bytes_raised_to_the_least_and_absent_when_not_stated() -> None:
    assert sizes({"ephemeral-storage": "20Gi"}).storage_in_bytes == 20 * GIB
    assert sizes({"ephemeral-storage": "100Mi"}).storage_in_bytes == GIB
    assert sizes({"ephemeral-storage": "0"}).storage_in_bytes is None


def test_a_size_is_sent_in_the_units_of_the_api() -> None:
    assert Sizes(2, 2048, GIB, 64, 1).as_request() == {
        "cpu": 2,
        "memory": 2048,
        "storage_amount": GIB,
        "shm_size": 64,
    }


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"cpu": "1025"}, "SaladCloud offers 1 to 1024"),
        ({"memory": "2Ei"}, "MiB of memory"),
        ({"ephemeral-storage": "2Pi"}, "bytes of ephemeral-storage"),
        ({"nvidia.com/gpu": "1500m"}, "whole number"),
        ({"nvidia.com/gpu": "513"}, "whole number"),
        ({"amd.com/gpu": "1"}, "no amd.com/gpu. To run the pod without it, annotate it with salad.com/ignore-unsuppor"),
        ({"hugepages-2Mi": "64Mi"}, "no hugepages-2Mi"),
        ({"cpu": "-1"}, "negative"),
        ({"cpu": "many"}, "'many' is not a quantity"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_can(stated: dict[str, str], said: str) -> None:
    with pytest.raises(Refused) as refusal:
        sizes(stated)
    assert said in str(refusal.value)
    assert refusal.value.reason == "InvalidResources"


def _with_shared_memory(empty_dir: dict[str, Any], path: str = "/dev/shm") -> Sizes:
    pod = stored_pod(
        container={"resources": {"requests": {"memory": "8Gi"}}}, volumes=[{"name": "shm", "emptyDir": empty_dir}]
    )
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "shm", "mountPath": path})
    return resources.sizes(pod)


def test_shared_memory_is_the_size_of_the_empty_dir_at_its_path() -> None:
    assert _with_shared_memory({"medium": "Memory", "sizeLimit": "2Gi"}).shared_memory_in_mib == 2048
    assert _with_shared_memory({"medium": "Memory", "sizeLimit": "1M"}, "/dev/shm/").shared_memory_in_mib == 64
    assert _with_shared_memory({"medium": "Memory"}).shared_memory_in_mib == 8192
    assert _with_shared_memory({"medium": "Memory", "sizeLimit": "2Gi"}, "/cache").shared_memory_in_mib is None
    assert _with_shared_memory({"medium": "HugePages"}).shared_memory_in_mib is None
