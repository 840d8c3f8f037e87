"""A secret value reaches the request to SaladCloud and nothing else.

Each kind of Secret holds a canary. Pods that run, are refused, wait and fail use them all, while both sides answer as
badly as they can: with refusals that repeat the request and the key, with pages, with broken and strange bodies. Then
everything that was written or answered anywhere is searched, also for the base64 of each canary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import resource
import signal
from collections.abc import Iterator

import pytest
import yaml

from tests.integration.conftest import QUICK_FLAGS
from tests.support import cluster as seen
from tests.support import pods_with_secrets, subcommand
from tests.support.canaries import found
from tests.support.daemon_process import DaemonProcess
from tests.support.pods_with_secrets import (
    ANNOTATED,
    BEARER_TOKEN,
    CALLERS_TOKEN,
    FAILING,
    KEYS,
    REFUSED,
    RUNNING,
    UNFIT,
    VALUES,
    WAITING,
)
from tests.support.scenarios import World
from tests.support.tls import client_context
from virtual_kubelet_salad.sandbox.api_faults import Fault
from virtual_kubelet_salad.sandbox.api_http import ApiServer, kubeconfig
from virtual_kubelet_salad.sandbox.salad_http import SaladCloudServer

pytestmark = pytest.mark.integration

# Many pods, each of which is retried; a bound costs nothing.
LONG_SECONDS = 120.0
COMMAND_SECONDS = 60.0
SECRETS_PATH = "/api/v1/namespaces/default/secrets"

_KUBELET_PORT = re.compile(r"kubelet API served port=(\d+)")

# How SaladCloud answers the first creates of some pods.
UNLUCKY = ("echo", "echo_page", "400", "401", "500", "reset", "garbage", "html200", "no_credits_available")


@dataclasses.dataclass(frozen=True)
class Stage(World):
    """With all that was seen while it went on."""

    api_server: ApiServer = dataclasses.field(kw_only=True)
    kubeconfig: pathlib.Path = dataclasses.field(kw_only=True)
    key_file: pathlib.Path = dataclasses.field(kw_only=True)
    places: dict[str, str] = dataclasses.field(default_factory=dict)

    def look(self, moment: str) -> None:
        """Notes what the health port says now."""
        for path in ("/healthz", "/readyz", "/metrics", "/nothing"):
            self.places[f"{path} {moment}"] = self.daemon.get(path).text

    def ask_kubelet_port(self) -> None:
        """Notes what it says to somebody with a token."""
        port = int(_KUBELET_PORT.findall(self.daemon.log_of_this_run())[-1])
        with contextlib.closing(
            http.client.HTTPSConnection("127.0.0.1", port, timeout=LONG_SECONDS, context=client_context())
        ) as connection:
            for path in ("/pods", "/containerLogs/default/web/main", "/nothing"):
                connection.request("GET", path, headers={"Authorization": f"Bearer {CALLERS_TOKEN.word}"})
                self.places[f"kubelet port {path}"] = connection.getresponse().read().decode()

    def has_event(self, name: str, reason: str) -> bool:
        return any(event["reason"] == reason for event in self.cluster.events_of(name))


@pytest.fixture
def stage(cloud: SaladCloudServer, api_server: ApiServer, tmp_path: pathlib.Path) -> Iterator[Stage]:
    """A daemon that logs all it can. Its key comes from a file, and its right to the API server from a token."""
    directory, given = tmp_path / "run", tmp_path / "given"
    directory.mkdir()
    given.mkdir()
    key_file, kubeconfig_file = given / "key", given / "kubeconfig"
    key_file.write_text(KEYS["key-of-a-file"].word)
    kubeconfig_file.write_text(kubeconfig(api_server.url).replace("user: {}", f"user: {{token: {BEARER_TOKEN.word}}}"))
    cloud.control("configure", api_key=KEYS["key-of-a-file"].word)
    flags = (*QUICK_FLAGS, "--log-level", "debug", "--sce-api-key-file", str(key_file))
    environment = {"SALAD_CLOUD_API_KEY": "", "PYTHONFAULTHANDLER": "1"}
    daemon = DaemonProcess(directory, kubeconfig_file, cloud.url, *flags, environment=environment)
    with _without_core_dumps(), daemon:
        daemon.wait_until_ready()
        yield Stage(
            seen.in_process(api_server), cloud, daemon,
            api_server=api_server, kubeconfig=kubeconfig_file, key_file=key_file,
        )  # fmt: skip


@contextlib.contextmanager
def _without_core_dumps() -> Iterator[None]:
    """A process that is aborted would leave its whole memory in a file, and with it every secret."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)


