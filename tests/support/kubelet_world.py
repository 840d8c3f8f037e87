"""The kubelet's real objects in one thread, on the API server's model and the in-memory cloud, under a fake clock."""

from __future__ import annotations

import random
from typing import Any

from tests.support.clock import FakeClock
from tests.support.in_memory_provider import IDENTITY, InMemoryProvider
from tests.support.model_transport import ModelTransport
from virtual_kubelet_salad import daemon
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.kubelet.node import NodeSettings, Taint
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel

NODE = "virtual"
ADDRESS = "192.0.2.7"
NAMESPACE = "default"


def settings(**changes: Any) -> daemon.Settings:
    node = NodeSettings(NODE, ADDRESS, 10250, Taint("virtual-kubelet.io/provider", "memory", "NoSchedule"), "v1.36.3")
    return daemon.Settings(**{"node": node, "cluster_id": "cluster", "workers": 1, **changes})


class KubeletWorld:
    """A cluster with one virtual node."""

    def __init__(self, clock: FakeClock, **changes: Any) -> None:
        self.clock = clock
        self.model = ApiServerModel(clock)
        self.transport = ModelTransport(self.model)
        self.provider = InMemoryProvider(clock)
        self._changes = changes
        self.start()

    def start(self) -> None:
        """A (new) daemon process: nothing of the old one's memory is left."""
        self.api = ApiServer(self.transport, clock=self.clock)
        self.recorder = EventRecorder(self.api, self.clock, "virtual-kubelet-salad", NODE)
        self.daemon = daemon.build(
            settings(**self._changes),
            api=self.api,
            lease_api=self.api,
            provider=self.provider,
            recorder=self.recorder,
            clock=self.clock,
            metrics=Metrics.in_new_registry(),
            jitter=random.Random(0),
        )
        self._delivered: dict[str, str] = {}
        self.daemon.cache.has_synced.set()
        self.deliver()

    # -- users --------------------------------------------------------------------------------------------------------

    def create_pod(self, name: str = "web", **spec: Any) -> dict[str, Any]:
        """A pod bound to the node, as the scheduler leaves it."""
        metadata = spec.pop("metadata", {})
        container = {"name": "main", "image": "image:1", **spec.pop("container", {})}
        body = {
            "metadata": {"name": name, **metadata},
            "spec": {"nodeName": NODE, "containers": [container], **spec},
        }
        answer = self.model.handle("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", {}, body)
        assert answer.status == 201, answer.body
        return answer.body

    def run_pod(self, name: str = "web", **spec: Any) -> None:
        """A pod whose workload runs, and whose status says so."""
        self.create_pod(name, **spec)
        self.settle()
        self.provider.run(self.box_name(name))
        self.wake(name)
        self.settle()

    def pod(self, name: str = "web") -> dict[str, Any] | None:
        answer = self.model.handle("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}")
        return answer.body if answer.status == 200 else None

    def status(self, name: str = "web") -> dict[str, Any]:
        pod = self.pod(name)
        assert pod is not None, f"pod {name} is gone"
        found: dict[str, Any] = pod["status"]
        return found

    def container(self, name: str = "web") -> dict[str, Any]:
        found: dict[str, Any] = self.status(name)["containerStatuses"][0]
        return found

    def waiting_reason(self, name: str = "web") -> str:
        return str((self.container(name)["state"].get("waiting") or {}).get("reason", ""))

    def delete_pod(self, name: str = "web", grace: int | None = None) -> None:
        body = None if grace is None else {"gracePeriodSeconds": grace}
        answer = self.model.handle("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}", {}, body)
        assert answer.status == 200, answer.body

    def patch_pod(self, patch: dict[str, Any], name: str = "web", subresource: str = "") -> None:
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}{subresource}"
        answer = self.model.handle("PATCH", path, {}, patch, "application/strategic-merge-patch+json")
        assert answer.status == 200, answer.body

    def event_reasons(self, name: str = "web") -> list[str]:
        """Reasons of the Events that were told about a pod; posts what may be posted now."""
        return [event["reason"] for event in self.events(name)]

    def events(self, name: str = "web") -> list[dict[str, Any]]:
        """The Events that were told about a pod; posts what may be posted now."""
        while self.recorder.pending and self.recorder.step() == 0.0:
            pass
        items = self.model.handle("GET", f"/api/v1/namespaces/{NAMESPACE}/events").body["items"]
        return [event for event in items if event["involvedObject"]["name"] == name]

    # -- the daemon ---------------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """What the informer does: brings the cache in step with the API server."""
        answer = self.model.handle("GET", "/api/v1/pods", {"fieldSelector": f"spec.nodeName={NODE}"})
        items = {pod["metadata"]["uid"]: pod for pod in answer.body["items"]}
        for gone in set(self._delivered) - set(items):
            known = self.daemon.cache.get(gone)
            if known is not None:
                self.daemon.cache.apply("DELETED", dict(known))
        for uid, pod in items.items():
            if self._delivered.get(uid) != pod["metadata"]["resourceVersion"]:
                self.daemon.cache.apply("MODIFIED" if uid in self._delivered else "ADDED", pod)
        self._delivered = {uid: pod["metadata"]["resourceVersion"] for uid, pod in items.items()}
        self.daemon.cache.mark_fresh()

    def step(self) -> bool:
        """Delivers, and reconciles one pod; False when none was ready."""
        self.deliver()
        return self.daemon.worker.step() == 0.0

    def settle(self, seconds: float = 0.0, steps: int = 500) -> None:
        """Runs everything that is ready now, and what falls due within so many seconds."""
        end = self.clock.monotonic() + seconds
        for _ in range(steps):
            if self.step():
                continue
            due = self.daemon.queue.next_due()
            if due is None or due > end:
                self.clock.advance(max(0.0, end - self.clock.monotonic()))
                self.deliver()
                if not self.step():
                    return
            else:
                self.clock.advance(max(0.0, due - self.clock.monotonic()))
        raise AssertionError(f"not settled after {steps} steps")

    def wake(self, name: str = "web") -> None:
        """As a provider does when something may have changed."""
        pod = self.pod(name)
        assert pod is not None
        self.provider.wake(pod["metadata"]["uid"])

    def box_name(self, name: str = "web") -> str:
        names = [box for box in self.provider.boxes if box.startswith(f"{name}-")]
        assert len(names) == 1, names
        return names[0]


def holds_finalizer(pod: dict[str, Any]) -> bool:
    return IDENTITY.finalizer in pod["metadata"].get("finalizers", [])
