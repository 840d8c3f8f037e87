"""Ten manifests of the field in the shape in which people publish them, applied with kubectl on a real control plane:
each runs, ends, or is refused with the reason that the published table gives.

Two things are not in the files: a persistent volume for the claim, without which the scheduler would keep its pod, and
for the Jobs, the line by which the simulated container knows when to end.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from tests.support import cluster as seen
from tests.support import manifests
from tests.support.cluster import Object
from tests.support.cluster_world import (
    IDENTITY,
    QUICK_CLOUD_FLAGS,
    QUICK_FLAGS,
    ClusterWorld,
    check_rights,
    cluster_world,
    new_namespace,
)
from tests.support.control_plane import ControlPlane
from virtual_kubelet_salad.kubelet.refusal_table import OTHER_CONTAINERS, OTHER_VOLUME, TABLE
from virtual_kubelet_salad.sandbox.salad_catalog import NAMES

DIRECTORY = pathlib.Path(__file__).parent / "manifests"
JOBS = ("pytorch-job", "cronjob")
# Everything starts at once; a bound costs nothing.
SECONDS = 180.0
GIB = 2**30

# Label and number of the pods of each manifest that runs.
RUNNING = {
    "ollama": ("app.kubernetes.io/name=ollama", 1),
    "stable-diffusion-webui": ("app=sd-webui", 1),
    "text-generation-inference": ("app=tgi", 1),
    "queue-worker": ("app=worker", 3),
    "nginx": ("app=nginx", 2),
}
# Label of the pod, what it names, and the rows of the table that say why not.
REFUSED = {
    "vllm": ("app=mistral-7b", {"the volume cache-volume (persistentVolumeClaim)": OTHER_VOLUME}),
    "comfyui": ("app=comfyui", {"initContainers": "spec.initContainers", "the volume models (hostPath)": OTHER_VOLUME}),
    "jupyter": ("app=jupyter", {"the container oauth2-proxy": OTHER_CONTAINERS}),
}


@pytest.fixture(scope="module")
def world(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWorld]:
    """All ten have been applied. In the end all are deleted, and nothing is left of them at SaladCloud."""
    directory = tmp_path_factory.mktemp("field")
    with new_namespace(control_plane) as namespace:
        with cluster_world(
            control_plane, namespace, directory, *IDENTITY, *QUICK_FLAGS, cloud_flags=QUICK_CLOUD_FLAGS
        ) as world:
            volume = _persistent_volume(namespace)
            world.apply(volume)
            for path in sorted(DIRECTORY.glob("*.yaml")):
                if path.stem not in JOBS:
                    world.kubectl("apply", "-f", str(path))
            for name in JOBS:
                world.apply(_that_ends(name))
            world.kubectl("create", "job", "report-of-now", "--from=cronjob/nightly-report")
            yield world
            world.kubectl("delete", "deployments,statefulsets,cronjobs,jobs", "--all", "--wait=false")
            world.until_nothing_is_left(timeout=SECONDS)
            world.kubectl("delete", "persistentvolume", volume["metadata"]["name"], "--wait=false")
            check_rights(world.daemon)


def _persistent_volume(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"models-{namespace}"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "models",
            "claimRef": {"namespace": namespace, "name": "mistral-7b"},
            "nfs": {"server": "nfs.example", "path": "/models"},
        },
    }


def _that_ends(name: str) -> Object:
    """The manifest with a container that the simulator lets end in order."""
    documents = list(yaml.safe_load_all((DIRECTORY / f"{name}.yaml").read_text()))
    for document in documents:
        spec = document.get("spec") or {}
        template = (spec.get("jobTemplate") or {}).get("spec", spec).get("template")
        if template:
            (container,) = template["spec"]["containers"]
            container["env"] += [{"name": key, "value": value} for key, value in manifests.exits(0, 2.0).items()]
    return {"apiVersion": "v1", "kind": "List", "items": documents}


def _pods(world: ClusterWorld, label: str) -> list[Object]:
    key, _, value = label.partition("=")
    return [pod for pod in world.pods() if (pod["metadata"].get("labels") or {}).get(key) == value]


def _requests(world: ClusterWorld, pods: list[Object]) -> list[Any]:
    """What SaladCloud was asked to create for these pods."""
    requests = world.cloud.requests()
    return [requests[seen.group_name(pod)] for pod in pods]


def _told(world: ClusterWorld, pod: Object, reason: str) -> str:
    """What the Events of that reason tell about the pod; they come a little later than what they are about."""

    def look() -> str:
        events = world.cluster.events_of(pod["metadata"]["name"], world.namespace)
        return "\n".join(event["message"] for event in events if event["reason"] == reason)

    text: str = world.until(look, f"an Event {reason} of {pod['metadata']['name']}", SECONDS)
    return text


def _gpus(request: Any) -> set[str]:
    return {NAMES[identifier].strip() for identifier in request["container"]["resources"]["gpu_classes"]}


def test_there_are_ten_and_each_has_its_test() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.yaml")} == {*RUNNING, *REFUSED, *JOBS}
    assert len({*RUNNING, *REFUSED, *JOBS}) == 10


# -- those that run


def _until_ready(world: ClusterWorld, name: str) -> list[Object]:
    label, count = RUNNING[name]

    def look() -> list[Object]:
        pods = _pods(world, label)
        assert len(pods) == count and all(map(seen.is_ready, pods)), seen.in_short(pods)
        return pods

    found: list[Object] = world.until(look, f"{name} to be ready", SECONDS)
    return found


def _check_ollama(world: ClusterWorld, pod: Object, request: Any) -> None:
    container = request["container"]
    assert container["command"] == ["/bin/ollama", "serve"]
    assert container["priority"] == "low"
    assert container["environment_variables"]["OLLAMA_HOST"] == "0.0.0.0:11434"
    sizes = {"cpu": 4, "memory": 12 * 1024, "storage_amount": 40 * GIB}
    assert sizes.items() <= container["resources"].items()
    assert "RTX 3060 (8 GB)" in _gpus(request) and "GTX 1650 (4 GB)" not in _gpus(request)
    assert request["networking"] == {"protocol": "http", "port": 11434, "auth": True}
    assert request["startup_probe"]["http"]["port"] == 11434
    assert "volume models (emptyDir)" in _told(world, pod, "FieldsIgnored")
    assert "per hour at priority low" in _told(world, pod, "GpuClassesChosen")
    told = _told(world, pod, "AddressAssigned")

    def has_address(pod: Object) -> bool:
        return pod["metadata"]["annotations"].get("salad.com/access-domain-name", "nothing") in told

    world.until_pod(pod["metadata"]["name"], has_address, "to have the gateway's address", SECONDS)


def _check_stable_diffusion(world: ClusterWorld, pod: Object, request: Any) -> None:
    container = request["container"]
    assert container["command"][:6] == ["python3", "-u", "webui.py", "--listen", "--port", "7860"]
    assert container["registry_authentication"] == {"basic": {"username": "example", "password": "ghp_example"}}
    assert container["environment_variables"]["SAFETENSORS_FAST_GPU"] == "1"
    assert container["resources"]["shm_size"] == 4096
    assert _gpus(request) == {"RTX 3090 (24 GB)", "RTX 4090 (24 GB)"}
    assert sorted(request["country_codes"]) == ["de", "nl", "us"]
    assert request["networking"] == {
        "protocol": "http", "port": 7860, "auth": False, "server_response_timeout": 100_000,
    }  # fmt: skip
    assert request["readiness_probe"]["tcp"] == {"port": 7860}
    assert "securityContext.fsGroup" in _told(world, pod, "FieldsIgnored")


def _check_text_generation(world: ClusterWorld, pod: Object, request: Any) -> None:
    container = request["container"]
    assert container["command"][:3] == ["/tgi-entrypoint.sh", "--model-id", "meta-llama/Llama-3.1-8B-Instruct"]
    variables = container["environment_variables"]
    assert (variables["HF_TOKEN"], variables["POD_NAME"]) == ("hf_tgi_example", pod["metadata"]["name"])
    sizes = {"cpu": 6, "memory": 24 * 1024, "storage_amount": 60 * GIB, "shm_size": 1024}
    assert sizes.items() <= container["resources"].items()
    assert "networking" not in request
    # 90 failures in a row are more than SaladCloud counts; the quarter of an hour stays.
    startup = request["startup_probe"]
    assert startup["failure_threshold"] <= 20
    assert startup["failure_threshold"] * startup["period_seconds"] >= 900
    assert "failureThreshold 90, periodSeconds 10" in _told(world, pod, "ProbeAdjusted")
    assert {"name": "X-Probe", "value": "readiness"} in request["readiness_probe"]["http"]["headers"]


def _check_worker(world: ClusterWorld, pod: Object, request: Any) -> None:
    container = request["container"]
    assert container["command"] == [
        "celery", "-A", "tasks", "worker", "--loglevel=info", "--concurrency=2", "-n", f"w@{pod['metadata']['name']}",
    ]  # fmt: skip
    variables = container["environment_variables"]
    assert variables["CELERY_BROKER_URL"] == "amqps://worker:example@queue.example:5671/jobs"
    assert variables["APP_CONCURRENCY"] == "2" and "CONCURRENCY" not in variables
    assert request["liveness_probe"]["exec"]["command"] == ["celery", "-A", "tasks", "inspect", "ping"]
    assert "gpu_classes" not in container["resources"] and "networking" not in request
    assert "worker-overrides not found" in _told(world, pod, "OptionalSecretNotFound")


def _check_nginx(world: ClusterWorld, pod: Object, request: Any) -> None:
    assert "networking" not in request, "a container port and a Service open nothing"
    assert "salad.com/access-domain-name" not in pod["metadata"]["annotations"]
    assert "command" not in request["container"] and "registry_authentication" not in request["container"]
    assert request["container"]["resources"] == {"cpu": 1, "memory": 1024}
    assert request["liveness_probe"]["http"]["path"] == "/"
    assert "runAsNonRoot" in _told(world, pod, "FieldsIgnored")


CHECKS: dict[str, Callable[[ClusterWorld, Object, Any], None]] = {
    "ollama": _check_ollama,
    "stable-diffusion-webui": _check_stable_diffusion,
    "text-generation-inference": _check_text_generation,
    "queue-worker": _check_worker,
    "nginx": _check_nginx,
}


@pytest.mark.parametrize("name", RUNNING)
def test_a_server_runs_and_is_translated_as_it_is_meant(world: ClusterWorld, name: str) -> None:
    pods = _until_ready(world, name)
    for pod, request in zip(pods, _requests(world, pods), strict=True):
        assert request["restart_policy"] == "always" and request["replicas"] == 1
        assert request["container"]["image"] == pod["spec"]["containers"][0]["image"]
        CHECKS[name](world, pod, request)


# -- those that end


def _until_succeeded(world: ClusterWorld, label: str, count: int) -> list[Object]:
    def look() -> list[Object]:
        pods = _pods(world, label)
        phases = [seen.phase(pod) for pod in pods]
        assert phases == ["Succeeded"] * count, seen.in_short(pods)
        return pods

    found: list[Object] = world.until(look, f"{count} pods of {label} to succeed", SECONDS)
    return found


def test_a_training_job_runs_to_its_end_with_all_its_indexes(world: ClusterWorld) -> None:
    pods = _until_succeeded(world, "app=pytorch-train", 2)
    world.kubectl("wait", "--for=condition=Complete", "job/pytorch-train", f"--timeout={SECONDS:g}s")
    shards = set()
    for request in _requests(world, pods):
        container = request["container"]
        variables = container["environment_variables"]
        index = variables["JOB_COMPLETION_INDEX"]
        shards.add(index)
        assert container["command"] == [
            "python", "/workspace/train.py", "--epochs=3", f"--shard={index}",
            f"--output=s3://models/pytorch-train/{index}",
        ]  # fmt: skip
        assert variables["WANDB_API_KEY"] == "example-wandb" and variables["OMP_NUM_THREADS"] == "8"
        sizes = {"cpu": 4, "memory": 16 * 1024, "shm_size": 16 * 1024}
        assert sizes.items() <= container["resources"].items()
        assert "RTX 4090 (24 GB)" in _gpus(request) and "RTX 3060 (12 GB)" not in _gpus(request)
        assert request["restart_policy"] == "never"
    assert shards == {"0", "1"}


def test_a_cron_job_succeeds(world: ClusterWorld) -> None:
    pods = _until_succeeded(world, "app=nightly-report", 1)
    world.kubectl("wait", "--for=condition=Complete", "job/report-of-now", f"--timeout={SECONDS:g}s")
    (request,) = _requests(world, pods)
    assert request["restart_policy"] == "on_failure"
    assert request["container"]["command"][:2] == ["python", "-c"]
    assert request["container"]["resources"] == {"cpu": 2, "memory": 2048}


# -- those that are refused


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_the_published_table_says(world: ClusterWorld, name: str) -> None:
    label, places = REFUSED[name]
    rows = {row.path: row for row in TABLE}

    def look() -> Object:
        refused = [pod for pod in _pods(world, label) if seen.container_state(pod, "waiting").get("message")]
        assert refused, seen.in_short(_pods(world, label))
        return refused[0]

    pod: Object = world.until(look, f"{name} to be refused", SECONDS)
    pod_name = pod["metadata"]["name"]
    waiting = seen.container_state(pod, "waiting")
    for place, path in places.items():
        row = rows[path]
        assert f"{place}: {row.text}" in waiting["message"]
        assert f'salad.com/ignore-unsupported: "{row.opt_out}"' in waiting["message"]
    assert seen.phase(pod) == "Pending" and not seen.has_finalizer(pod)
    assert not [group for group in world.group_names() if group.startswith(pod_name)]
    described = world.until(lambda: _described(world, pod_name), "the reason in kubectl describe", SECONDS)
    for place, path in places.items():
        assert f"{place}: {rows[path].text}" in described
    (line,) = [line for line in world.kubectl("get", "pods").splitlines() if line.startswith(f"{pod_name} ")]
    assert line.split()[1:3] == [f"0/{len(pod['spec']['containers'])}", "UnsupportedField"]


def _described(world: ClusterWorld, pod_name: str) -> str:
    """What `kubectl describe` says, with the Event."""
    text = world.kubectl("describe", "pod", pod_name)
    _, _, events = text.partition("\nEvents:")
    return text if "UnsupportedField" in events else ""


def _opted_out(name: str, word: str) -> Object:
    """The Deployment of a manifest under another name, with one annotation more."""
    documents = yaml.safe_load_all((DIRECTORY / f"{name}.yaml").read_text())
    deployment: Object = next(document for document in documents if document["kind"] == "Deployment")
    labels = {"app": "opted-out"}
    annotations = {"salad.com/ignore-unsupported": word}
    template = {**deployment["spec"]["template"], "metadata": {"labels": labels, "annotations": annotations}}
    spec = {**deployment["spec"], "selector": {"matchLabels": labels}, "template": template}
    return {**deployment, "metadata": {"name": "opted-out"}, "spec": spec}


def test_an_opt_out_in_the_template_is_all_that_a_refused_deployment_needs(world: ClusterWorld) -> None:
    world.apply(_opted_out("vllm", "volumes"))

    def look() -> list[Object]:
        pods = _pods(world, "app=opted-out")
        assert len(pods) == 1 and seen.is_ready(pods[0]), seen.in_short(pods)
        return pods

    pods: list[Object] = world.until(look, "vLLM to be ready", SECONDS)
    (request,) = _requests(world, pods)
    container = request["container"]
    assert container["command"][:2] == ["/bin/sh", "-c"] and container["command"][2].startswith("vllm serve mistralai/")
    assert container["environment_variables"]["HUGGING_FACE_HUB_TOKEN"] == "hf_vllm_example"
    # 6G are 5.6 GiB.
    assert {"cpu": 2, "memory": 6 * 1024, "shm_size": 2048}.items() <= container["resources"].items()
    assert "the volume cache-volume (persistentVolumeClaim)" in _told(world, pods[0], "FieldsIgnored")