def test_no_secret_is_ever_shown(stage: Stage) -> None:
    for secret in pods_with_secrets.secrets():
        stage.cluster.create(SECRETS_PATH, secret)
    _run_wait_and_fail(stage)
    stage.look("while pods run, wait and fail")
    stage.ask_kubelet_port()
    _be_answered_badly(stage)
    stage.look("after bad answers")
    _rotate_the_key(stage)
    _let_a_thread_die(stage)
    _abort(stage)
    _run_with_a_key_of_a_variable(stage)
    _use_the_command_line(stage)
    everything = [*VALUES.values(), *UNFIT.values(), *KEYS.values(), BEARER_TOKEN, CALLERS_TOKEN]
    _assert_that_they_arrived(stage)
    places = {**stage.places, **_files(stage), **_objects(stage), **_requests_elsewhere(stage)}
    assert len(places) > 30 and all(places.values()), [place for place, text in places.items() if not text]
    assert found(everything, places) == []
    beside_the_pod = {place: text for place, text in places.items() if not place.startswith(("pod ", "kubelet port"))}
    assert found([ANNOTATED], beside_the_pod) == []


def _run_wait_and_fail(stage: Stage) -> None:
    for pod in (*RUNNING, REFUSED, *WAITING.values(), *FAILING):
        stage.cluster.create_pod(pod)
    for pod in RUNNING:
        stage.until_ready(pod["metadata"]["name"], LONG_SECONDS)
    reasons = {"refused": "UnsupportedField", "absent": "CreateContainerConfigError"}
    for name in ("refused", *WAITING):
        pod = stage.until_pod(name, lambda pod: seen.container_state(pod, "waiting").get("message"), "to wait")
        waiting = seen.container_state(pod, "waiting")
        assert waiting["reason"] == reasons.get(name) or waiting["reason"].startswith("Invalid"), waiting
        assert not seen.group_name(pod)
    stage.until_pod("exits", lambda pod: seen.phase(pod) == "Failed", "to fail", LONG_SECONDS)
    stage.until(lambda: stage.has_event("no-image", "Failed"), "a failed image", LONG_SECONDS)
    stage.until(lambda: stage.has_event("no-start", "StartError"), "a failed start", LONG_SECONDS)


def _be_answered_badly(stage: Stage) -> None:
    """By SaladCloud and by the API server, to everything that has a secret in it, before it or after it."""
    for kind in UNLUCKY:
        name = _unlucky(kind)
        stage.cloud.control("fail_next", kind=kind, operation="create_container_group", group=name)
        stage.cluster.create_pod(pods_with_secrets.pod(name, annotations=pods_with_secrets.logs_to("http")))
    for operation in ("list_container_groups", "query_log_entries", "update_container_group"):
        stage.cloud.control("fail_next", count=2, kind="echo", operation=operation)
    stage.cluster.patch(
        "/api/v1/namespaces/default/pods/web",
        {"spec": {"containers": [{"name": "main", "image": "registry.example/a:2"}]}},
    )
    stage.until(lambda: stage.has_event("web", "UpdateFailed"), "a change that is refused", LONG_SECONDS)
    echoed = _unlucky("echo")
    pod = stage.until_pod(echoed, lambda pod: seen.container_state(pod, "waiting").get("message"), "to be refused")
    assert seen.container_state(pod, "waiting")["reason"] == "RejectedBySaladCloud", pod["status"]
    faults = stage.api_server.faults
    faults.add(Fault("repeat", code=422, method="PATCH", path_part="/status", times=3))
    faults.add(Fault("repeat", code=500, method="POST", path_part="/events", times=2))
    faults.add(Fault("garbage", path_part="/secrets/tokens", times=1))
    faults.add(Fault("answer", path_part="/secrets/strange", body={"data": UNFIT["strange"].text}))
    stage.cluster.create_pod(pods_with_secrets.pod("strange", wants={"V": ("strange", "v")}))
    stage.until(lambda: "reconcile failed" in stage.daemon.log_of_this_run(), "a stack trace", LONG_SECONDS)
    for kind in UNLUCKY:
        if kind != "echo":  # That one is refused for good.
            stage.until_ready(_unlucky(kind), LONG_SECONDS)


def _unlucky(kind: str) -> str:
    """Names of which none begins with another."""
    return f"{kind.replace('_', '-')}-unlucky"


def _rotate_the_key(stage: Stage) -> None:
    stage.cloud.control("configure", api_key=KEYS["rotated-key"].word)
    stage.cluster.create_pod(pods_with_secrets.pod("locked-out"))
    stage.until(lambda: stage.has_event("locked-out", "ApiKeyRefused"), "a refused key", LONG_SECONDS)
    stage.look("with a refused key")
    stage.key_file.write_text(KEYS["rotated-key"].word)
    stage.until_ready("locked-out", LONG_SECONDS)


def _let_a_thread_die(stage: Stage) -> None:
    """Of an answer that no API server gives."""
    stage.api_server.faults.add(Fault("answer", path_part="/nodes/saladcloud-node", body={"metadata": "strange"}))
    assert stage.daemon.wait_for_exit(LONG_SECONDS) == 1
    log = stage.daemon.log_of_this_run()
    assert "thread died" in log and "most recent call first" in log
    stage.api_server.faults.clear()


