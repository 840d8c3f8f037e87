"""A world for pods that something outside of them holds back, and what must be so while they wait."""

from __future__ import annotations

from typing import Any

from tests.simulated.world import World
from tests.support import manifests
from tests.support.cloud_transport import CloudSettings
from tests.support.cluster import Object
from virtual_kubelet_salad.kubelet import pods

NAMESPACE = "/api/v1/namespaces/default"
GPU: Object = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
# From the create to Running in the profile `fast`, and two polls.
START_SECONDS = 15.0
# A pod that has waited this long has reached its longest backoff, and the next try by itself is minutes away.
LONG_SECONDS = 2_000.0
LONGEST_BACKOFF_SECONDS = 600.0


class BlockedPods(World):
    """One daemon, and pods whose spec is written out."""

    def __init__(self, operator: CloudSettings | None = None, **settings: Any) -> None:
        super().__init__(start=False, **settings)
        self.daemon = self.start(operator=operator)

    def create_pod(
        self, name: str = "web", *, annotations: dict[str, str] | None = None, policy: str = "Always", **spec: Any
    ) -> None:
        """`container` in `spec` is laid over the only one."""
        pod = manifests.pod(name, annotations=annotations, restart_policy=policy)
        pod["spec"]["containers"][0].update(spec.pop("container", {}))
        pod["spec"].update(spec, nodeName="virtual")
        self.cluster.create_pod(pod)

    def create_secret(self, body: Object) -> None:
        self.cluster.create(f"{NAMESPACE}/secrets", body)

    def replace_secret(self, body: Object) -> None:
        self.cluster.patch(f"{NAMESPACE}/secrets/{body['metadata']['name']}", body)

    def is_running(self, name: str = "web") -> bool:
        return self.phase(name) == "Running" and not self.waiting(name)

    def requests(self, operation: str) -> int:
        return int(self.cloud.statistics()["requests_by_operation"].get(operation, 0))


def assert_blocked(world: BlockedPods, reason: str, event: str | None = None, name: str = "web") -> None:
    """The pod says why it waits, and nothing exists that could be billed."""
    assert pods.phase(world.pod(name)) == "Pending"
    assert world.waiting(name) == reason
    told = [told for told in world.cluster.events_of(name) if told["reason"] == (event or reason)]
    assert told and told[0]["type"] == "Warning"
    assert world.pod(name)["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
