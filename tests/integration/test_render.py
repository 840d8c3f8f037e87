"""What `render` shows is what the daemon sends, byte for byte: held against the real daemon and its request."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import manifests
from tests.support.daemon_process import API_KEY
from tests.support.scenarios import World
from virtual_kubelet_salad import cli
from virtual_kubelet_salad.commands import gpu_offer
from virtual_kubelet_salad.commands.given_sources import GivenSources
from virtual_kubelet_salad.commands.rendering import Renderer
from virtual_kubelet_salad.kube.client import ApiServer, OfficialTransport, load_configuration
from virtual_kubelet_salad.sandbox.salad_catalog import GPU_CLASSES
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer
from virtual_kubelet_salad.saladcloud import container_group
from virtual_kubelet_salad.saladcloud.schemas import answers

pytestmark = pytest.mark.integration

Object = dict[str, Any]

NODE_ADDRESS = "127.0.0.1"  # what every daemon of these tests is given
# Every value that stands in a Secret; none is a part of another, or of anything else in the request.
SECRETS = {
    "password": "correct-horse-battery",
    "token": "tr0ub4dor-and-3",
    "username": "puller-of-images",
    "pull": "pull-password-9",
    "host": "intake.logs.test",
    "api_key": "log-api-key-77",
}
MASK = "********"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "SALAD_CLOUD_API_KEY", "SALAD_CLOUD_ORGANIZATION_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kubernetes(kubeconfig_file: pathlib.Path) -> Iterator[ApiServer]:
    transport = OfficialTransport(load_configuration(str(kubeconfig_file)))
    try:
        yield ApiServer(transport)
    finally:
        transport.close()


def create_sources(world: World) -> None:
    credentials = {"username": SECRETS["username"], "password": SECRETS["pull"]}
    docker = {"auths": {"registry.example": credentials}}
    sink = {"datadog": {"host": SECRETS["host"], "api_key": SECRETS["api_key"], "tags": None}}
    for secret in (
        manifests.secret("db", {"password": SECRETS["password"], "token": SECRETS["token"]}),
        {
            **manifests.secret("pull", {".dockerconfigjson": json.dumps(docker)}),
            "type": "kubernetes.io/dockerconfigjson",
        },
        manifests.secret("sink", {"logging": json.dumps(sink)}),
    ):
        world.cluster.create("/api/v1/namespaces/default/secrets", secret)
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"LEVEL": "ünïcode"}}
    world.cluster.create("/api/v1/namespaces/default/configmaps", settings)


def everything() -> Object:
    """A pod that uses every source, and most of what becomes a part of the request."""
    references = {
        "UID": "metadata.uid",
        "NODE": "spec.nodeName",
        "ADDRESS": "status.hostIP",
        "ACCOUNT": "spec.serviceAccountName",
    }
    env = [
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        {"name": "URL", "value": "postgres://app:$(PASSWORD)@db"},
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in references.items()),
    ]
    container = {
        "name": "main",
        "image": "registry.example/team/server:1",
        "command": ["serve", "--token", "$(ALL_token)"],
        "args": ["$(URL)"],
        "env": env,
        "envFrom": [{"secretRef": {"name": "db"}, "prefix": "ALL_"}, {"configMapRef": {"name": "settings"}}],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 3, "failureThreshold": 90},
        "resources": {"limits": {"cpu": "1500m", "memory": "3Gi", "nvidia.com/gpu": "1"}},
    }
    annotations = {
        "salad.com/gpu-memory": "12",
        "salad.com/country-codes": "us,ca",
        "salad.com/container-group-priority": "low",
        "salad.com/networking-port": "http",
        "salad.com/logging-secret": "sink",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "everything", "annotations": annotations},
        "spec": {
            "tolerations": manifests.TOLERATIONS,
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [container],
            "restartPolicy": "OnFailure",
        },
    }


def as_sent(request: Any) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode()


def test_what_render_shows_is_what_the_daemon_sends(
    world: World,
    cloud: SaladCloudServer,
    kubernetes: ApiServer,
    kubeconfig_file: pathlib.Path,
    tmp_path: pathlib.Path,
    environment: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    create_sources(world)
    world.cluster.create_pod(everything())
    world.until(cloud.requests, "the create")
    ((name, sent),) = cloud.requests().items()
    pod = world.pod("everything")
    assert pod is not None and name.startswith("everything-")

    # The library, with the secrets.
    offer = answers.gpu_classes({"items": list(GPU_CLASSES)})
    assert offer is not None
    renderer = Renderer(
        GivenSources(kubernetes),
        _Offer(offer),
        container_group.Settings(),
        cluster_id=kubernetes.cluster_uid(),
        node_name="saladcloud-node",
        host_ip=NODE_ADDRESS,
    )
    assert as_sent(renderer.plan(pod).request) == as_sent(sent)

    # The command, with its own answers from cluster and cloud, and the secrets masked.
    file, key, catalog = tmp_path / "pod.json", tmp_path / "key", tmp_path / "gpu-classes.json"
    file.write_text(json.dumps(pod))
    key.write_text(API_KEY)
    cluster = ("-f", str(file), "--kubeconfig", str(kubeconfig_file), "--node-ip", NODE_ADDRESS, "-o", "json")
    account = ("--sce-api-key-file", str(key), "--sce-organization-name", "sandbox", "--sce-api-url", cloud.url)
    catalog.write_text(json.dumps(gpu_offer.as_document(offer)))
    for arguments in ([*cluster, *account], [*cluster, "--gpu-catalog", str(catalog)]):
        assert cli.main(["render", *arguments]) == 0
        printed = capsys.readouterr()
        (shown,) = json.loads(printed.out)["pods"]
        assert as_sent(shown["request"]) == masked(as_sent(sent))
        assert (shown["made_up"], shown["notes"]) == ([], [])
        assert not [value for value in SECRETS.values() if value in printed.out + printed.err]

    # And what it would tell is what was told.
    expected = {(event["reason"], event["message"]) for event in shown["events"]}
    assert expected

    def is_told() -> bool:
        return expected <= {(event["reason"], event["message"]) for event in world.cluster.events_of("everything")}

    world.until(is_told, f"the daemon to tell {expected}")


def masked(text: bytes) -> bytes:
    for value in SECRETS.values():
        assert value.encode() in text
        text = text.replace(value.encode(), MASK.encode())
    return text


class _Offer:
    """Implements `container_group.Catalog`."""

    def __init__(self, classes: tuple[Any, ...]) -> None:
        self._classes = classes

    def classes(self) -> tuple[Any, ...]:
        return self._classes


def test_gpu_classes_prints_the_offer_of_the_organization(
    cloud: SaladCloudServer, environment: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SALAD_CLOUD_API_KEY", API_KEY)
    arguments = ["gpu-classes", "--sce-organization-name", "sandbox", "--sce-api-url", cloud.url]
    assert cli.main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(GPU_CLASSES)
    cloud.control("refuse_keys", on=True)
    assert cli.main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
    assert "refused the API key" in printed.err and API_KEY not in printed.err