def _abort(stage: Stage) -> None:
    stage.daemon.start()
    stage.daemon.wait_until_ready()
    stage.cluster.create_pod(pods_with_secrets.pod("last"))
    stage.until_ready("last", LONG_SECONDS)
    os.kill(stage.daemon.pid, signal.SIGABRT)
    assert stage.daemon.wait_for_exit(LONG_SECONDS) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in stage.daemon.log_of_this_run()


def _run_with_a_key_of_a_variable(stage: Stage) -> None:
    key = KEYS["key-of-a-variable"].word
    stage.cloud.control("configure", api_key=key)
    stage.cloud.control("fail_next", count=2, kind="echo", operation="list_container_groups")
    directory = stage.daemon.log.parent
    flags = (*QUICK_FLAGS, "--log-level", "debug", "--log-format", "json")
    arguments = (directory, stage.kubeconfig, stage.cloud.url, *flags)
    with DaemonProcess(*arguments, name="variable", api_key=key) as daemon:
        daemon.wait_until_ready()
        stage.cluster.create_pod(pods_with_secrets.pod("other"))
        stage.until_ready("other", LONG_SECONDS)
        assert daemon.stop() == 0


def _use_the_command_line(stage: Stage) -> None:
    """`render` with and without a cluster, what asks SaladCloud, help, and mistakes."""
    pods = [*RUNNING, REFUSED, *WAITING.values(), *FAILING]
    manifests, sources = stage.kubeconfig.parent / "pods.yaml", stage.kubeconfig.parent / "secrets.yaml"
    manifests.write_text(yaml.safe_dump_all(pods))
    sources.write_text(yaml.safe_dump_all(pods_with_secrets.secrets()))
    key = KEYS["key-of-a-variable"].word
    cloud = ("--sce-api-url", stage.cloud.url, "--sce-organization-name", "sandbox")
    cluster = ("--kubeconfig", str(stage.kubeconfig))
    commands = {
        "help": (["--help"], 0),
        "mistakes": ([f"--sce-api-key={key}", f"--workers={key}", f"--no-such-flag={key}", key], 2),
        "gpu-classes": (["gpu-classes", *cloud], 1),
        "cleanup": (["cleanup", "--dry-run", *cluster, *cloud, "--sce-project-name", "default"], None),
    }
    for output in ("text", "json", "yaml"):
        render = ["render", "-f", str(manifests), "-o", output]
        commands[f"render {output}, Secrets of a file"] = ([*render, "--sources", str(sources)], 1)
        commands[f"render {output}, Secrets of a cluster"] = ([*render, *cluster], 1)
    stage.cloud.control("fail_next", kind="echo", operation="list_gpu_classes")
    for name, (words, expected) in commands.items():
        done = subcommand.run(stage.daemon.log.parent, *words, timeout=COMMAND_SECONDS, api_key=key)
        assert expected in (done.code, None), (name, done)
        assert "web" in done.out or not name.startswith("render"), (name, done)
        stage.places[f"output of {name}"] = done.out + done.err


# -- where they may be, and where they are searched for


def _assert_that_they_arrived(stage: Stage) -> None:
    """Otherwise the search would prove nothing. The keys did, because SaladCloud takes no other."""
    sent = json.dumps(stage.cloud.requests(), ensure_ascii=False)
    for canary in (*VALUES.values(), ANNOTATED):
        assert canary.is_in(sent), canary.name
    web = next(request for name, request in stage.cloud.requests().items() if name.startswith("web-"))
    container = web["container"]
    assert container["environment_variables"]["PLAIN"] == VALUES["env"].text
    assert container["environment_variables"]["FROM_MANY"] == VALUES["env-from"].text
    assert container["command"][1] == f"--token={VALUES['argument'].text}"
    assert container["registry_authentication"]["basic"]["password"] == VALUES["pull-password"].text
    assert container["logging"]["datadog"]["api_key"] == VALUES["datadog"].text


def _requests_elsewhere(stage: Stage) -> dict[str, str]:
    """The requests to SaladCloud without the parts that are there for secrets."""
    secret_parts = ("environment_variables", "command", "registry_authentication", "logging")
    rest = [
        {**body, "container": {key: part for key, part in body["container"].items() if key not in secret_parts}}
        for body in stage.cloud.requests().values()
    ]
    return {"other parts of requests": json.dumps(rest), "groups": json.dumps(stage.cloud.overview())}


def _files(stage: Stage) -> dict[str, str]:
    """Whatever the processes have written: their logs, and what else there is in their home."""
    return {
        str(path): path.read_text(errors="replace") for path in stage.daemon.log.parent.rglob("*") if path.is_file()
    }


def _objects(stage: Stage) -> dict[str, str]:
    """Every version of every object in the API server, but for the Secrets."""
    places: dict[str, str] = {}
    for plural in ("pods", "events", "nodes", "leases"):
        history = stage.api_server.model.events_after(plural, 0)
        assert history and history[0]["type"] != "ERROR", plural
        for number, event in enumerate(history):
            places[f"{plural.removesuffix('s')} {event['object']['metadata']['name']}, {number}"] = json.dumps(event)
    return places
