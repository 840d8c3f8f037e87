"""The whole daemon as a process: pods that something outside of them holds back say why, cost nothing, and start by
themselves when that is over. What takes long by its nature is told in `tests/simulated`.
"""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Iterator

import pytest

from tests.integration.conftest import QUICK_FLAGS
from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.daemon_process import DaemonProcess
from tests.support.scenarios import World
from virtual_kubelet_salad.sandbox.api_http import ApiServer
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer

pytestmark = pytest.mark.integration

# The promise is 15 s; that it is kept is shown under a fake clock. This machine may be busy with other tests.
RECOVERY_SECONDS = 90.0
SECRETS = "/api/v1/namespaces/default/secrets"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def key_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "api-key"
    path.write_text("first-key")
    return path


@pytest.fixture
def world(
    cloud: SaladCloudServer, api_server: ApiServer, kubeconfig_file: pathlib.Path, tmp_path: pathlib.Path,
    key_file: pathlib.Path,
) -> Iterator[World]:  # fmt: skip
    """With a daemon whose key comes from a file."""
    cloud.control("configure", api_key="first-key")
    flags = (*QUICK_FLAGS, "--sce-api-key-file", str(key_file))
    no_variable = {"SALAD_CLOUD_API_KEY": ""}
    with DaemonProcess(tmp_path, kubeconfig_file, cloud.url, *flags, environment=no_variable) as daemon:
        daemon.wait_until_ready()
        yield World(seen.in_process(api_server), cloud, daemon)
        assert daemon.stop() == 0
        assert daemon.problems() == []


def _pull_secret(configuration: Object) -> Object:
    data = {".dockerconfigjson": base64.b64encode(json.dumps(configuration).encode()).decode()}
    return {"metadata": {"name": "pull"}, "type": "kubernetes.io/dockerconfigjson", "data": data}


def _with_pull_secret(pod: Object) -> Object:
    pod["spec"]["imagePullSecrets"] = [{"name": "pull"}]
    return pod


def _from_config_map(variable: str, name: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}}


def _until_blocked(world: World, name: str, reason: str, event: str) -> None:
    """The pod says why it waits, an Event says so too, and no group exists for it."""

    def look() -> bool:
        pod = world.pod(name)
        assert pod is not None and seen.phase(pod) == "Pending"
        waiting = seen.container_state(pod, "waiting")
        assert waiting.get("reason") == reason and waiting["message"], waiting
        assert event in {told["reason"] for told in world.cluster.events_of(name)}
        return True

    world.until(look, f"{name} to be blocked", RECOVERY_SECONDS)
    assert not [group for group in world.group_names() if group.startswith(f"{name}-")]


def test_pods_start_when_what_they_wait_for_appears_or_is_mended(world: World) -> None:
    pods = {
        "secret": manifests.pod("secret", environment_from=[manifests.from_secret("A", "token", "t")]),
        "config-map": manifests.pod("config-map", environment_from=[_from_config_map("A", "settings", "a")]),
        "registry": _with_pull_secret(manifests.pod("registry")),
    }
    for pod in pods.values():
        world.cluster.create_pod(pod)
    _until_blocked(world, "secret", "CreateContainerConfigError", "MandatorySecretNotFound")
    _until_blocked(world, "config-map", "CreateContainerConfigError", "MandatoryConfigMapNotFound")
    _until_blocked(world, "registry", "CreateContainerConfigError", "MandatorySecretNotFound")
    before = {name: world.pod(name) for name in pods}
    world.cluster.create(SECRETS, manifests.secret("token", {"t": "value"}))
    world.cluster.create(CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"a": "b"}})
    world.cluster.create(SECRETS, _pull_secret({"auths": {"registry.example": {}}}))
    _until_blocked(world, "registry", "InvalidImagePullSecret", "InvalidImagePullSecret")
    credentials = {"username": "u", "password": "p"}
    world.cluster.patch(f"{SECRETS}/pull", _pull_secret({"auths": {"registry.example": credentials}}))
    for pod in world.until_all_ready(len(pods), RECOVERY_SECONDS):
        earlier = before[pod["metadata"]["name"]]
        assert earlier is not None and pod["spec"] == earlier["spec"], "nobody touched it"
        assert seen.container_status(pod)["restartCount"] == 0
    assert world.requests("create_container_group") == len(pods)
    (request,) = (body for name, body in world.cloud.requests().items() if name.startswith("registry-"))
    assert request["container"]["registry_authentication"] == {"basic": credentials}


def test_pods_start_when_the_key_is_valid_again_and_when_there_is_credit_again(
    world: World, key_file: pathlib.Path
) -> None:
    world.cluster.create_pod(manifests.pod("before"))
    running = world.until_ready("before")
    world.cloud.control("configure", api_key="second-key")
    world.cluster.create_pod(manifests.pod("locked-out"))
    _until_blocked(world, "locked-out", "ApiKeyRefused", "ApiKeyRefused")
    key_file.write_text("second-key\n")
    world.until_ready("locked-out", RECOVERY_SECONDS)
    pod = world.pod("before")
    assert pod is not None and pod["status"] == running["status"], "a running pod does not feel it"
    for name in ("before", "locked-out"):
        world.cluster.delete_pod(name)
    world.until_nothing_is_left()
    world.cloud.control("out_of_credit", on=True)
    world.cluster.create_pod(manifests.pod("penniless"))
    _until_blocked(world, "penniless", "OutOfCredit", "OutOfCredit")
    assert world.cloud.statistics()["groups"] == 0
    world.cloud.control("out_of_credit", on=False)
    world.until_ready("penniless", RECOVERY_SECONDS)
