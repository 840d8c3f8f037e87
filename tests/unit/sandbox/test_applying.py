"""Creating what a file holds, on the minimal API server without its sockets."""

from __future__ import annotations

import pathlib
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.clock import FakeClock
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.applying import Outcome, apply
from virtual_kubelet_salad.sandbox.manifests import parse_manifests

POD_SPEC = "{containers: [{name: main, image: nginx}]}"


class ModelCluster:
    """The API server's model as a cluster."""

    description = "minimal API server"
    kubeconfig = pathlib.Path("none")

    def __init__(self, clock: FakeClock) -> None:
        self.model = ApiServerModel(clock)
        self.waited_for: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        answer = self.model.handle(method, path, {}, body, "application/json")
        return answer.status, answer.body

    def wait_for_namespace(self, name: str) -> None:
        self.waited_for.append(name)

    def names(self, path: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.request("GET", path)[1]["items"]]


@pytest.fixture
def cluster(fake_clock: FakeClock) -> ModelCluster:
    return ModelCluster(fake_clock)


def applied(cluster: ModelCluster, text: str) -> Outcome:
    return apply(cluster, parse_manifests(text))


def test_objects_are_created_and_their_pods_counted(cluster: ModelCluster) -> None:
    outcome = applied(
        cluster,
        f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: web}}}}
  template: {{metadata: {{labels: {{app: web}}}}, spec: {POD_SPEC}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: one}}
spec: {POD_SPEC}
""",
    )
    assert outcome == Outcome(pods=4, notes=[], problems=[])
    assert cluster.names("/apis/apps/v1/namespaces/default/deployments") == ["web"]
    assert "one" in cluster.names("/api/v1/namespaces/default/pods")


def test_a_namespace_that_nobody_made_is_made(cluster: ModelCluster) -> None:
    outcome = applied(cluster, f"apiVersion: v1\nkind: Pod\nmetadata: {{name: one, namespace: shop}}\nspec: {POD_SPEC}")
    assert outcome == Outcome(pods=1, notes=["Namespace shop was created"], problems=[])
    assert cluster.waited_for == ["shop"]


def test_a_namespace_of_the_file_is_made_once_and_waited_for(cluster: ModelCluster) -> None:
    text = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: shop}}
---
apiVersion: v1
kind: Pod
metadata: {{name: one, namespace: shop}}
spec: {POD_SPEC}
"""
    assert applied(cluster, text) == Outcome(pods=1, notes=[], problems=[])
    assert cluster.waited_for == ["shop"]


def test_what_exists_already_is_left_and_said(cluster: ModelCluster) -> None:
    outcome = applied(cluster, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}")
    assert outcome.notes == ["Namespace default exists already and was left as it is"]
    assert outcome.problems == []


def test_an_unknown_kind_is_left_out_and_said_and_the_rest_created(cluster: ModelCluster) -> None:
    text = f"""
apiVersion: v1
kind: Service
metadata: {{name: web}}
---
apiVersion: example.com/v1
kind: Thing
metadata: {{name: odd}}
---
apiVersion: v1
kind: Pod
metadata: {{name: one}}
spec: {POD_SPEC}
"""
    outcome = applied(cluster, text)
    assert outcome == Outcome(
        pods=1,
        notes=[
            "Service web was left out: the minimal API server does not know Service of v1",
            "Thing odd was left out: the minimal API server does not know Thing of example.com/v1",
        ],
        problems=[],
    )


def test_a_file_of_unknown_kinds_alone_is_a_problem(cluster: ModelCluster) -> None:
    outcome = applied(cluster, "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}")
    assert outcome.problems == ["nothing in the file could be created"]


def test_what_the_api_server_refuses_is_told_in_its_words_and_ends_it(cluster: ModelCluster) -> None:
    text = f"""
apiVersion: v1
kind: Pod
metadata: {{name: bad}}
spec: {{containers: []}}
---
apiVersion: v1
kind: Pod
metadata: {{name: good}}
spec: {POD_SPEC}
"""
    outcome = applied(cluster, text)
    (problem,) = outcome.problems
    assert problem.startswith('Pod bad: Pod "bad" is invalid: spec.containers: Required value')
    assert cluster.names("/api/v1/pods") == []
