"""Creates the objects of manifests in a cluster, as `kubectl create` would, and says in words what it could not do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from virtual_kubelet_salad.sandbox.cluster import Cluster
from virtual_kubelet_salad.sandbox.manifests import Manifest, expected_pods, title


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the manifests."""

    pods: int
    """How many pods there will be because of them."""
    notes: list[str]
    """What was left out or done besides."""
    problems: list[str]
    """What the API server refused; nothing after it was tried."""


def apply(cluster: Cluster, manifests: Iterable[Manifest]) -> Outcome:
    """Creates the objects in order, and namespaces that they name and nobody made. Raises CouldNotAsk, CannotStart and
    StopRequested."""
    return _Application(cluster).apply(list(manifests))


class _Application:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._resources: dict[str, list[Mapping[str, Any]]] = {}
        self._notes: list[str] = []

    def apply(self, manifests: list[Manifest]) -> Outcome:
        own = {manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Namespace"}
        named = {manifest["metadata"].get("namespace") for manifest in manifests}
        for namespace in sorted(name for name in named - own if isinstance(name, str)):
            self._make_namespace(namespace)
        pods, created = 0, 0
        for manifest in manifests:
            path = self._collection_path(manifest)
            if path is None:
                self._notes.append(
                    f"{title(manifest)} was left out: the {self._cluster.description} does not know"
                    f" {manifest['kind']} of {manifest['apiVersion']}"
                )
                continue
            problem = self._create(path, manifest)
            if problem is not None:
                return Outcome(pods, self._notes, [f"{title(manifest)}: {problem}"])
            created += 1
            pods += expected_pods(manifest)
        problems = [] if created else ["nothing in the file could be created"]
        return Outcome(pods, self._notes, problems)

    def _create(self, path: str, manifest: Manifest) -> str | None:
        """What the API server has against it."""
        status, answer = self._cluster.request("POST", path, manifest)
        if status == 409 and isinstance(answer, dict) and answer.get("reason") == "AlreadyExists":
            self._notes.append(f"{title(manifest)} exists already and was left as it is")
        elif status >= 300:
            return _words(answer, status)
        elif manifest["kind"] == "Namespace":
            self._cluster.wait_for_namespace(manifest["metadata"]["name"])
        return None

    def _make_namespace(self, name: str) -> None:
        """One that exists is fine; what is wrong with the name, the object in it will be told."""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        status, _ = self._cluster.request("POST", "/api/v1/namespaces", namespace)
        if status < 300:
            self._cluster.wait_for_namespace(name)
            self._notes.append(f"Namespace {name} was created")

    def _collection_path(self, manifest: Manifest) -> str | None:
        """Where an object is created; None for a kind that the API server does not know."""
        api_version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if root not in self._resources:
            status, answer = self._cluster.request("GET", root)
            self._resources[root] = answer.get("resources", []) if status == 200 else []
        for resource in self._resources[root]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                if not resource["namespaced"]:
                    return f"{root}/{resource['name']}"
                return f"{root}/namespaces/{manifest['metadata'].get('namespace') or 'default'}/{resource['name']}"
        return None


def _words(answer: Any, status: int) -> str:
    message = answer.get("message") if isinstance(answer, dict) else None
    return str(message or f"the API server answered {status}")
