"""A cluster as a test sees it: objects created, read, changed and deleted by plain requests.

The same for a real API server (`over_tls`) and for the minimal one (`in_process`, `over_http`), so that scenarios need
not know which it is. Callable from any thread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.plain_http import ask
from tests.support.raw_api import JSON, STRATEGIC_MERGE, RawAnswer, RawApi
from virtual_kubelet_salad.sandbox.api_http import ApiServer

Object = dict[str, Any]
Send = Callable[[str, str, object, str], RawAnswer]
"""Method, path, body, content type."""
IsSo = Callable[[Object], bool]
"""Something that a pod can be."""

NODE_NAME = "saladcloud-node"
FINALIZER = "salad.com/container-group"


def over_tls(api: RawApi) -> Cluster:
    """The cluster behind a real API server, with the rights of `api`."""
    return Cluster(api.request)


def in_process(server: ApiServer) -> Cluster:
    """The cluster of a minimal API server in this process; faults and outages of its HTTP face are not felt."""

    def send(method: str, path: str, body: object, content_type: str) -> RawAnswer:
        # A copy: what the model keeps must not be the test's own object.
        status, answer = server.serve(method, path, {}, json.loads(json.dumps(body)), content_type)
        return RawAnswer(status, json.loads(json.dumps(answer)))

    return Cluster(send)


def over_http(url: str) -> Cluster:
    """The cluster of a minimal API server in a process of its own."""

    def send(method: str, path: str, body: object, content_type: str) -> RawAnswer:
        answer = ask(method, url + path, body, {"Content-Type": content_type})
        return RawAnswer(answer.status, answer.json)

    return Cluster(send)


class Cluster:
    """Paths are those of the API, e.g. `/api/v1/namespaces/default/pods/web`."""

    def __init__(self, send: Send) -> None:
        self._send = send

    # -- any object

    def get(self, path: str) -> Object | None:
        """None when there is no such object; every other answer but 200 is an AssertionError."""
        answer = self._send("GET", path, None, JSON)
        if answer.status == 404:
            return None
        assert answer.status == 200, answer
        found: Object = answer.body
        return found

    def items(self, path: str) -> list[Object]:
        """The objects of a collection."""
        listed = self.get(path)
        assert listed is not None, f"no such collection: {path}"
        found: list[Object] = listed["items"]
        return found

    def create(self, path: str, body: Object) -> Object:
        answer = self._send("POST", path, body, JSON)
        assert answer.status == 201, answer
        created: Object = answer.body
        return created

    def patch(self, path: str, body: Object) -> Object:
        """A strategic-merge PATCH."""
        answer = self._send("PATCH", path, body, STRATEGIC_MERGE)
        assert answer.status == 200, answer
        patched: Object = answer.body
        return patched

    def delete(self, path: str, options: Mapping[str, Any] | None = None) -> None:
        """An object that is gone already is fine."""
        answer = self._send("DELETE", path, None if options is None else dict(options), JSON)
        assert answer.status in (200, 202, 404), answer

    # -- pods and the node

    def create_pod(self, pod: Object, namespace: str = "default") -> Object:
        return self.create(f"/api/v1/namespaces/{namespace}/pods", pod)

    def pod(self, name: str, namespace: str = "default") -> Object | None:
        return self.get(f"/api/v1/namespaces/{namespace}/pods/{name}")

    def pods(self, namespace: str = "default") -> list[Object]:
        return self.items(f"/api/v1/namespaces/{namespace}/pods")

    def delete_pod(self, name: str, namespace: str = "default", grace_seconds: int | None = None) -> None:
        options = None if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        self.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", options)

    def node(self, name: str = NODE_NAME) -> Object | None:
        return self.get(f"/api/v1/nodes/{name}")

    def events_of(self, name: str, namespace: str = "default") -> list[Object]:
        """The Events about an object of that name."""
        events = self.items(f"/api/v1/namespaces/{namespace}/events")
        return [event for event in events if event.get("involvedObject", {}).get("name") == name]


# -- what a pod or a node says


def phase(pod: Object | None) -> str:
    """Empty for a pod that is not there."""
    return str((pod or {}).get("status", {}).get("phase", ""))


def condition(thing: Object | None, kind: str) -> str:
    """Status of a condition of a pod or a node; empty when it has none of that type."""
    conditions = (thing or {}).get("status", {}).get("conditions") or []
    return next((str(each["status"]) for each in conditions if each["type"] == kind), "")


def is_ready(pod: Object | None) -> bool:
    return phase(pod) == "Running" and condition(pod, "Ready") == "True"


def container_status(pod: Object | None) -> Object:
    """Of the first container; empty when none was reported."""
    statuses = (pod or {}).get("status", {}).get("containerStatuses") or [{}]
    first: Object = statuses[0]
    return first


def container_state(pod: Object | None, kind: str) -> Object:
    """The details of the state `waiting`, `running` or `terminated`; empty when it is in another one."""
    details: Object = (container_status(pod).get("state") or {}).get(kind) or {}
    return details


def group_name(pod: Object) -> str:
    """The name in the claim; empty without one."""
    claim: str = (pod["metadata"].get("annotations") or {}).get("salad.com/container-group", "")
    return claim.rpartition("/")[2]


def has_finalizer(pod: Object) -> bool:
    return FINALIZER in (pod["metadata"].get("finalizers") or [])


def in_short(pods: list[Object]) -> str:
    """One line per pod that is not simply ready, for the text of a failed wait."""
    lines = [f"{len(pods)} pods"]
    for pod in pods:
        is_leaving = "deletionTimestamp" in pod["metadata"]
        if is_leaving or not is_ready(pod):
            reason = container_state(pod, "waiting").get("reason") or "not ready"
            lines.append(f"{pod['metadata']['name']}: {phase(pod)}, {'terminating' if is_leaving else reason}")
    return "\n".join(lines)
