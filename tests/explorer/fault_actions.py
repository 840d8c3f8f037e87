"""What goes wrong between the daemons, SaladCloud and the API server."""

from __future__ import annotations

from collections.abc import Callable

from tests.explorer.process import Process
from tests.explorer.process_actions import chosen
from tests.explorer.schedule import Schedule
from tests.explorer.wires import API_FAULTS, lost
from tests.explorer.world import WRONG_PROJECT, Killed, World
from virtual_kubelet_salad.sandbox.salad_catalog import NAMES

CLOUD_FAULTS = (
    "500",
    "502",
    "503",
    "504",
    "408",
    "429",
    "429-retry-after",
    "garbage",
    "html200",
    "403",
    "401",
    "reset",
    "hang",
)
OPERATIONS = (
    "list_container_groups",
    *("get_container_group",) * 4,  # what decides whether a group is gone
    "create_container_group",
    "delete_container_group",
    "start_container_group",
    "update_container_group",
    "list_container_group_instances",
    "get_system_logs",
    "query_log_entries",
)
GREAT_QUOTA = 1_000
# A definite refusal is never carried out.
_NEVER_APPLIED = ("401", "403", "429", "429-retry-after")
OUTAGES = ("500", "502", "503", "504", "408", "reset", "hang", "429", "html200", "garbage", "401", "403")


def cloud_fault(world: World, first: int, second: int) -> None:
    """The next request to SaladCloud fails, before or after it was applied."""
    kind = CLOUD_FAULTS[first % len(CLOUD_FAULTS)]
    world.cloud.fail_next(1, kind, applied=bool(second % 2) and kind not in _NEVER_APPLIED)


def operation_fails(world: World, first: int, second: int) -> None:
    """One kind of request fails for a while, and all others are answered."""
    kind = ("500", "503", "504", "hang", "html200")[first % 5]
    world.cloud.fail_next(2 + second % 20, kind, operation=OPERATIONS[second % len(OPERATIONS)])


def write_is_late(world: World, first: int, second: int) -> None:
    """The next write times out and takes effect later, well within the time that the daemon waits for it."""
    world.next_write_is_late_by = (1.0, 8.0, 30.0, 90.0)[first % 4]


def false_absence(world: World, first: int, second: int) -> None:
    """SaladCloud says once that a group does not exist, though it does."""
    world.next_denied = ("GET", "DELETE")[first % 2]


def call_fails(world: World, first: int, second: int) -> None:
    """The next call to either side is cut."""

    def cut(process: Process, is_applied: bool) -> None:
        raise lost(is_applied)

    _set_fate(world, bool(first % 2), cut)


def killed_in_call(world: World, first: int, second: int) -> None:
    """The process dies in the next call, right before or right after it is applied."""

    def die(process: Process, is_applied: bool) -> None:
        raise Killed

    _set_fate(world, bool(first % 2), die)


def call_is_slow(world: World, first: int, second: int) -> None:
    """The next call takes long, on the way there or back."""

    def linger(process: Process, is_applied: bool) -> None:
        world.pass_time((2.0, 9.0, 14.0)[second % 3])

    _set_fate(world, bool(first % 2), linger)


def frozen_in_call(world: World, first: int, second: int) -> None:
    """The process stops in the next call, before it is applied, and goes on long after others have taken over."""

    def freeze(process: Process, is_applied: bool) -> None:
        world.frozen_in_call = process
        Schedule(world, has_controllers=False).run((12.0, 25.0, 80.0)[second % 3], but=(process,))

    _set_fate(world, False, freeze)


def _set_fate(world: World, when_applied: bool, act: Callable[[Process, bool], None]) -> None:
    def fate(process: Process, is_applied: bool) -> None:
        if is_applied == when_applied:
            world.fate = None
            act(process, is_applied)

    world.fate = fate


def api_fault(world: World, first: int, second: int) -> None:
    """The API server answers the next request with an error, or with something that is no answer."""
    world.next_api_fault = (sorted(API_FAULTS)[first % len(API_FAULTS)], bool(second % 2))


def watch_dies(world: World, first: int, second: int) -> None:
    """A watch brings nothing more, until it is noticed."""
    chosen(world, second).watch.dead_until = world.clock.monotonic() + (5.0, 30.0, 65.0)[first % 3]


def watch_doubles(world: World, first: int, second: int) -> None:
    watch = chosen(world, second).watch
    watch.is_doubling = not watch.is_doubling


def partition(world: World, first: int, second: int) -> None:
    """One process alone is cut off, from either side or from both; its replica and other nodes' daemons are not."""
    process = chosen(world, second)
    end = world.clock.monotonic() + (5.0, 20.0, 70.0, 400.0)[first % 4]
    if first % 3 != 1:
        process.api_is_out_of_reach_until = end
    if first % 3 != 0:
        process.cloud_is_out_of_reach_until = end


def list_omits(world: World, first: int, second: int) -> None:
    """The next lists of groups leave out some, or all, and look as if they were whole."""
    world.lists_that_omit = 1 + second % 6
    world.lists_show = (0.0, 0.5)[first % 2]


def gpu_market(world: World, first: int, second: int) -> None:
    """A GPU class is offered no more, or at another price, or most are gone."""
    for number, name in enumerate(NAMES):
        if first % 4 == 0:
            world.cloud.restore_gpu_class(name)
        elif number == second % len(NAMES) or first % 4 == 1:
            world.cloud.withdraw_gpu_class(name)


def cloud_outage(world: World, first: int, second: int) -> None:
    """Every request to SaladCloud fails from now on."""
    world.cloud.outage(OUTAGES[first % len(OUTAGES)])


def api_outage(world: World, first: int, second: int) -> None:
    """The API server cannot be reached from now on."""
    world.api_is_down = True


def outages_end(world: World, first: int, second: int) -> None:
    if first % 2:
        world.cloud.outage(None)
    else:
        world.api_is_down = False


def key_rotates(world: World, first: int, second: int) -> None:
    """SaladCloud takes a new key only, and the file still holds the old one."""
    world.key_in_cloud = f"key-{first}"
    world.cloud.configure(api_key=world.key_in_cloud)


def key_is_distributed(world: World, first: int, second: int) -> None:
    """The file holds the key that SaladCloud takes."""
    world.key_in_file = world.key_in_cloud


def credit(world: World, first: int, second: int) -> None:
    """The organization's credit is used up, or there is some again."""
    world.cloud.out_of_credit(first % 3 == 0)


def quota(world: World, first: int, second: int) -> None:
    """The organization may have fewer groups than there are, or as many as it likes."""
    world.cloud.configure(replica_quota=(1, 4, GREAT_QUOTA)[first % 3])


def foreign_traffic(world: World, first: int, second: int) -> None:
    """Others use the same key: SaladCloud's limit is reached sooner than we count."""
    traffic, now = world.cloud._traffic, world.clock.monotonic()
    for _ in range((40, 120, 240)[first % 3]):
        traffic.seconds_to_wait(world.key_in_file, now, 240)


def wrong_project(world: World, first: int, second: int) -> None:
    """A mistake in the configuration: the next process serves another project, until it is started anew."""
    process = chosen(world, second)
    if not world.edited and len(world.processes) == 1:
        world.restart(process, WRONG_PROJECT)
