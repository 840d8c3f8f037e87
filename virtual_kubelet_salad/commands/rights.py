"""The rights that the daemon needs at the API server, as `check` asks for them; `deploy/manifests/rbac.yaml` grants
them and a test holds the two together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from virtual_kubelet_salad.kube import leader
from virtual_kubelet_salad.kubelet.heartbeat import LEASE_NAMESPACE

_LEASES = "coordination.k8s.io"


@dataclasses.dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource; an empty namespace or name stands for all."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def attributes(self) -> Mapping[str, str]:
        """As `resourceAttributes` of an access review."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value}

    def __str__(self) -> str:
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        what = f"{self.verb} {resource}.{self.group}" if self.group else f"{self.verb} {resource}"
        what += f" {self.name}" if self.name else ""
        return f"{what} in {self.namespace}" if self.namespace else what


def needed(node_name: str) -> tuple[Right, ...]:
    """By the daemon of that node."""
    election = leader.lease_name(node_name)
    return (
        *(Right(verb, "pods") for verb in ("get", "list", "watch", "delete")),
        Right("patch", "pods", subresource="status"),
        *(Right(verb, "nodes") for verb in ("get", "create", "patch")),
        Right("patch", "nodes", subresource="status"),
        Right("get", "secrets"),
        Right("get", "configmaps"),
        *(Right(verb, "events") for verb in ("create", "patch")),
        Right("get", "namespaces", name="kube-system"),
        # Who asks the kubelet port, and may they?
        Right("create", "tokenreviews", "authentication.k8s.io"),
        Right("create", "subjectaccessreviews", "authorization.k8s.io"),
        *(Right(verb, "leases", _LEASES, namespace=LEASE_NAMESPACE) for verb in ("get", "create", "patch")),
        *(Right(verb, "leases", _LEASES, namespace=leader.NAMESPACE, name=election) for verb in ("get", "patch")),
        Right("create", "leases", _LEASES, namespace=leader.NAMESPACE),
    )
