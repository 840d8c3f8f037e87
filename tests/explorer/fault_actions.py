"""What goes wrong between the daemons, SaladCloud and the API server."""

from __future__ import annotations

from collections.abc import Callable

from tests.explorer.process import Process
from tests.explorer.process_actions import chosen
from tests.explorer.schedule import Schedule
from tests.explorer.wires import API_FAULTS, lost
from tests.explorer.world import WRONG_PROJECT, Killed, World

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
GREAT_QUOTA = 1_000
# A definite refusal is never carried out.
_NEVER_APPLIED = ("401", "403", "429", "429-retry-after")
OUTAGES = ("500", "502", "503", "reset", "hang", "429", "html200", "401")


def cloud_fault(world: World, first: int, second: int) -> None:
    """The next request to SaladCloud fails, before or after it was applied."""
    kind = CLOUD_FAULTS[first % len(CLOUD_FAULTS)]
    world.cloud.fail_next(1, kind, applied=bool(second % 2) and kind not in _NEVER_APPLIED)


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
