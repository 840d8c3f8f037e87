"""What a test or a curious user can make happen in the simulated SaladCloud, and what it can tell about itself.

Every method in CONTROLS is also a route of the HTTP face. Groups are named by their name alone. Methods raise
ControlError when there is no such group, or no instance in a fitting state; nothing has changed then.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.salad_catalog import Offer
from virtual_kubelet_salad.sandbox.salad_lifecycle import Lifecycle
from virtual_kubelet_salad.sandbox.salad_logs import LogStore
from virtual_kubelet_salad.sandbox.salad_settings import SaladSettings
from virtual_kubelet_salad.sandbox.salad_traffic import Fault, Traffic
from virtual_kubelet_salad.sandbox.salad_world import Group, Replica, World, owner_field

CONTROLS = (
    "exit_container",
    "reallocate",
    "preempt",
    "node_offline",
    "liveness_failure",
    "fail_image",
    "stop_group",
    "start_group",
    "vanish",
    "freeze",
    "thaw",
    "set_ready",
    "write_line",
    "use",
    "out_of_credit",
    "outage",
    "fail_next",
    "clear_faults",
    "refuse_keys",
    "configure",
    "withdraw_gpu_class",
    "restore_gpu_class",
    "price_gpu_class",
    "pod_ended",
    "daemon_is",
)


KEPT_REQUESTS = 200


class ControlError(Exception):
    """The control cannot be carried out."""


class SaladControls:
    """The part of the model that is not behind the public API. Every method first lets happen what is due."""

    def __init__(self, clock: Clock, settings: SaladSettings, seed: int) -> None:
        self._world = World(clock, settings, seed)
        self._logs = LogStore(self._world)
        self._life = Lifecycle(self._world, self._logs)
        self._traffic = Traffic()
        self._offer = Offer()
        self._requests: dict[str, Any] = {}
        self._keys_are_refused = False
        self._duplicates: list[dict[str, Any]] = []
        self._foreign_deletions: list[str] = []

    @property
    def settings(self) -> SaladSettings:
        return self._world.settings

    # Time

    def advance(self) -> None:
        """Let everything that is due by now happen."""
        self._world.advance()

    def next_change(self) -> float | None:
        """The monotonic time (seconds) of the next thing that happens by itself, or None."""
        return self._world.next_change()

    # Containers and machines

    def exit_container(self, name: str, code: int = 0, *, out_of_memory: bool = False) -> None:
        """The running container of the group ends with this exit code."""
        group, replica = self._running(name)
        self._life.exited(group, replica, code, out_of_memory)

    def reallocate(self, name: str, reason: str = "Instance Reallocated by Platform") -> None:
        """The group's instance moves to another machine; `reason` is the name of the event."""
        self._interrupt(name, reason)

    def preempt(self, name: str) -> None:
        self._interrupt(name, "Instance Interrupted (Priority)")

    def node_offline(self, name: str, has_gap: bool = True) -> None:
        """The machine is lost. Without a gap, the next machine runs the container at once."""
        self._interrupt(name, "Instance Interrupted (Node Offline)", has_gap)

    def liveness_failure(self, name: str) -> None:
        self._interrupt(name, "Instance Interrupted (Liveness Probe Failure)")

    def _interrupt(self, name: str, event: str, has_gap: bool = True) -> None:
        group = self._group(name)
        replica = next((replica for replica in group.replicas if replica.state != "allocating"), None)
        if replica is None:
            raise ControlError(f"no instance of {name} has a machine")
        self._life.interrupt(group, replica, event, has_gap)

    def set_ready(self, name: str, is_ready: bool) -> None:
        self._life.set_ready(*self._running(name), is_ready)

    def write_line(self, name: str, text: str) -> None:
        """The container writes a line."""
        self._logs.output(*self._running(name), text)

    def use(self, name: str, cpu_cores: float, memory_mb: float) -> None:
        """The running container uses so much from now on."""
        _, replica = self._running(name)
        replica.load.change(self._world.now, cpu_cores, memory_mb)

    # Groups

    def fail_image(self, name: str, text: str = "The image could not be pulled: manifest unknown") -> None:
        """The preparation of the image fails with this description."""
        self._life.fail(self._group(name), text)

    def stop_group(self, name: str) -> None:
        """Somebody else stops the group."""
        self._life.stop(self._group(name))

    def start_group(self, name: str) -> None:
        """Somebody else starts the group."""
        group = self._group(name)
        if group.status != "stopped":
            raise ControlError(f"{name} is {group.status}")
        self._life.start(group)

    def vanish(self, name: str) -> None:
        """The group is gone, without a delete."""
        self._life.vanish(self._group(name))

    def freeze(self, name: str) -> None:
        """Nothing happens to the group by itself any more: endless preparation, allocation, download or creation."""
        self._group(name).is_held = True

    def thaw(self, name: str) -> None:
        """End of `freeze`; what should have happened meanwhile happens now."""
        self._world.release(self._group(name))

    # The service

    def out_of_credit(self, on: bool) -> None:
        """On: every group is stopped, and creates and starts are refused. Off: they are accepted again, and nothing
        starts by itself.
        """
        self._world.advance()
        self._world.is_out_of_credit = on
        if on:
            for group in list(self._world.groups.values()):
                if not group.is_deleting:
                    self._life.stop(group)

    def outage(self, kind: str | None) -> None:
        """Every request fails in this way, until None."""
        self._traffic.set_outage(kind)

    def fail_next(
        self,
        count: int = 1,
        kind: str = "503",
        applied: bool = False,
        operation: str | None = None,
        group: str | None = None,
    ) -> None:
        """The next requests fail (all, or those of one operation, or those about groups whose names begin so);
        `applied`: after each took effect.
        """
        self._traffic.add_fault(Fault(count, kind, applied, operation, group))

    def clear_faults(self, group: str | None = None) -> None:
        """No request fails any more (or none of those that were to fail for this very group)."""
        self._traffic.clear_faults(group)

    def refuse_keys(self, on: bool) -> None:
        """As after a rotation of the key: every request gets 401."""
        self._keys_are_refused = on

    def configure(self, **changes: Any) -> None:
        """Other values for settings, from now on."""
        self._world.advance()
        if "projects" in changes:
            changes["projects"] = tuple(changes["projects"])
        self._world.settings = dataclasses.replace(self._world.settings, **changes)
        self._world.forget_texts()

    def withdraw_gpu_class(self, name: str) -> None:
        """The class of this name or id is offered no more."""
        self._change_offer(self._offer.withdraw, name)

    def restore_gpu_class(self, name: str) -> None:
        self._change_offer(self._offer.restore, name)

    def price_gpu_class(self, name: str, dollars: float) -> None:
        """Another price per hour at high priority; the other priorities follow."""
        self._change_offer(self._offer.set_price, name, dollars)

    def _change_offer(self, change: Callable[..., None], name: str, *values: float) -> None:
        try:
            change(name, *values)
        except KeyError:
            raise ControlError(f"no GPU class {name!r}") from None

    # What the books need to know

    def pod_ended(self, uid: str) -> None:
        """The pod is finished, or being deleted, or gone: from now on nobody wants its group."""
        self._world.advance()
        groups = [group for group in self._world.groups.values() if group.owner_uid == uid]
        self._life.billing.pod_ended(uid, groups, self._world.now)

    def daemon_is(self, doing: str) -> None:
        """From now on the daemon that could delete groups is `away`, `starting` or `working`."""
        self._world.advance()
        self._life.billing.daemon_is(doing, self._world.now)

    def control(self, name: str, arguments: dict[str, Any]) -> None:
        """Carry out the control of this name. Raises ControlError when it is unknown, does not take these arguments,
        or cannot be carried out.
        """
        if name not in CONTROLS:
            raise ControlError(f"unknown control {name!r}; known: {', '.join(CONTROLS)}")
        try:
            getattr(self, name)(**arguments)
        except (TypeError, ValueError) as error:
            raise ControlError(f"{name}: {error}") from error

    # What it tells about itself

    def statistics(self) -> dict[str, Any]:
        """Numbers and lists to assert on; JSON. Seconds and runs know groups that are gone, too, see `salad_billing`.
        """
        self._world.advance()
        world, now = self._world, self._world.now
        return {
            **self._traffic.statistics(now),
            "groups": len(world.groups),
            "groups_by_status": dict(collections.Counter(group.status for group in world.groups.values())),
            "running_instances": sum(world.counts(group)["running_count"] for group in world.groups.values()),
            "duplicates": list(self._duplicates),
            "foreign_deletions": list(self._foreign_deletions),
            **self._life.billing.statistics(list(world.groups.values()), now),
        }

    def overview(self) -> list[dict[str, Any]]:
        """One line per group that exists, with its instances."""
        self._world.advance()
        return [
            {
                "name": group.name,
                "project": group.project,
                "status": group.status,
                "description": group.description,
                "owner_uid": group.owner_uid,
                "owner_namespace": owner_field(group.environment, "namespace"),
                "is_deleting": group.is_deleting,
                "is_frozen": group.is_held,
                "version": group.version,
                "runs": group.runs,
                "image": group.spec["container"]["image"],
                "instances": [
                    {key: getattr(replica, key) for key in ("instance_id", "machine_id", "state", "ready", "started")}
                    for replica in [*group.replicas, *group.leaving]
                ],
            }
            for group in self._world.groups.values()
        ]

    def requests(self) -> dict[str, Any]:
        """The bodies of the latest creates that were accepted, by the group's name: also what no answer ever shows."""
        return dict(self._requests)

    def _note_request(self, body: Any) -> None:
        self._requests[body["name"]] = body
        if len(self._requests) > KEPT_REQUESTS:
            del self._requests[next(iter(self._requests))]

    def _group(self, name: str) -> Group:
        self._world.advance()
        group = self._world.find(name)
        if group is None or group.is_deleting:
            raise ControlError(f"no group {name}")
        return group

    def _running(self, name: str) -> tuple[Group, Replica]:
        group = self._group(name)
        for replica in group.replicas:
            if replica.state == "running":
                return group, replica
        raise ControlError(f"no instance of {name} is running")

    def _note_owner(self, group: Group) -> None:
        """A group's owner record was written: two groups of one pod must not exist at the same time."""
        if group.owner_uid is None:
            return
        self._life.billing.owned(group)
        same = [other.name for other in self._world.groups.values() if other.owner_uid == group.owner_uid]
        if len(same) > 1:
            self._duplicates.append({"uid": group.owner_uid, "groups": same})
