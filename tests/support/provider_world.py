"""The SaladCloud provider on the model of SaladCloud, under a fake clock, followed by one pod after the other as a
kubelet would.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.support.clock import FakeClock, WrongClock
from tests.support.cloud_transport import CloudSettings, CloudTransport
from virtual_kubelet_salad.errors import NoBudget
from virtual_kubelet_salad.kubelet import claims, pods, status
from virtual_kubelet_salad.kubelet.provider import Inputs, Notice, Owner, Workload
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.saladcloud import pod_annotations
from virtual_kubelet_salad.saladcloud.provider import SaladCloudProvider, assemble
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST

CLUSTER = "0d3b1c9e-3b7b-4a57-9c39-2f3a5f4a1e11"
NODE = "saladcloud-node"


class FollowedPod:
    """A pod and its status, written from what the provider observes, as the kubelet writes it."""

    def __init__(self, world: ProviderWorld, name: str, restart_policy: str, **spec: Any) -> None:
        self._world = world
        container = {"name": "main", "image": "nginx:1", **spec.pop("container", {})}
        self.pod: dict[str, Any] = {
            "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}", "annotations": {}},
            "spec": {"restartPolicy": restart_policy, "containers": [container], **spec},
            "status": {"phase": "Pending"},
        }
        self.owner = Owner(CLUSTER, NODE, "default", name, f"uid-of-{name}", 0, claims.image_hash(self.pod))
        self.name = world.provider.workload_name(CLUSTER, name, self.owner.uid, 0)
        self.seen: list[Workload] = []
        self.notices: list[Notice] = []
        self.due: float | None = None

    @property
    def phase(self) -> str:
        return pods.phase(self.pod)

    @property
    def container(self) -> dict[str, Any]:
        return dict(pods.container_status(self.pod))

    @property
    def waiting(self) -> str:
        return pods.waiting_reason(self.pod)

    @property
    def is_ready(self) -> bool:
        return bool(self.container.get("ready"))

    def create(self, environment: tuple[tuple[str, str], ...] = ()) -> None:
        command = tuple(self.pod["spec"]["containers"][0].get("command") or ())
        inputs = Inputs(environment=environment, secrets={}, command=command)
        plan = self._world.provider.plan(self.pod, inputs, self.owner)
        self._world.provider.create(plan, self.owner)

    def look(self) -> Workload | None:
        """One reconcile: observe, and write the status until nothing differs."""
        for _ in range(5):
            if pods.is_finished(self.pod):
                return None
            try:
                workload = self._world.provider.observe(self.name, pods.remembered_run(self.pod))
            except NoBudget as error:
                self.due = self._world.clock.monotonic() + (error.retry_after or 1.0)
                return None
            if workload is None:
                return None
            self.seen.append(workload)
            after = workload.look_again_after
            self.due = None if after is None else self._world.clock.monotonic() + after
            wanted = self._world.writer.following(self.pod, self._world.clock.now(), workload)
            annotations = self.pod["metadata"]["annotations"]
            is_annotated = all(annotations.get(key) == value for key, value in workload.annotations.items())
            if is_annotated and not status.differs(self.pod, wanted):
                return workload
            annotations.update(workload.annotations)
            self.pod["status"] = {**self.pod["status"], **wanted}
        raise AssertionError(f"the status of {self.name} never settles: {self.seen[-2:]}")


class ProviderWorld:
    """Ticks the provider's loops and lets woken pods look."""

    def __init__(
        self, seed: int = 1, operator: CloudSettings | None = None, *, wrong_by_seconds: float = 0.0, **settings: Any
    ) -> None:
        """`wrong_by_seconds`: how wrong the clock of the daemon's machine is."""
        self.clock = FakeClock()
        self._daemons_clock = WrongClock(self.clock, wrong_by_seconds)
        self.operator = operator or CloudSettings()
        self.model = SaladCloudModel(self.clock, dataclasses.replace(FAST, **settings), seed)
        self.transport = CloudTransport(self.model)
        self.writer = status.Writer("10.0.0.1", pod_annotations.ON_INTERRUPTION)
        self.pods: dict[str, FollowedPod] = {}
        self.metrics = Metrics.in_new_registry()
        self._woken: set[str] = set()
        self.budget: Budget
        self.provider: SaladCloudProvider
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is remembered but what the pods say."""
        clock = self._daemons_clock
        self.budget = Budget(clock, self.operator.sce_rate_limit or 0)
        self.provider = assemble(self.transport, self.budget, self.operator, CLUSTER, clock, self.metrics)
        self.provider.on_change(self._woken.add)
        self._due = {loop: self.clock.monotonic() for loop in ("poller", "feed", "catalog")}
        self._woken.update(pod.owner.uid for pod in self.pods.values())

    def pod(
        self, name: str = "web", restart_policy: str = "Always", *, exits: str = "", image: str = "", **spec: Any
    ) -> FollowedPod:
        """A pod whose group has just been created. `exits` and `image` are scripts of the model."""
        followed = FollowedPod(self, name, restart_policy, **spec)
        scripts = (("SIM_EXIT", exits), ("SIM_IMAGE", image))
        followed.create(tuple((variable, script) for variable, script in scripts if script))
        self.pods[followed.owner.uid] = followed
        followed.look()
        return followed

    def many(self, count: int) -> list[FollowedPod]:
        """So many pods, created as fast as the budget allows."""
        followed: list[FollowedPod] = []
        while len(followed) < count:
            try:
                followed.append(self.pod(f"web-{len(followed)}"))
            except NoBudget:
                self.step()
        return followed

    def step(self, seconds: float = 0.5) -> None:
        """Time passes, loops that are due step, woken and due pods look."""
        self.clock.advance(seconds)
        self.model.advance()
        now = self.clock.monotonic()
        for name in self._due:
            if self._due[name] <= now:
                self._due[name] = now + getattr(self.provider, name).step()
        woken = set(self._woken)
        self._woken.clear()
        for uid, pod in self.pods.items():
            if uid in woken or (pod.due is not None and pod.due <= now):
                pod.look()

    def run(self, seconds: float) -> None:
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.step()

    def run_until(self, condition: Any, within: float = 120.0) -> float:
        """Steps until the condition holds; how many seconds that took."""
        begun = self.clock.monotonic()
        while not condition():
            assert self.clock.monotonic() - begun < within, "the condition does not come to hold"
            self.step()
        return self.clock.monotonic() - begun
