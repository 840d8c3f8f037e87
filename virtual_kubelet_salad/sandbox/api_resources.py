"""The table of resources that the minimal API server knows, and the reading of request paths.

A new kind that needs no rules of its own is one line in `RESOURCES`.
"""

from __future__ import annotations

import functools
import urllib.parse
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ResourceType:
    """One kind of object. `subresources` are the names below an object that answer, e.g. `status`."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    qualified: str = field(init=False)
    api_version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "qualified", f"{self.plural}.{self.group}" if self.group else self.plural)
        object.__setattr__(self, "api_version", f"{self.group}/{self.version}" if self.group else self.version)

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources


EPHEMERAL = "ephemeralcontainers"

NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", False, ("ns",), ("status",))
PODS = ResourceType("", "v1", "pods", "Pod", True, ("po",), ("status", "binding", "eviction", EPHEMERAL), ("all",))
NODES = ResourceType("", "v1", "nodes", "Node", False, ("no",), ("status",))
EVENTS = ResourceType("", "v1", "events", "Event", True, ("ev",))
SECRETS = ResourceType("", "v1", "secrets", "Secret", True)
CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", True, ("cm",))
SERVICE_ACCOUNTS = ResourceType("", "v1", "serviceaccounts", "ServiceAccount", True, ("sa",))
LEASES = ResourceType("coordination.k8s.io", "v1", "leases", "Lease", True)
DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", True, ("deploy",), ("status", "scale"), ("all",))
REPLICA_SETS = ResourceType("apps", "v1", "replicasets", "ReplicaSet", True, ("rs",), ("status", "scale"), ("all",))
JOBS = ResourceType("batch", "v1", "jobs", "Job", True, (), ("status",), ("all",))

RESOURCES = (
    NAMESPACES,
    PODS,
    NODES,
    EVENTS,
    SECRETS,
    CONFIG_MAPS,
    SERVICE_ACCOUNTS,
    LEASES,
    DEPLOYMENTS,
    REPLICA_SETS,
    JOBS,
)

_BY_ROUTE = {(resource.group, resource.version, resource.plural): resource for resource in RESOURCES}


@dataclass(frozen=True)
class Target:
    """What a path names. `name` is empty for a collection, `namespace` for cluster-wide ones."""

    resource: ResourceType
    namespace: str
    name: str
    subresource: str


@functools.lru_cache(maxsize=8192)
def parse_path(path: str) -> Target | None:
    """The target of `/api/v1/…` or `/apis/<group>/<version>/…`; None when no known resource is named."""
    parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and (group, version, rest[2]) in _BY_ROUTE:
        namespace, rest = rest[1], rest[2:]
    resource = _BY_ROUTE.get((group, version, rest[0]))
    if resource is None or len(rest) > 3:
        return None
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in resource.subresources:
        return None
    if namespace and not resource.namespaced or name and resource.namespaced and not namespace:
        return None
    return Target(resource, namespace, name, subresource)
