"""A second provider, as small as can be: a cloud that is a dictionary. It proves that the kubelet knows no other."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kubelet.provider import (
    Capacity,
    Identity,
    Inputs,
    Notice,
    Owner,
    Plan,
    Pod,
    Reachability,
    Run,
    RunReference,
    Sighting,
    Snapshot,
    State,
    Workload,
)
from virtual_kubelet_salad.kubelet.provider_insight import LogLine, LogQuestion, Usage
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.threads import Loop

IDENTITY = Identity(
    name="memory",
    finalizer="memory.example/box",
    claim_annotation="memory.example/box",
    attempt_annotation="memory.example/attempt",
    ignore_annotation="memory.example/ignore-unsupported",
    interruption_annotation="memory.example/on-interruption",
    place_annotation="memory.example/place",
    reachable_condition="MemoryReachable",
    misplaced_reason="PlaceMismatch",
    container_id_scheme="memory",
    workload_noun="box",
    not_found_reason="BoxNotFound",
    stopped_by_cloud_reason="OutOfCredit",
    address_annotation="memory.example/address",
    machine_annotation="memory.example/machine",
    settled_annotations=frozenset({"memory.example/color", "memory.example/size"}),
)


@dataclasses.dataclass
class Box:
    """One workload of this cloud."""

    owner: Owner | None
    workload: Workload
    image: str = ""


class InMemoryLog:
    """Implements `kubelet.provider_insight.LogStream`: the lines of one run, one by one."""

    def __init__(
        self,
        question: LogQuestion,
        written: dict[str, list[LogLine]],
        fail: Callable[[str, str, bool], None] = lambda call, name, applied: None,
    ) -> None:
        self.question = question
        self.is_ended = False
        self.is_abandoned = False
        self.is_closed = False
        self._written = written
        self._fail = fail
        self._shown: int | None = None

    def read(self) -> Sequence[LogLine] | None:
        assert not self.is_closed, "nobody reads a closed stream"
        self._fail("logs", self.question.names[-1], False)
        lines = self._written.get(self.question.container_id, [])
        if self._shown is None:
            self._shown = 0 if self.question.tail is None else max(0, len(lines) - self.question.tail)
        if self._shown < len(lines):
            self._shown += 1
            return [lines[self._shown - 1]]
        return [] if self.question.follows and not self.is_ended else None

    def end(self) -> None:
        self.is_ended = True

    def abandon(self) -> None:
        self.is_abandoned = True

    def close(self) -> None:
        self.is_closed = True


class InMemoryProvider:
    """Implements `kubelet.provider.Provider`. `boxes` is the whole cloud; `calls` is what was asked of it."""

    identity = IDENTITY

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.boxes: dict[str, Box] = {}
        self.used_names: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.refused: list[Notice] = []
        self.secrets: tuple[str, ...] = ()
        self.fail: Callable[[str, str, bool], None] = lambda call, name, applied: None
        """Called before and after each call (`applied` tells which); what it raises is what the kubelet sees."""
        self.snapshot_number = 0
        self.is_complete = True
        self.list_limit: int | None = None
        self.unlisted: set[str] = set()
        self.reachable = True
        self.place = "here"
        self.written: dict[str, list[LogLine]] = {}
        """What each run wrote, by container id."""
        self.streams: list[InMemoryLog] = []
        self.used: dict[str, Usage] = {}
        """What was measured, by name."""

    # -- what a test does to the cloud --------------------------------------------------------------------------------

    def run(self, name: str, *, ready: bool = True, instance: str = "1") -> None:
        run = Run(f"memory://{instance}", self.clock.now().replace(microsecond=0), ready, True)
        self.change(name, state=State.RUNNING, reason="", message="", run=run, is_running=True)

    def change(self, name: str, **changes: object) -> None:
        box = self.boxes[name]
        box.workload = dataclasses.replace(box.workload, **changes)  # type: ignore[arg-type]

    def count(self, call: str) -> int:
        return sum(made == call for made, _ in self.calls)

    # -- Provider -----------------------------------------------------------------------------------------------------

    def workload_name(self, cluster_id: str, pod_name: str, uid: str, attempt: int) -> str:
        return f"{pod_name}-{hashlib.sha256(f'{cluster_id}/{uid}/{attempt}'.encode()).hexdigest()[:12]}"

    def location(self, name: str) -> str:
        return f"{self.place}/{name}"

    def name_at(self, location: str) -> str | None:
        place, slash, name = location.partition("/")
        if not slash or not name:
            raise ValueError("no location")
        return name if place == self.place else None

    def refusals(self, pod: Pod) -> list[Notice]:
        return self.refused

    def wanted_secrets(self, pod: Pod) -> tuple[str, ...]:
        return self.secrets

    def plan(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        name = self.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt)
        image = pod["spec"]["containers"][0]["image"]
        request = {"name": name, "image": image, "environment": dict(inputs.environment), "owner": owner}
        return Plan(request)

    def plan_update(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        return self.plan(pod, inputs, owner)

    def create(self, plan: Plan, owner: Owner) -> None:
        name = plan.request["name"]
        self._begin("create", name)
        if name in self.used_names:
            raise errors.Conflict("the name is taken")
        self.used_names.add(name)
        workload = Workload(name, owner, State.STARTING, reason="Allocating")
        self.boxes[name] = Box(owner, workload, plan.request["image"])
        self.fail("create", name, True)

    def update(self, name: str, plan: Plan) -> None:
        self._begin("update", name)
        box = self._box(name)
        box.image = plan.request["image"]
        box.owner = plan.request["owner"]
        box.workload = dataclasses.replace(box.workload, owner=box.owner)
        self.fail("update", name, True)

    def start(self, name: str) -> None:
        self._begin("start", name)
        self._box(name)
        self.change(name, state=State.STARTING, reason="Allocating")
        self.fail("start", name, True)

    def delete(self, name: str) -> None:
        self._begin("delete", name)
        self._box(name)
        del self.boxes[name]
        self.fail("delete", name, True)

    def exists(self, name: str, *, confirms: bool = False) -> Owner | bool:
        self._begin("exists", name)
        return (self.boxes[name].owner or True) if name in self.boxes else False

    def observe(self, name: str, remembered: RunReference | None) -> Workload | None:
        self._begin("observe", name)
        return self.boxes[name].workload if name in self.boxes else None

    def forget(self, name: str) -> None:
        self.calls.append(("forget", name))

    def snapshot(self) -> Snapshot | None:
        self.snapshot_number += 1
        shown = list(self.boxes.items())[: self.list_limit]
        sightings = tuple(Sighting(name, box.owner) for name, box in shown if name not in self.unlisted)
        return Snapshot(self.snapshot_number, self.clock.monotonic(), self.is_complete, sightings)

    def refresh(self) -> Snapshot:
        """A live list, for who runs no loops."""
        self._begin("list", "")
        snapshot = self.snapshot()
        assert snapshot is not None
        return snapshot

    def newest_attempt(self, uid: str) -> int | None:
        attempts = [box.owner.attempt for box in self.boxes.values() if box.owner is not None and box.owner.uid == uid]
        return max(attempts, default=None)

    def capacity(self) -> Capacity | None:
        return Capacity(100, len(self.boxes), {"cpu": 16, "memory": 2**36, "ephemeral-storage": 2**38})

    def reachability(self) -> Reachability:
        return Reachability(self.reachable, 0.0, "Reachable" if self.reachable else "Outage", "said by the test")

    def logs(self, question: LogQuestion) -> InMemoryLog:
        self.streams.append(InMemoryLog(question, self.written, self.fail))
        return self.streams[-1]

    def usage(self, name: str) -> Usage | None:
        return self.used.get(name)

    def loops(self) -> Sequence[Loop]:
        return ()

    def on_change(self, wake: Callable[[str], None]) -> None:
        self.wake = wake

    def on_recovery(self, wake_all: Callable[[], None]) -> None:
        self.recover = wake_all

    # -----------------------------------------------------------------------------------------------------------------

    def _begin(self, call: str, name: str) -> None:
        self.calls.append((call, name))
        self.fail(call, name, False)

    def _box(self, name: str) -> Box:
        if name not in self.boxes:
            raise errors.NotFound("no such box")
        return self.boxes[name]
