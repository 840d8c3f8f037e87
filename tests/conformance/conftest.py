"""One suite, two servers: the minimal API server of the sandbox and a real control plane answer the same questions.

The assertions know no difference. Where a test needs something that only one of them can be made to do, it says so.
"""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support import control_plane_build, go_build
from tests.support.control_plane import ControlPlane
from tests.support.waiting import wait_until
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox.api_http import ApiServer
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

STRATEGIC = "application/strategic-merge-patch+json"
REQUEST_SECONDS = 30
SERVICE_ACCOUNT_SECONDS = 30

Json = dict[str, Any]


class Api:
    """Requests to one of the servers. `send` takes method, path with query, body and content type; `forget_history`
    makes every watch from before now too old."""

    def __init__(self, send: Callable[[str, str, object, str], tuple[int, Any]], forget_history: Callable[[], None]):
        self._send = send
        self.forget_history = forget_history

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> tuple[int, Json]:
        """Status and decoded body."""
        status, answer = self._send(method, _with_query(path, query), body, content_type)
        assert isinstance(answer, dict), f"{method} {path}: not a JSON object: {answer!r}"
        return status, answer

    def done(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "",
    ) -> Json:
        """The body of a request that must succeed."""
        status, answer = self.request(method, path, query, body, content_type or "application/json")
        assert status in (200, 201), f"{method} {path}: {status} {answer.get('message')}"
        return answer

    def patch(self, path: str, body: object, content_type: str = STRATEGIC) -> tuple[int, Json]:
        """A PATCH, strategic unless another kind is named."""
        return self.request("PATCH", path, None, body, content_type)

    def watch(self, path: str, seconds: int, **query: str) -> list[Json]:
        """All events of a watch that the server ends after some seconds."""
        full = {"watch": "true", "timeoutSeconds": str(seconds), **query}
        status, answer = self._send("GET", _with_query(path, full), None, "application/json")
        assert status == 200, answer
        if isinstance(answer, dict):
            return [answer]
        return [json.loads(line) for line in answer.splitlines() if line.strip()]


def _with_query(path: str, query: Mapping[str, str] | None) -> str:
    return f"{path}?{urllib.parse.urlencode(query)}" if query else path


def _plain_http(url: str) -> Callable[[str, str, object, str], tuple[int, Any]]:
    def send(method: str, path: str, body: object, content_type: str) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        request = urllib.request.Request(url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                return response.status, _decoded(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _decoded(error.read())

    return send


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode()


@pytest.fixture(scope="package")
def minimal_server() -> Iterator[ApiServer]:
    clock = SystemClock()
    server = ApiServer(ApiServerModel(clock), clock=clock)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def minimal_api(minimal_server: ApiServer) -> Api:
    return Api(_plain_http(minimal_server.url), minimal_server.compact)


@pytest.fixture(scope="package")
def real_api() -> Iterator[Api]:
    """A real control plane; it fails where none can be built, because a skipped suite would read as green."""
    try:
        binaries = control_plane_build.binaries()
    except go_build.CannotBuild as problem:
        pytest.fail(str(problem), pytrace=False)
    with ControlPlane(binaries) as control_plane:
        raw = control_plane.api()

        def send(method: str, path: str, body: object, content_type: str) -> tuple[int, Any]:
            answer = raw.request(method, path, body, content_type)
            return answer.status, answer.body

        def restart() -> None:
            # What it knew of the past lay in its watch cache; a new process begins with the present.
            control_plane.stop_api_server()
            control_plane.start_api_server()

        yield Api(send, restart)


@pytest.fixture(scope="package", params=["minimal_api", pytest.param("real_api", marks=pytest.mark.cluster)])
def api(request: pytest.FixtureRequest) -> Api:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Api)
    return found


@pytest.fixture
def new_node(api: Api) -> Iterator[Json]:
    """A Node object that nobody plays, as the answer to its POST showed it."""
    name = f"node-{uuid.uuid4().hex[:8]}"
    yield api.done("POST", "/api/v1/nodes", body={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    api.request("DELETE", f"/api/v1/nodes/{name}")


@pytest.fixture
def node(new_node: Json) -> str:
    name = new_node["metadata"]["name"]
    assert isinstance(name, str)
    return name


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A fresh namespace in which pods can be created."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api.done("POST", "/api/v1/namespaces", body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    wait_until(lambda: api.request("GET", account)[0] == 200, timeout=SERVICE_ACCOUNT_SECONDS, what=account)
    yield name
    api.request("DELETE", f"/api/v1/namespaces/{name}")


class Pods:
    """Pods of one namespace, on a node of their own or on none."""

    def __init__(self, api: Api, namespace: str, node: str) -> None:
        self.api = api
        self.node = node
        self.collection = f"/api/v1/namespaces/{namespace}/pods"
        self._numbers = itertools.count(1)

    def path(self, pod: Json) -> str:
        return f"{self.collection}/{pod['metadata']['name']}"

    def status_path(self, pod: Json) -> str:
        return f"{self.path(pod)}/status"

    def create(self, *, bound: bool = True, labels: Mapping[str, str] | None = None, **spec: object) -> Json:
        """A pod that exists. Nobody schedules the unbound ones."""
        where: Json = {"nodeName": self.node} if bound else {"schedulerName": "nobody"}
        containers = [{"name": "main", "image": "registry.example/image:1"}]
        metadata = {"name": f"pod-{next(self._numbers)}", "labels": dict(labels or {})}
        body = {"kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **where, **spec}}
        return self.api.done("POST", self.collection, body={"apiVersion": "v1", **body})

    def get(self, pod: Json) -> Json:
        return self.api.done("GET", self.path(pod))

    def exists(self, pod: Json) -> bool:
        status, _ = self.api.request("GET", self.path(pod))
        assert status in (200, 404)
        return status == 200

    def report(self, pod: Json, **status: object) -> Json:
        """What a kubelet does: a strategic merge of the status, for this UID."""
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        code, answer = self.api.patch(self.status_path(pod), body)
        assert code == 200, answer
        return answer

    def delete(self, pod: Json, **options: object) -> tuple[int, Json]:
        body = {"kind": "DeleteOptions", "apiVersion": "v1", **options} if options else None
        return self.api.request("DELETE", self.path(pod), None, body)


@pytest.fixture
def pods(api: Api, namespace: str, node: str) -> Pods:
    return Pods(api, namespace, node)
