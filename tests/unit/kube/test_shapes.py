"""The shape of a manifest: what the API server would not take, told without a value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.stored_pods import stored_pod
from virtual_kubelet_salad.kube import shapes

SECRET = "hunter2hunter2"


def pod(**container: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "web", "image": "nginx", **container}]},
    }


def test_a_pod_as_it_is_stored_has_no_fault() -> None:
    assert shapes.examine("Pod", stored_pod()) == shapes.Shape((), ())
    assert shapes.examine("Pod", pod()) == shapes.Shape((), ())


@pytest.mark.parametrize(
    ("container", "wrong"),
    [
        ({"name": None}, "spec.containers[0].name: must be a string (put it in quotes)"),
        ({"command": SECRET}, "spec.containers[0].command: must be a list"),
        ({"args": [SECRET, 5]}, "spec.containers[0].args[1]: must be a string (put it in quotes)"),
        ({"env": [{"name": "A", "value": 8080}]},
         "spec.containers[0].env[0].value: must be a string (put it in quotes)"),
        ({"env": [{"value": SECRET}]}, "spec.containers[0].env[0].name: is missing"),
        ({"env": {"A": SECRET}}, "spec.containers[0].env: must be a list"),
        ({"tty": "true"}, "spec.containers[0].tty: must be true or false"),
        ({"ports": [{"containerPort": "80"}]},
         "spec.containers[0].ports[0].containerPort: must be a whole number"),
        ({"livenessProbe": {"httpGet": {"port": [SECRET]}}},
         "spec.containers[0].livenessProbe.httpGet.port: must be a whole number or a string (put it in quotes)"),
        ({"resources": SECRET}, "spec.containers[0].resources: must be a mapping"),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_its_place_and_without_its_value(container: dict[str, Any], wrong: str) -> None:
    shape = shapes.examine("Pod", pod(**container))
    assert shape.wrong == (wrong,)
    assert shape.unknown == ()


def test_all_faults_are_told() -> None:
    manifest = pod(command="x", tty=1)
    del manifest["spec"]["containers"][0]["name"]
    assert len(shapes.examine("Pod", manifest).wrong) == 3


def test_unknown_fields_are_told_apart() -> None:
    shape = shapes.examine("Pod", pod(env=[{"name": "A", "valuFrom": {}}], envfrom=[]))
    assert shape.wrong == ()
    assert shape.unknown == ("spec.containers[0].env[0].valuFrom", "spec.containers[0].envfrom")


def test_the_status_is_left_aside() -> None:
    assert shapes.examine("Pod", {**pod(), "status": 5}) == shapes.Shape((), ())


def test_a_workload_is_judged_with_its_template() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}}
    spec = {"selector": {}, "template": {"metadata": {"annotations": {"salad.com/gpu-memory": 24}}}}
    assert shapes.examine("Deployment", {**deployment, "spec": spec}).wrong == (
        "spec.template.metadata.annotations.salad.com/gpu-memory: must be a string (put it in quotes)",
    )


def test_every_kind_has_a_model() -> None:
    for kind in shapes.KINDS:
        assert shapes.examine(kind, {"metadata": {"name": 5}}).wrong
