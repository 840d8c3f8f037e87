"""Runs the processes as their threads would: every loop when it is due, workers whenever there is work."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tests.explorer.process import Process
from tests.explorer.rules import Violation
from tests.explorer.world import World

LEAST_ADVANCE_SECONDS = 0.2
GREATEST_ADVANCE_SECONDS = 60.0
# So many reconciles without any time between them are a loop that eats a processor.
MOST_AT_ONCE = 2_000


class Schedule:
    """One run of time. `controllers`: whether the cluster's own controllers run, too."""

    def __init__(self, world: World, *, has_controllers: bool = True) -> None:
        self._world = world
        self._has_controllers = has_controllers
        self._due: dict[tuple[int, str], float] = {}
        self.steps = 0

    def run(self, seconds: float, *, but: Collection[Process] = (), until: Callable[[], bool] = lambda: False) -> bool:
        """Lets so much time pass, or less when `until` is true; without the processes `but`. Returns `until()`."""
        world = self._world
        end = world.clock.monotonic() + seconds
        while world.clock.monotonic() < end:
            if self._has_controllers:
                world.api_model.tick()
            soonest = [end]
            for process in list(world.processes):
                if process not in but and not process.is_frozen():
                    soonest.append(self._run(process))
            world.check()
            if not but:
                world.replace_losers()
            change = world.cloud.next_change()
            if change is not None:
                soonest.append(change)
            pause = min(soonest) - world.clock.monotonic()
            world.clock.advance(max(LEAST_ADVANCE_SECONDS, min(pause, GREATEST_ADVANCE_SECONDS)))
            if until():
                return True
        return until()

    def _run(self, process: Process) -> float:
        """All that is due of one process; when the next is."""
        world = self._world
        if process.has_elector and not process.is_lost:
            self._step(process, "leader", process.elect)
        for name in process.loop_names:
            process.watch.deliver()
            self._step(process, name, process.loops[name])
        for _ in range(MOST_AT_ONCE):
            process.watch.deliver()
            self.steps += 1
            if process.work() != 0.0:
                break
        else:
            raise Violation("I10", "reconciles follow each other without end")
        times = [self._due[process.number, name] for name in process.loop_names]
        next_due = process.daemon.queue.next_due()
        return min(times if next_due is None else [*times, next_due]) if times else world.clock.monotonic()

    def _step(self, process: Process, name: str, step: Callable[[], float | None]) -> None:
        now = self._world.clock.monotonic()
        if self._due.get((process.number, name), 0.0) <= now:
            self.steps += 1
            delay = step() or 0.0
            self._due[process.number, name] = now + max(LEAST_ADVANCE_SECONDS, delay)
