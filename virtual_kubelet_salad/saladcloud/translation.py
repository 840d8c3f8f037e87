"""The half of the provider that turns pods into requests: for the daemon, and for whoever wants to see what it would
send.

Pure but for the offer of GPU classes, which is read from a `container_group.Catalog`. Safe to call from any thread.
"""

from __future__ import annotations

from virtual_kubelet_salad.kubelet.provider import Identity, Inputs, Notice, Owner, Plan, Pod
from virtual_kubelet_salad.saladcloud import container_group, pod_annotations, problems
from virtual_kubelet_salad.saladcloud.schemas import requests

IDENTITY = Identity(
    name="saladcloud",
    finalizer=pod_annotations.CONTAINER_GROUP,
    claim_annotation=pod_annotations.CONTAINER_GROUP,
    attempt_annotation=pod_annotations.ATTEMPT,
    ignore_annotation=pod_annotations.IGNORE_UNSUPPORTED,
    interruption_annotation=pod_annotations.ON_INTERRUPTION,
    place_annotation="salad.com/project",
    reachable_condition="SaladCloudReachable",
    misplaced_reason="ProjectMismatch",
    container_id_scheme="salad",
    workload_noun="container group",
    not_found_reason="ContainerGroupNotFound",
    stopped_by_cloud_reason=problems.OUT_OF_CREDIT,
    address_annotation=pod_annotations.ACCESS_DOMAIN_NAME,
    machine_annotation=pod_annotations.MACHINE_ID,
    settled_annotations=pod_annotations.SETTLED,
)


class Translation:
    """Implements `kubelet.provider.Translator`. Raises as it says there."""

    identity = IDENTITY

    def __init__(self, catalog: container_group.Catalog, settings: container_group.Settings) -> None:
        self._catalog = catalog
        self._settings = settings

    def refusals(self, pod: Pod) -> list[Notice]:
        return container_group.refusals(pod)

    def wanted_secrets(self, pod: Pod) -> tuple[str, ...]:
        return container_group.wanted_secrets(pod)

    def plan(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        plan = container_group.build(pod, inputs, owner, self._catalog, self._settings)
        requests.check_prototype(plan.request)
        return plan

    def plan_update(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        plan = container_group.build_update(pod, inputs, owner)
        requests.check_patch(plan.request)
        return plan
