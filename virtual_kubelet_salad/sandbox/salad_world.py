"""What exists in the simulated SaladCloud: container groups, their replicas, and how both look in an answer.

Only state and its appearance; what happens to it is in `salad_lifecycle`. Times are seconds on the model's monotonic
clock; `World.wall` turns them into what goes on the wire. The text of a group's answer is kept until something
changes, because lists are asked for far more often than groups change.
"""

from __future__ import annotations

import dataclasses
import datetime
import heapq
import itertools
import json
import random
import uuid
from collections.abc import Callable
from typing import Any

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.salad_script import Script
from virtual_kubelet_salad.sandbox.salad_settings import SaladSettings
from virtual_kubelet_salad.sandbox.salad_usage import Load, usage

OWNER_VARIABLE = "SALAD_VK_OWNER"


@dataclasses.dataclass(slots=True, eq=False)
class Replica:
    """One of the copies of a container that a group wants. `state` "stopping" and "allocating" are also shown when no
    instance row is.
    """

    state: str = "allocating"
    instance_id: str = ""
    machine_id: str = ""
    version: int = 1
    changed_at: float = 0.0
    ready: bool = False
    started: bool = False
    deletion_cost: int = 0
    failures_on_machine: int = 0
    run_since: float | None = None  # None: not billed
    download_ends_at: float = 0.0
    load: Load = dataclasses.field(default_factory=Load)
    token: int = 0  # a scheduled step belongs to the token it was scheduled with; a new token drops it


@dataclasses.dataclass(slots=True, eq=False)
class Group:
    """One container group, from the accepted create until it is gone. `spec` has the form of an answer, without the
    parts that change by themselves.
    """

    identifier: str
    project: str
    name: str
    spec: dict[str, Any]
    script: Script
    created_at: float
    updated_at: float
    status: str = "pending"
    description: str | None = None
    autostart: bool = True
    pending_change: bool = False
    version: int = 1
    started_at: float = 0.0
    finished_at: float = 0.0
    has_dns: bool = False
    is_listed: bool = True
    is_starting: bool = False
    is_deleting: bool = False
    is_held: bool = False
    has_credentials: bool = False
    owner_uid: str | None = None
    replicas: list[Replica] = dataclasses.field(default_factory=list)
    leaving: list[Replica] = dataclasses.field(default_factory=list)  # stopping, but still there
    held_timers: list[Timer] = dataclasses.field(default_factory=list)
    token: int = 0
    runs: int = 0
    text: str | None = None

    @property
    def wanted_replicas(self) -> int:
        return int(self.spec["replicas"])

    @property
    def environment(self) -> dict[str, str]:
        variables: dict[str, str] = self.spec["container"]["environment_variables"]
        return variables


@dataclasses.dataclass(frozen=True, slots=True)
class Timer:
    """A step that is due at a time, unless its holder has another token by then. No holder: it is taken in any case."""

    group: Group
    holder: Group | Replica | None
    token: int
    step: Callable[..., None]
    arguments: tuple[Any, ...]

    @property
    def is_void(self) -> bool:
        return self.holder is not None and self.token != self.holder.token


