"""A node with pods that a daemon ran and left behind, and a cleanup of it in one thread, under a fake clock."""

from __future__ import annotations

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import Box
from tests.support.kubelet_world import NODE, KubeletWorld
from virtual_kubelet_salad.commands.cleaning import Cleaning, Outcome, Over
from virtual_kubelet_salad.commands.node_removal import NodeRemoval
from virtual_kubelet_salad.commands.remains import Remains
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Owner, State, Workload

CLUSTER = "cluster"
SETTLE_SECONDS = 120.0


class CleanupWorld(KubeletWorld):
    """`said` is what the latest cleanup printed; `after_wait` is called at each pause."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.said: list[str] = []
        self.waited_seconds = 0.0
        self.give_up_seconds = 3_600.0
        self.after_wait = lambda: None
        self.daemon.node_status.step()

    def cleaning(self, cluster_id: str = CLUSTER, *, has_cluster: bool = True) -> Cleaning:
        """A new process: nothing of an earlier cleanup is remembered."""
        claims = Claims(self.provider, cluster_id, NODE)
        removal = self.removal(cluster_id) if has_cluster else None
        remains = Remains(self.provider, claims, removal, self.clock, cluster_id, NODE)
        self.said = []
        self.waited_seconds = 0.0
        return Cleaning(
            self.provider,
            remains,
            removal,
            self.clock,
            settle_seconds=SETTLE_SECONDS,
            wait=self._wait,
            say=self.said.append,
        )

    def removal(self, cluster_id: str = CLUSTER) -> NodeRemoval:
        claims = Claims(self.provider, cluster_id, NODE)
        return NodeRemoval(self.api, claims, self.provider.identity, NODE, self.clock)

    def clean(self, cluster_id: str = CLUSTER, *, has_cluster: bool = True) -> Outcome:
        return self.cleaning(cluster_id, has_cluster=has_cluster).run()

    def _wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.waited_seconds += seconds
        self.after_wait()
        if self.waited_seconds >= self.give_up_seconds:
            raise Over("the time is up")

    # -- the cloud ----------------------------------------------------------------------------------------------------

    def put_box(self, name: str, owner: Owner | None) -> None:
        self.provider.boxes[name] = Box(owner, Workload(name, owner, State.RUNNING))

    def owner(self, pod: str, **changes: object) -> Owner:
        values = {"cluster_id": CLUSTER, "node": NODE, "namespace": "default", "uid": f"uid-{pod}", "attempt": 0}
        return Owner(**{"pod": pod, "image_hash": "", **values, **changes})  # type: ignore[arg-type]

    def put_orphan(self, pod: str, **changes: object) -> str:
        """A box of a pod that is gone; its name."""
        owner = self.owner(pod, **changes)
        name = self.provider.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt)
        self.put_box(name, owner)
        return name

    def deleted(self) -> list[str]:
        return [name for call, name in self.provider.calls if call == "delete"]

    # -- the cluster --------------------------------------------------------------------------------------------------

    def finalizers(self, name: str = "web") -> list[str]:
        pod = self.pod(name)
        assert pod is not None, f"pod {name} is gone"
        found: list[str] = pod["metadata"].get("finalizers", [])
        return found
