"""One world for the explorer: the models of the API server and of SaladCloud, and the daemon's real objects between.

Everything runs in one thread under a fake clock. Whatever reaches SaladCloud or changes a pod is judged on the spot;
`check` judges what must hold between any two steps.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.explorer.rules import Violation, may_delete, phase_may_follow
from tests.support.clock import FakeClock
from tests.support.cloud_transport import CloudSettings, CloudTransport
from tests.support.model_transport import ModelTransport
from virtual_kubelet_salad import daemon, errors
from virtual_kubelet_salad.kube.client import ApiServer
from virtual_kubelet_salad.kube.events import EventRecorder
from virtual_kubelet_salad.kubelet.node import NodeSettings
from virtual_kubelet_salad.kubelet.provider import Owner
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.runtime.threads import Loop
from virtual_kubelet_salad.saladcloud import owner
from virtual_kubelet_salad.saladcloud.provider import assemble
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST
from virtual_kubelet_salad.sandbox.salad_wire import ConnectionDropped, Request

NODE = "virtual"
CLUSTER = "cluster"
FINALIZER = "salad.com/container-group"
ATTEMPT = "salad.com/attempt"
CANARY = "canary-7f3b"
FOREIGN_GROUPS = 3
HEADERS = {"Salad-Api-Key": "k", "User-Agent": "explorer", "Content-Type": "application/json"}
GROUPS = "/organizations/sandbox/projects/default/containers"


class Killed(BaseException):
    """The daemon process dies at this very moment."""


class World:
    """Models, daemon and judgement. `boot` starts a new daemon process that knows nothing of the old one."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.clock = FakeClock()
        self.api_model = ApiServerModel(self.clock, seed=seed)
        self.cloud = SaladCloudModel(self.clock, FAST, seed)
        self.api_transport = ModelTransport(self.api_model)
        self.api_transport.before = self._before_api
        self.api_transport.after = self._after_api
        self.cloud_transport = CloudTransport(self.cloud)
        self.cloud_transport.before = self._before_cloud
        self.cloud_transport.after = self._after_cloud
        self.fate: Callable[[bool], None] | None = None
        """What happens to the next call, before (False) or after (True) it is applied; consumed when it acts."""
        self.boots = 0
        self.late_creates: list[tuple[float, object]] = []
        """Creates that SaladCloud has received and will carry out later: when (monotonic), and the request's body."""
        self.next_create_is_late_by: float | None = None
        self.false_absence_at = float("-inf")
        """When SaladCloud last denied a group that exists; it does so now and then, but not twice within minutes."""
        self.edited: set[str] = set()
        """UIDs of pods whose claim was edited by their author."""
        self._phases: dict[str, str] = {}
        self._create_secret()
        self.foreign = [self._create_foreign_group(number) for number in range(FOREIGN_GROUPS)]
        self.boot()

    # -- the daemon process -------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """A new process: empty memory, cache from a list."""
        self.boots += 1
        api = ApiServer(self.api_transport, clock=self.clock)
        metrics = Metrics.in_new_registry()
        budget = Budget(self.clock, 240)
        provider = assemble(self.cloud_transport, budget, CloudSettings(nodename=NODE), CLUSTER, self.clock, metrics)
        settings = daemon.Settings(NodeSettings(NODE, "192.0.2.7", 10250, None, "v1.36.3"), CLUSTER, workers=1)
        recorder = EventRecorder(api, self.clock, "virtual-kubelet-salad", NODE)
        self.daemon = daemon.build(
            settings,
            api=api,
            lease_api=api,
            provider=provider,
            recorder=recorder,
            clock=self.clock,
            metrics=metrics,
            jitter=random.Random(self.seed + self.boots),
        )
        self.loops: dict[str, Loop] = {
            loop.name: loop for loop in self.daemon.loops if not loop.name.startswith("worker")
        }
        self._undelivered: list[dict[str, Any]] = []
        self._relist()

    def _relist(self) -> None:
        answer = self.api_model.handle("GET", "/api/v1/pods", {"fieldSelector": f"spec.nodeName={NODE}"})
        listed = {pod["metadata"]["uid"] for pod in answer.body["items"]}
        for known in self.daemon.cache.all():
            if known["metadata"]["uid"] not in listed:
                self.daemon.cache.apply("DELETED", dict(known))
        for pod in answer.body["items"]:
            self.daemon.cache.apply("ADDED", pod)
        self._version = int(answer.body["metadata"]["resourceVersion"])
        self.daemon.cache.has_synced.set()
        self.daemon.cache.mark_fresh()

    def deliver(self, most: int = 1_000_000) -> int:
        """Gives the cache up to so many watch events; returns how many there were to give."""
        if not self._undelivered:
            version = self.api_model.version
            events = self.api_model.events_after("pods", self._version, field_selector=f"spec.nodeName={NODE}")
            if events and events[0]["type"] == "ERROR":
                self._relist()
                return 1
            self._undelivered, self._version = events, version
        given, self._undelivered = self._undelivered[:most], self._undelivered[most:]
        for event in given:
            self.daemon.cache.apply(event["type"], event["object"])
        self.daemon.cache.mark_fresh()
        return len(given)

    def run(self, step: Callable[[], object]) -> None:
        """One step of the daemon; a death on the way is followed by a new process."""
        try:
            step()
        except Killed:
            self.fate = None
            self.boot()

    # -- judgement ----------------------------------------------------------------------------------------------------

    def carry_out_late_creates(self) -> None:
        """Timeouts are not refusals: what was received takes effect, in the end."""
        due = [body for at, body in self.late_creates if at <= self.clock.monotonic()]
        self.late_creates = [(at, body) for at, body in self.late_creates if at > self.clock.monotonic()]
        for body in due:
            with contextlib.suppress(ConnectionDropped):  # a fault was waiting for the next request
                self.cloud.handle(Request("POST", GROUPS, HEADERS, body))

    def check(self) -> None:
        """What must hold between any two steps."""
        self.carry_out_late_creates()
        duplicates = self.cloud._duplicates
        if duplicates:
            raise Violation("I1", f"two groups for one pod: {duplicates[0]}")
        if self.cloud._traffic.violation_count:
            raise Violation("schema", str(self.cloud._traffic.violations[:1]))
        groups = self.cloud._world.groups
        present = {group.name for group in groups.values()}
        for name in self.foreign:
            if name not in present:
                raise Violation("I2", f"the foreign group {name} was deleted")
        pods = {pod["metadata"]["uid"]: pod for pod in self.api_model.all_of("pods")}
        for group in groups.values():
            if group.name in self.foreign or group.is_deleting:
                continue
            pod = pods.get(group.owner_uid or "")
            if pod is None:
                raise Violation("I4", f"{group.name} is billed and its pod is gone")
            if FINALIZER not in pod["metadata"].get("finalizers", []):
                raise Violation("I4", f"{group.name} is billed and its pod has no finalizer")

    def _before_cloud(self, method: str, path: str, body: object) -> None:
        self._meet_fate(False)
        name = path.removeprefix(GROUPS).strip("/")
        if method == "DELETE":
            self._judge_delete(name)
        elif method == "POST" and path == GROUPS:
            self._judge_create(body)
            if self.next_create_is_late_by is not None:
                self.late_creates.append((self.clock.monotonic() + self.next_create_is_late_by, body))
                self.next_create_is_late_by = None
                raise lost(True)

    def _after_cloud(self, method: str, path: str, body: object) -> None:
        self._meet_fate(True)

    def _judge_create(self, body: Any) -> None:
        record = owner.decode(body["container"]["environment_variables"][owner.SALAD_VK_OWNER])
        assert record is not None
        pod = self._pod(record.uid)
        if pod is None or FINALIZER not in pod["metadata"].get("finalizers", []):
            raise Violation("I4", f"create of {body['name']} without a claim")
        if record.uid not in self.edited and pod["metadata"]["annotations"].get(ATTEMPT) != str(record.attempt):
            raise Violation(
                "I1", f"create of attempt {record.attempt}, but {pod['metadata']['annotations']} is claimed"
            )

    def _judge_delete(self, name: str) -> None:
        group = next((group for group in self.cloud._world.groups.values() if group.name == name), None)
        if group is None:
            return
        if name in self.foreign or group.owner_uid is None:
            raise Violation("I2", f"delete of the foreign group {name}")
        pod = self._pod(group.owner_uid)
        if pod is not None and not may_delete(pod, group.status):
            raise Violation("I2", f"delete of {name} though its pod runs: {pod['status'].get('phase')}")

    def _before_api(self, method: str, path: str) -> None:
        self._meet_fate(False)

    def _after_api(self, method: str, path: str) -> None:
        if method == "PATCH" and "/pods/" in path:
            self._judge_pods()
        self._meet_fate(True)

    def _judge_pods(self) -> None:
        for pod in self.api_model.all_of("pods"):
            uid, phase = pod["metadata"]["uid"], pod["status"].get("phase", "Pending")
            before = self._phases.get(uid, "Pending")
            if not phase_may_follow(before, phase):
                raise Violation("phase", f"{before} → {phase} of {pod['metadata']['name']}")
            if phase == "Failed" != before and pod["status"].get("reason") == "ContainerGroupNotFound":
                alive = [group for group in self.cloud._world.groups.values() if group.owner_uid == uid]
                if any(not group.is_deleting for group in alive):
                    raise Violation("I3", f"{pod['metadata']['name']} failed as not found, but its group exists")
            self._phases[uid] = phase
            if CANARY in json.dumps([pod["status"], pod["metadata"].get("annotations")]):
                raise Violation("I7", f"a secret value stands on {pod['metadata']['name']}")

    def _meet_fate(self, applied: bool) -> None:
        if self.fate is not None:
            self.fate(applied)

    def _pod(self, uid: str) -> Mapping[str, Any] | None:
        return next((pod for pod in self.api_model.all_of("pods") if pod["metadata"]["uid"] == uid), None)

    # -- what was there before us -------------------------------------------------------------------------------------

    def _create_secret(self) -> None:
        secret = {"metadata": {"name": "token"}, "stringData": {"value": CANARY}}
        assert self.api_model.handle("POST", "/api/v1/namespaces/default/secrets", {}, secret).status == 201

    def _create_foreign_group(self, number: int) -> str:
        name = f"somebody-elses-{number}"
        container: dict[str, Any] = {"image": "theirs", "resources": {"cpu": 1, "memory": 1024}}
        if number == 1:
            others = Owner("another", NODE, "default", "theirs", "uid-of-theirs", 0, "")
            container["environment_variables"] = {owner.SALAD_VK_OWNER: owner.encode(others)}
        body = {
            "name": name,
            "autostart_policy": True,
            "replicas": 1,
            "restart_policy": "always",
            "container": container,
        }
        answer = self.cloud.handle(Request("POST", GROUPS, HEADERS, body))
        assert answer.status == 201, answer.text
        return name


def lost(applied: bool) -> errors.CouldNotAsk:
    return errors.CouldNotAsk("the connection was cut", may_be_applied=applied)
