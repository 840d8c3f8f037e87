"""What a daemon process does next, what befalls it as a whole, and how time passes."""

from __future__ import annotations

from tests.explorer.process import Process
from tests.explorer.world import World


def chosen(world: World, choice: int) -> Process:
    return world.processes[choice % len(world.processes)]


def deliver(world: World, first: int, second: int) -> None:
    """The API server's news reach a process."""
    process = chosen(world, second)
    world.run(process, lambda: process.watch.deliver(1 + first % 3))


def work(world: World, first: int, second: int) -> None:
    process = chosen(world, second)
    world.run(process, process.work)


def loop(world: World, first: int, second: int) -> None:
    process = chosen(world, second)
    world.run(process, process.loops[process.loop_names[first % len(process.loop_names)]])


def kill(world: World, first: int, second: int) -> None:
    """As by `kill -9`; it is started anew at once, and its first list of pods may take long."""
    new = world.restart(chosen(world, second))
    new.watch.dead_until = world.clock.monotonic() + (0.0, 0.0, 5.0, 30.0)[first % 4]


def stop(world: World, first: int, second: int) -> None:
    process = chosen(world, second)
    world.run(process, process.stop)
    if process in world.processes:
        world.restart(process)


def freeze(world: World, first: int, second: int) -> None:
    """As by SIGSTOP, for longer than a lease lasts or not."""
    process = chosen(world, second)
    process.frozen_until = max(process.frozen_until, world.clock.monotonic() + (3.0, 12.0, 25.0, 80.0)[first % 4])


def clock_jumps(world: World, first: int, second: int) -> None:
    """Somebody sets the machine's clock."""
    error = world.layout.clock_error_seconds
    chosen(world, second).clock.error_seconds = error * (first / 500 - 1)


def wait(world: World, first: int, second: int) -> None:
    """A short while; or until the cloud's next change."""
    due = world.cloud.next_change()
    if first % 2 and due is not None:
        world.pass_time(max(0.0, min(30.0, due - world.clock.monotonic())))
    else:
        world.pass_time((0.1, 0.5, 2.0, 6.0)[second % 4])


def wait_long(world: World, first: int, second: int) -> None:
    world.pass_time((15.0, 45.0, 130.0, 700.0)[first % 4])


def wait_hours(world: World, first: int, second: int) -> None:
    world.pass_time((1_800.0, 5_400.0, 10_800.0)[first % 3])
