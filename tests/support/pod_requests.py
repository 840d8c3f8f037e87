"""The way of a pod to its request, from documents instead of an API server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.support.gpu_catalog import FixedCatalog
from virtual_kubelet_salad.errors import NotFound
from virtual_kubelet_salad.kubelet import claims
from virtual_kubelet_salad.kubelet.planning import Planner
from virtual_kubelet_salad.kubelet.provider import Notice, Owner, Plan, Pod
from virtual_kubelet_salad.saladcloud import container_group
from virtual_kubelet_salad.saladcloud.translation import Translation

CLUSTER_ID = "0d3b1c9e-3b7b-4a57-9c39-2f3a5f4a1e11"
NODE_NAME = "saladcloud-node"
SETTINGS = container_group.Settings(default_priority="high", max_price_per_hour=Decimal("2"))


class _Documents:
    """Secrets and ConfigMaps out of a list of documents."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self._documents = documents

    def secret(self, namespace: str, name: str, *, not_before: float) -> Mapping[str, Any]:
        return self._named("Secret", name)

    def config_map(self, namespace: str, name: str, *, not_before: float) -> Mapping[str, Any]:
        return self._named("ConfigMap", name)

    def _named(self, kind: str, name: str) -> Mapping[str, Any]:
        for document in self._documents:
            if document["kind"] == kind and document["metadata"]["name"] == name:
                return document
        raise NotFound(f"{kind} {name}")


def owner_of(pod: Pod, attempt: int = 0) -> Owner:
    return claims.owner_of(pod, CLUSTER_ID, NODE_NAME, attempt)


def planned(pod: Pod, documents: Sequence[Mapping[str, Any]] = ()) -> tuple[Plan, tuple[Notice, ...]]:
    """The plan for a pod and all the notices on its way. Raises what the kubelet would see."""
    planner = _planner(documents)
    ignored = planner.refuse(pod)
    plan = planner.plan(pod, owner_of(pod), first_seen=0.0)
    return plan, (*ignored, *plan.notices)


def planned_update(pod: Pod, documents: Sequence[Mapping[str, Any]] = ()) -> Plan:
    """The plan for a pod whose image was changed in place."""
    return _planner(documents).plan_update(pod, owner_of(pod), now=0.0)


def _planner(documents: Sequence[Mapping[str, Any]]) -> Planner:
    return Planner(
        provider=Translation(FixedCatalog(), SETTINGS),
        sources=_Documents(documents),
        node_name=NODE_NAME,
        host_ip="10.1.2.3",
    )
