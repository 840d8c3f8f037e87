"""Which rules hold for which kind."""

from __future__ import annotations

from virtual_kubelet_salad.sandbox.api_resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    EVENTS,
    JOBS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICE_ACCOUNTS,
    ResourceType,
)
from virtual_kubelet_salad.sandbox.api_rules import (
    ConfigMapRules,
    EventRules,
    LeaseRules,
    NamespaceRules,
    NodeRules,
    PodRules,
    Rules,
    SecretRules,
    ServiceAccountRules,
)
from virtual_kubelet_salad.sandbox.api_workload_rules import DeploymentRules, JobRules, ReplicaSetRules

_RULES: dict[ResourceType, Rules] = {
    PODS: PodRules(),
    NODES: NodeRules(),
    NAMESPACES: NamespaceRules(),
    LEASES: LeaseRules(),
    EVENTS: EventRules(),
    SECRETS: SecretRules(),
    CONFIG_MAPS: ConfigMapRules(),
    SERVICE_ACCOUNTS: ServiceAccountRules(),
    DEPLOYMENTS: DeploymentRules(),
    REPLICA_SETS: ReplicaSetRules(),
    JOBS: JobRules(),
}


def rules_of(resource: ResourceType) -> Rules:
    """The rules of a kind."""
    return _RULES[resource]
