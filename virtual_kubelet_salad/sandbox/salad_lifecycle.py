"""The state machine of container groups and their replicas: each step changes the state, writes its event and
schedules the next step.

    group    pending ─▶ (failed | stopped | deploying ─▶ running) ─▶ stopped ─▶ deploying …
             and gone, some time after a delete
    replica  allocating ─▶ downloading ─▶ creating ─▶ running ─▶ creating (the same machine, after every exit)
                                                              or allocating (another machine)

As on the live service a container is restarted after *every* exit, whatever the restart policy; only stopping,
deleting or scaling the group ends it. No waiting, no thread: `World.advance` takes the steps that are due. Callers
must have called it before they call anything here.
"""

from __future__ import annotations

import hashlib

from virtual_kubelet_salad.sandbox.salad_billing import Billing
from virtual_kubelet_salad.sandbox.salad_logs import LogStore
from virtual_kubelet_salad.sandbox.salad_world import Group, Replica, World

NO_MACHINE = "00000000-0000-0000-0000-000000000000"
IMAGE_BYTES = 123_456_789


class Lifecycle:
    """What happens to groups, by itself and on request."""

    def __init__(self, world: World, logs: LogStore) -> None:
        self._world = world
        self._logs = logs
        self.billing = Billing()

    # Groups

    def begin(self, group: Group) -> None:
        """A create was accepted."""
        world = self._world
        self.billing.of(group)
        self._prepare(group)
        if world.settings.stale_list:
            group.is_listed = False
            world.later(world.settings.stale_list, group, None, self._listed, group)
        if "networking" in group.spec:
            world.later(world.settings.dns_delay, group, None, self._named, group)

    def _prepare(self, group: Group) -> None:
        """The image is fetched and stored."""
        world = self._world
        group.status, group.description = "pending", "Preparing the container image"
        world.later(world.around(world.settings.preparation), group, group, self._prepared, group)
        world.changed(group)

    def _listed(self, group: Group) -> None:
        group.is_listed = True
        self._world.changed(group)

    def _named(self, group: Group) -> None:
        group.has_dns = True
        self._world.changed(group)

    def _prepared(self, group: Group) -> None:
        if group.script.image_failure is not None:
            self.fail(group, group.script.image_failure)
            return
        self._store_image(group)
        group.status, group.description = "stopped", None
        self._world.changed(group)
        if group.autostart and self._world.settings.autostart_works and not self._world.is_out_of_credit:
            group.is_starting = True
            self._deploy(group)

    def _store_image(self, group: Group) -> None:
        container = group.spec["container"]
        container["hash"] = "sha256:" + hashlib.sha256(container["image"].encode()).hexdigest()
        container["size"] = IMAGE_BYTES

    def fail(self, group: Group, text: str) -> None:
        """The image cannot be used. Only this makes a group `failed`."""
        self._clear(group)
        group.status, group.description, group.pending_change = "failed", text[:1000], False
        group.finished_at = self._world.now
        self._world.changed(group)

    def start(self, group: Group) -> None:
        """A start was accepted."""
        group.is_starting = True
        if self._world.settings.stale_start:
            self._world.later(self._world.settings.stale_start, group, group, self._deploy, group)
        else:
            self._deploy(group)

    def _deploy(self, group: Group) -> None:
        if not group.is_starting:
            return
        group.is_starting = group.autostart = False
        group.status = "deploying"
        group.started_at = self._world.now
        self._logs.group_event(group, "Container Group Started")
        self.fill(group)

    def stop(self, group: Group) -> None:
        """`stopped` at once; containers that run go on for a while."""
        group.is_starting = group.autostart = False
        if group.status not in ("deploying", "running"):
            self._world.changed(group)
            return
        self._clear(group)
        group.status, group.pending_change = "stopped", False
        group.finished_at = self._world.now
        self._logs.group_event(group, "Container Group Stopped")
        self._world.changed(group)

    def delete(self, group: Group) -> None:
        """Accepted; the group is gone a little later."""
        if group.is_deleting:
            return
        self._clear(group)
        self.billing.deleted(group, self._world.now)
        group.is_deleting = True
        world = self._world
        world.later(world.around(world.settings.deletion), group, group, self.vanish, group)
        world.changed(group)

    def vanish(self, group: Group) -> None:
        """The group does not exist any more."""
        world = self._world
        self._clear(group)
        for replica in group.leaving:
            replica.token += 1
        group.is_deleting = True
        world.changed(group)
        del world.groups[group.project, group.name]
        if not world.settings.names_are_single_use:
            world.used_names.discard((group.project, group.name))
        self._logs.forget_group(group)

    def _clear(self, group: Group) -> None:
        """Nothing that was scheduled for the group happens any more, and its replicas leave."""
        group.token += 1
        group.is_held, group.held_timers = False, []
        for replica in group.replicas:
            self._leave(group, replica)
        group.replicas.clear()

    def fill(self, group: Group) -> None:
        """As many replicas as the group wants, if it is started."""
        if group.status in ("deploying", "running") and not group.is_deleting:
            while len(group.replicas) > group.wanted_replicas:
                cheapest = min(group.replicas, key=lambda replica: replica.deletion_cost)
                group.replicas.remove(cheapest)
                self._leave(group, cheapest)
            while len(group.replicas) < group.wanted_replicas:
                replica = Replica(version=group.version)
                group.replicas.append(replica)
                self._allocate(group, replica)
        self._world.changed(group)

    def update(self, group: Group, has_new_image: bool) -> None:
        """A versioned change was accepted; it reaches the containers later."""
        world = self._world
        group.version += 1
        if group.status == "failed" and has_new_image:
            self._prepare(group)
            return
        group.pending_change = True
        delay = world.settings.preparation if has_new_image else world.settings.update
        world.later(world.around(delay), group, group, self._updated, group, has_new_image)
        world.changed(group)

    def _updated(self, group: Group, has_new_image: bool) -> None:
        if group.script.image_failure is not None:
            self.fail(group, group.script.image_failure)
            return
        group.pending_change = False
        if has_new_image:
            self._store_image(group)
        self._logs.group_event(group, f"Container Group Updated (Version {group.version})")
        for replica in group.replicas:
            replica.version, replica.failures_on_machine = group.version, 0
            if replica.state == "allocating":
                continue
            if self._world.settings.update_moves_instance:
                self._allocate(group, replica)
            elif has_new_image:
                self._renew_id(replica)
                self._download(group, replica)
            else:
                self._restart(group, replica)
        self._world.changed(group)

    # Replicas

    def _state(self, group: Group, replica: Replica, state: str) -> None:
        """Enter a state; what was scheduled for the former one is void."""
        now = self._world.now
        if replica.run_since is not None and state != "running":
            self.billing.ran(group, replica.run_since, now)
            replica.run_since = None
        replica.token += 1
        replica.state = state
        replica.changed_at = now
        if state != "running":
            replica.ready = replica.started = False
        self._world.changed(group)

    def _leave(self, group: Group, replica: Replica) -> None:
        is_alive = replica.state == "running"
        self._state(group, replica, "stopping")
        if is_alive:
            settings = self._world.settings
            group.leaving.append(replica)
            self._world.later(
                self._world.random.uniform(settings.shutdown_min, settings.shutdown_max),
                group,
                replica,
                self._left,
                group,
                replica,
            )

    def _left(self, group: Group, replica: Replica) -> None:
        replica.token += 1
        group.leaving.remove(replica)
        self._world.changed(group)

    def _allocate(self, group: Group, replica: Replica) -> None:
        world = self._world
        self._state(group, replica, "allocating")
        replica.failures_on_machine = 0
        replica.instance_id, replica.machine_id = (
            (world.new_id(), NO_MACHINE) if world.settings.rows_while_allocating else ("", "")
        )
        world.later(world.around(world.settings.allocation), group, replica, self._allocated, group, replica)

    def _allocated(self, group: Group, replica: Replica) -> None:
        replica.instance_id, replica.machine_id = self._world.new_id(), self._world.new_id()
        self._logs.instance_event(group, replica, "Instance Allocated")
        self._download(group, replica)

    def _download(self, group: Group, replica: Replica) -> None:
        world = self._world
        self._state(group, replica, "downloading")
        delay = world.around(world.settings.download)
        replica.download_ends_at = world.now + delay
        self._logs.instance_event(group, replica, "Instance Downloading")
        world.later(delay, group, replica, self._downloaded, group, replica)

    def _downloaded(self, group: Group, replica: Replica) -> None:
        self._logs.instance_event(group, replica, "Instance Creating")
        self._create(group, replica, self._world.settings.create)

    def _create(self, group: Group, replica: Replica, delay: float) -> None:
        self._state(group, replica, "creating")
        if group.script.start != "stuck":
            self._world.later(self._world.around(delay), group, replica, self._start_container, group, replica)

    def _start_container(self, group: Group, replica: Replica) -> None:
        if group.script.start == "fail":
            if not self._world.settings.bad_command_is_stuck:
                self._logs.instance_event(group, replica, "Instance Start Failure: Other")
                self._move(group, replica, "Instance Reallocated by Platform")
            return
        self._logs.instance_event(group, replica, "Instance Starting")
        self.run(group, replica)

    def run(self, group: Group, replica: Replica) -> None:
        """The container runs now; from here it is billed."""
        world, settings, script = self._world, self._world.settings, group.script
        self._state(group, replica, "running")
        replica.run_since = world.now if replica.run_since is None else replica.run_since
        group.status = "running"
        group.runs += 1
        self.billing.of(group).runs += 1
        self._logs.instance_event(group, replica, "Instance Running")
        lines = (f"container of {group.name} started", *script.lines)
        for line in lines[1:] if settings.first_line_is_lost else lines:
            self._logs.output(group, replica, line)
        if script.exit_code is not None:
            world.later(
                max(script.after_seconds, settings.shortest_run),
                group,
                replica,
                self.exited,
                group,
                replica,
                script.exit_code,
                script.out_of_memory,
            )
        elif settings.output_period:
            world.later(settings.output_period, group, replica, self._write_line, group, replica, 1)
        if group.spec.get("startup_probe"):
            world.later(world.around(settings.startup), group, replica, self._started, group, replica)
        else:
            self._started(group, replica)

    def _write_line(self, group: Group, replica: Replica, number: int) -> None:
        self._logs.output(group, replica, f"still running, line {number}")
        self._world.later(
            self._world.settings.output_period, group, replica, self._write_line, group, replica, number + 1
        )

    def _started(self, group: Group, replica: Replica) -> None:
        replica.started = True
        if group.spec.get("startup_probe"):
            self._logs.instance_event(group, replica, "Instance Startup Probe Passed")
        if group.spec.get("readiness_probe"):
            world = self._world
            world.later(world.around(world.settings.readiness), group, replica, self.set_ready, group, replica, True)
        else:
            replica.ready = True

    def set_ready(self, group: Group, replica: Replica, is_ready: bool) -> None:
        """What the readiness probe says from now on."""
        replica.ready = is_ready
        self._logs.instance_event(
            group,
            replica,
            "Instance Ready (Readiness Probe Passed)" if is_ready else "Instance Not Ready (Readiness Probe Failure)",
        )

    def exited(self, group: Group, replica: Replica, code: int, out_of_memory: bool = False) -> None:
        """The container ended by itself; it is started again, whatever the restart policy says."""
        if out_of_memory:
            message = f"Instance Exited:{code} (Likely Out of System Memory)"
        else:
            message = f"Instance Exited:{code} ({'Exited Successfully' if code == 0 else 'Error'})"
        self._logs.instance_event(group, replica, message, group.script.exit_event)
        self.billing.exited(group, code, self._world.now)
        settings = self._world.settings
        replica.failures_on_machine += code != 0
        if replica.failures_on_machine > settings.restarts_before_moving:
            self._move(group, replica, "Instance Reallocated by Platform")
        else:
            self._restart(group, replica)

    def _restart(self, group: Group, replica: Replica) -> None:
        """The next run, on the same machine."""
        self._renew_id(replica)
        self._create(group, replica, self._world.settings.restart)

    def _renew_id(self, replica: Replica) -> None:
        if self._world.settings.new_instance_id_per_run:
            replica.instance_id = self._world.new_id()

    def _move(self, group: Group, replica: Replica, event: str) -> None:
        self._logs.instance_event(group, replica, event)
        self._allocate(group, replica)

    def interrupt(self, group: Group, replica: Replica, event: str, has_gap: bool = True) -> None:
        """The instance is lost, and the platform looks for another machine. Without a gap the next poll already shows
        the next instance running.
        """
        if has_gap or replica.state != "running":
            self._move(group, replica, event)
            return
        self._logs.instance_event(group, replica, event)
        replica.instance_id, replica.machine_id = self._world.new_id(), self._world.new_id()
        replica.failures_on_machine = 0
        self._logs.instance_event(group, replica, "Instance Allocated")
        self.run(group, replica)

    def renew(self, group: Group, replica: Replica, event: str) -> None:
        """Restart or recreate on the same machine, as somebody asked."""
        if self._world.settings.exit_event_on_user_restart:
            self._logs.instance_event(group, replica, "Instance Exited:137 (Likely Out of System Memory)")
        self._logs.instance_event(group, replica, event)
        self._restart(group, replica)
