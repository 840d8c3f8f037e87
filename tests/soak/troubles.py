"""All that goes wrong in a simulated day, each for a while or once: SaladCloud, its machines, the API server, and what
is between them and the daemon."""

from __future__ import annotations

import collections
import math
import random
from collections.abc import Callable

from tests.simulated.world import World
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.sandbox.salad_control import ControlError
from virtual_kubelet_salad.sandbox.salad_settings import FAST

FAULT_KINDS = ("500", "502", "503", "504", "408", "429", "429-retry-after", "401", "403", "garbage", "html200", "reset")
# As the daemon's own patience passes with each, an outage of them would be a few requests only.
RARE_FAULT_KINDS = (*FAULT_KINDS, "hang")
# How long a state lasts: as many take less than the middle as take more.
SHORTEST_SECONDS, LONGEST_SECONDS = 5.0, 3_600.0
# A busy minute; the account's own limit is 240.
LEAST_RATE_PER_MINUTE, MOST_RATE_PER_MINUTE = 40, 200
LIST_LIMIT = 8
LATE_EVENTS_SECONDS = 120.0
QUOTA = 10
# Both share the project with five groups of somebody else.


class Troubles:
    """`act` now and then; `mend` ends them all. `counts` tells what there was, `seconds` how long."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._ends: dict[str, tuple[float, float, Callable[[], None]]] = {}  # name → begin, end, how to end it
        self._lost_answers = 0
        self.counts: collections.Counter[str] = collections.Counter()
        self.seconds: collections.Counter[str] = collections.Counter()
        self._moments = (self._requests_fail, self._api_answers_get_lost, self._move_a_group, self._move_a_group)
        self._single = {
            "watch silently dead": lambda: world.daemon.watch.die_silently(),
            "history compacted": lambda: world.api_models[0].compact(),
            "node deleted": lambda: world.cluster.delete(f"/api/v1/nodes/{world.daemon.node}"),
        }
        world.daemon.api_line.after = self._lose_an_answer

    def act(self) -> None:
        """Ends what has lasted long enough; perhaps something new begins."""
        now = self._world.now
        for name in [name for name, (_, end, _) in self._ends.items() if end <= now]:
            self._end(name)
        roll = self._chance.random()
        if roll < 0.4:
            self._chance.choice(self._moments)()
        elif roll < 0.5:
            name = self._chance.choice(sorted(self._single))
            self._single[name]()
            self.counts[name] += 1
        elif roll < 0.6:
            self._begin_something()

    def mend(self) -> None:
        """Everything is as it should be."""
        for name in list(self._ends):
            self._end(name)
        self._world.cloud.clear_faults()
        self._lost_answers = 0

    def _begin_something(self) -> None:
        world, chance = self._world, self._chance
        kind = chance.choice(FAULT_KINDS)
        rate = chance.randint(LEAST_RATE_PER_MINUTE, MOST_RATE_PER_MINUTE)
        states: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            f"outage {kind}": (lambda: world.cloud.outage(kind), lambda: world.cloud.outage(None)),
            "key refused": (lambda: world.cloud.refuse_keys(True), lambda: world.cloud.refuse_keys(False)),
            "out of credit": (lambda: world.cloud.out_of_credit(True), lambda: world.cloud.out_of_credit(False)),
            "API server away": (lambda: self._cut(True), lambda: self._cut(False)),
            "less than our rate": self._setting(rate_limit_per_minute=rate),
            "list too short": self._setting(list_limit=LIST_LIMIT),
            "events late": self._setting(log_lag_max=LATE_EVENTS_SECONDS),
            "quota used up": self._setting(replica_quota=QUOTA),
        }
        name = chance.choice(sorted(states))
        family = name.partition(" ")[0]
        if any(present.partition(" ")[0] == family for present in self._ends):
            return
        begin, end = states[name]
        seconds = math.exp(chance.uniform(math.log(SHORTEST_SECONDS), math.log(LONGEST_SECONDS)))
        begin()
        self._ends[name] = (world.now, world.now + seconds, end)
        self.counts[name] += 1

    def _end(self, name: str) -> None:
        begin, _, end = self._ends.pop(name)
        end()
        self.seconds[name] += round(self._world.now - begin)

    def _setting(self, **changes: object) -> tuple[Callable[[], None], Callable[[], None]]:
        usual = {key: getattr(FAST, key) for key in changes}
        return lambda: self._world.cloud.configure(**changes), lambda: self._world.cloud.configure(**usual)

    def _cut(self, is_cut: bool) -> None:
        self._world.daemon.api_line.is_cut = is_cut

    def _requests_fail(self) -> None:
        kind, is_applied = self._chance.choice(RARE_FAULT_KINDS), self._chance.random() < 0.5
        self._world.cloud.fail_next(self._chance.randint(1, 4), kind, applied=is_applied)
        self.counts[f"requests fail {kind}"] += 1

    def _api_answers_get_lost(self) -> None:
        self._lost_answers = self._chance.randint(1, 3)
        self.counts["answers of the API server lost"] += 1

    def _lose_an_answer(self, method: str, path: str) -> None:
        if method != "GET" and self._lost_answers:
            self._lost_answers -= 1
            raise errors.CouldNotAsk("the connection was cut", may_be_applied=True)

    def _move_a_group(self) -> None:
        cloud = self._world.cloud
        ours = [group["name"] for group in cloud.overview() if group["owner_uid"]]
        if not ours:
            return
        name = self._chance.choice(ours)
        moves = (
            cloud.reallocate, cloud.node_offline, cloud.preempt, cloud.liveness_failure, cloud.stop_group, cloud.vanish,
            cloud.fail_image, cloud.freeze, cloud.thaw,
        )  # fmt: skip
        move = self._chance.choice(moves)
        try:
            move(name)
        except ControlError:
            return  # it does not fit what the group is doing
        self.counts[f"group: {move.__name__}"] += 1
