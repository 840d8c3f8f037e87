"""What happens in SaladCloud: to the machines, and by people in the portal."""

from __future__ import annotations

from collections.abc import Callable

from tests.explorer.judge import BRAKE_FEWEST
from tests.explorer.people_actions import chosen_pod
from tests.explorer.process import CLUSTER, ORGANIZATION
from tests.explorer.rules import is_over
from tests.explorer.world import PROJECT, World, foreign_environment
from virtual_kubelet_salad.saladcloud import names
from virtual_kubelet_salad.sandbox.salad_control import ControlError
from virtual_kubelet_salad.sandbox.salad_world import Group

EXITS = (0, 1, 3, 137)
GROUPS = f"/organizations/{ORGANIZATION}/projects/{PROJECT}/containers"


def _group(world: World, choice: int) -> Group | None:
    groups = world.own_groups()
    return groups[choice % len(groups)] if groups else None


def move(world: World, first: int, second: int) -> None:
    """A machine, the platform or somebody in the portal does something to a group."""
    group = _group(world, second)
    if group is None:
        return
    cloud, name, is_odd = world.cloud, group.name, bool(second % 2)
    moves: tuple[Callable[[], None], ...] = (
        lambda: cloud.exit_container(name, EXITS[second % len(EXITS)]),
        lambda: cloud.exit_container(name, 0),
        lambda: cloud.exit_container(name, 137, out_of_memory=True),
        lambda: cloud.reallocate(name),
        lambda: cloud.reallocate(name, "Instance Reallocated by User"),
        lambda: cloud.node_offline(name, has_gap=is_odd),
        lambda: cloud.preempt(name),
        lambda: cloud.liveness_failure(name),
        lambda: cloud.stop_group(name),
        lambda: cloud.start_group(name),
        lambda: cloud.fail_image(name),
        lambda: cloud.set_ready(name, is_odd),
        lambda: cloud.vanish(name),
        lambda: cloud.freeze(name),
        lambda: cloud.thaw(name),
        lambda: _restart_instance(world, group),
    )
    try:
        moves[first % len(moves)]()
    except ControlError:
        return  # it does not fit what the group is doing


def _restart_instance(world: World, group: Group) -> None:
    for replica in group.replicas:
        if replica.state == "running":
            world.ask_cloud("POST", f"{GROUPS}/{group.name}/instances/{replica.instance_id}/restart")
            return


def delete_group(world: World, first: int, second: int) -> None:
    """Somebody deletes one of our groups."""
    group = _group(world, first)
    if group is not None:
        world.ask_cloud("DELETE", f"{GROUPS}/{group.name}")


def create_group(world: World, first: int, second: int) -> None:
    """Somebody creates a group of their own, now and then with a name that looks like one of ours."""
    if len(world.foreign) >= world.layout.foreign_groups + 5:
        return
    group = _group(world, second)
    name = f"theirs-{first}" if group is None or first % 2 else f"{group.name[:-1]}{'z2'[second % 2]}"
    world.create_foreign_group(name, {})


def delete_foreign_group(world: World, first: int, second: int) -> None:
    """Somebody deletes a group of their own."""
    names_there = sorted(world.foreign)
    if names_there:
        name = names_there[first % len(names_there)]
        world.foreign.discard(name)
        world.ask_cloud("DELETE", f"{GROUPS}/{name}")


def copy_group(world: World, first: int, second: int) -> None:
    """Somebody makes a copy of one of our groups in the portal: its environment, and with it our record, too."""
    group = _group(world, first)
    if group is not None and len(world.foreign) < world.layout.foreign_groups + 5:
        world.create_foreign_group(f"{group.name[:55]}-copy", group.environment)


def take_name(world: World, first: int, second: int) -> None:
    """Another daemon's group bears the very name that we shall compute for a pod."""
    pod = chosen_pod(world, first)
    if pod is None:
        return
    metadata = pod["metadata"]
    name = names.workload_name(CLUSTER, metadata["name"], metadata["uid"], second % 2)
    if world.create_foreign_group(name, foreign_environment(1 + first % 2)):
        world.foreign.discard(name)
        world.squatted[name] = metadata["uid"]


def all_vanish(world: World, first: int, second: int) -> None:
    """All groups of ours are gone at once, or SaladCloud believes so; the daemons have looked right before."""
    for process in list(world.processes):
        for name in ("group poller", "orphans"):
            world.run(process, process.loops[name])
    groups = [group for group in world.own_groups() if not group.is_deleting]
    listed = _listed(world)
    wanted = {
        group.owner_uid
        for group in groups
        if (pod := world.pod(group.owner_uid or "")) is not None and not is_over(pod) and group.name in listed
    }
    if len(wanted) <= BRAKE_FEWEST or 2 * len(wanted) <= len(groups):
        return
    for group in groups:
        world.cloud.vanish(group.name)
    world.note_mass_vanishing({uid for uid in wanted if uid is not None})


def _listed(world: World) -> set[str]:
    """What the daemons have seen in their latest lists."""
    snapshots = [process.daemon.provider.snapshot() for process in world.processes]
    return {
        sighting.name
        for snapshot in snapshots
        if snapshot is not None and snapshot.is_complete
        for sighting in snapshot.sightings
    }