class World:
    """All groups by project and name, the heap of due steps, and the caches of texts."""

    def __init__(self, clock: Clock, settings: SaladSettings, seed: int) -> None:
        self.clock = clock
        self.settings = settings
        self.random = random.Random(seed)
        self.groups: dict[tuple[str, str], Group] = {}
        self.used_names: set[tuple[str, str]] = set()
        self.is_out_of_credit = False
        self.now = clock.monotonic()  # the time of the step that happens now
        self._wall_offset = clock.now().timestamp() - self.now
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._list_texts: dict[str, str] = {}

    # Time

    def wall(self, monotonic: float) -> str:
        """What the API writes for a time of the model's clock."""
        return rfc3339(self.epoch(monotonic))

    def epoch(self, monotonic: float) -> float:
        return monotonic + self._wall_offset

    def around(self, seconds: float) -> float:
        """A duration with the profile's jitter."""
        jitter = self.settings.jitter
        return seconds * self.random.uniform(1 - jitter, 1 + jitter) if jitter else seconds

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    # Steps

    def later(
        self, delay: float, group: Group, holder: Group | Replica | None, step: Callable[..., None], *arguments: Any
    ) -> None:
        """Take `step(*arguments)` after `delay` seconds, unless the token of `holder` changes before."""
        timer = Timer(group, holder, holder.token if holder is not None else 0, step, arguments)
        heapq.heappush(self._timers, (self.now + delay, next(self._order), timer))

    def advance(self) -> None:
        """Take every step that is due by now, each at its own time and in order."""
        now = self.clock.monotonic()
        timers = self._timers
        while timers and timers[0][0] <= now:
            due, _, timer = heapq.heappop(timers)
            if timer.is_void:
                continue
            self.now = max(self.now, due)
            if timer.group.is_held:
                timer.group.held_timers.append(timer)
            else:
                timer.step(*timer.arguments)
        self.now = max(self.now, now)

    def release(self, group: Group) -> None:
        """Let a held group go on; the steps that became due meanwhile are taken now."""
        group.is_held = False
        timers, group.held_timers = group.held_timers, []
        for timer in timers:
            if not timer.is_void:
                timer.step(*timer.arguments)

    def next_change(self) -> float | None:
        """The monotonic time of the next step, or None when nothing will happen by itself."""
        while self._timers and self._timers[0][2].is_void:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    # Groups and their appearance

    def find(self, name: str, project: str | None = None) -> Group | None:
        if project is not None:
            return self.groups.get((project, name))
        return next((group for (_, known), group in self.groups.items() if known == name), None)

    def changed(self, group: Group) -> None:
        """The texts that show this group are out of date."""
        group.text = None
        self._list_texts.pop(group.project, None)

    def forget_texts(self) -> None:
        """A setting that shapes answers has changed."""
        self._list_texts.clear()
        for group in self.groups.values():
            group.text = None

    def list_text(self, project: str) -> str:
        text = self._list_texts.get(project)
        if text is None:
            shown = [group for (where, _), group in self.groups.items() if where == project and group.is_listed]
            text = (
                '{"items":[' + ",".join([self.group_text(group) for group in shown[: self.settings.list_limit]]) + "]}"
            )
            self._list_texts[project] = text
        return text

    def group_text(self, group: Group) -> str:
        if group.text is None:
            group.text = json.dumps(self.group_answer(group), separators=(",", ":"))
        return group.text

    def counts(self, group: Group) -> dict[str, int]:
        states = [replica.state for replica in group.replicas]
        return {
            "allocating_count": states.count("allocating"),
            # There is no count of downloads: the live service counts them with those that are being created.
            "creating_count": states.count("creating") + states.count("downloading"),
            "running_count": states.count("running"),
            "stopping_count": len(group.leaving),
        }

    def group_answer(self, group: Group) -> dict[str, Any]:
        answer = {
            **group.spec,
            "id": group.identifier,
            "name": group.name,
            "organization_name": self.settings.organization,
            "project_name": group.project,
            "autostart_policy": group.autostart,
            "pending_change": group.pending_change,
            "version": group.version,
            "create_time": self.wall(group.created_at),
            "update_time": self.wall(group.updated_at),
            "current_state": {
                "status": group.status,
                "description": group.description,
                "start_time": self.wall(group.started_at),
                "finish_time": self.wall(group.finished_at),
                "instance_status_counts": self.counts(group),
            },
        }
        if "networking" in answer and not group.has_dns:
            answer["networking"] = {key: value for key, value in answer["networking"].items() if key != "dns"}
        return answer

    def rows(self, group: Group) -> list[Replica]:
        """The replicas that have an instance row."""
        shown = [
            replica
            for replica in group.replicas
            if replica.state != "allocating" or self.settings.rows_while_allocating
        ]
        return shown + group.leaving

    def instance_answer(self, replica: Replica) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "id": replica.instance_id,
            "machine_id": replica.machine_id,
            "state": replica.state,
            "update_time": self.wall(replica.changed_at),
            "version": replica.version,
            "ready": replica.ready,
            "started": replica.started,
            "deletion_cost": replica.deletion_cost,
        }
        if replica.state == "downloading":
            done = 1.0 - (replica.download_ends_at - self.now) / max(
                replica.download_ends_at - replica.changed_at, 1e-9
            )
            done = min(max(done, 0.0), 0.999)
            answer["pulling_progress"] = round(done if self.settings.progress_is_a_fraction else 100 * done, 4)
        if replica.state == "running":
            period = self.settings.usage_period
            answer.update(usage(replica.load, replica.instance_id, replica.changed_at, self.now, period))
        return answer


def rfc3339(epoch_seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(epoch_seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def owner_uid(environment: dict[str, str]) -> str | None:
    """The pod UID in a group's owner record, or None when there is no record that can be read."""
    return owner_field(environment, "uid")


def owner_field(environment: dict[str, str], field: str) -> str | None:
    """A text in a group's owner record, or None when there is no record that can be read, or no such text in it."""
    try:
        record = json.loads(environment.get(OWNER_VARIABLE, ""))
    except ValueError:
        return None
    value = record.get(field) if isinstance(record, dict) else None
    return value if isinstance(value, str) else None
