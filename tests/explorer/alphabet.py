"""The alphabet of the explorer: everything that can happen next, and how often.

An action is plain data (a name and numbers), so a run can be replayed, shortened and printed. An action that does not
fit the state does nothing.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from typing import NamedTuple

from tests.explorer import cluster_actions, fault_actions, people_actions, portal_actions, process_actions
from tests.explorer.layout import Layout
from tests.explorer.world import World

Act = Callable[[World, int, int], None]
# How often a fault or a rare deed happens beside the everyday ones.
EVERYDAY_WEIGHT = 10


class Action(NamedTuple):
    """What happens; the numbers choose among what is there."""

    name: str
    first: int = 0
    second: int = 0

    def __str__(self) -> str:
        return f"{self.name}({self.first}, {self.second})"


def draw(rng: random.Random, layout: Layout) -> Action:
    """The next action, likely ones more often."""
    return Action(rng.choice(_names(layout)), rng.randrange(1_000), rng.randrange(1_000))


def perform(world: World, action: Action) -> None:
    _ACTIONS[action.name](world, action.first, action.second)
    world.replace_losers()


# Times 10: faults may be as rare as a tenth of the rarest deed.
_EVERYDAY: dict[Act, int] = {
    process_actions.deliver: 200,
    process_actions.work: 400,
    process_actions.loop: 160,
    process_actions.wait: 120,
    process_actions.wait_long: 10,
    people_actions.create_pod: 40,
    people_actions.delete_pod: 10,
    people_actions.recreate_pod: 4,
    people_actions.edit_image: 10,
    people_actions.edit_claim: 8,
    people_actions.edit_annotation: 3,
    people_actions.change_secret: 4,
    people_actions.mark_pod: 4,
    people_actions.drop_foreign_finalizer: 4,
    people_actions.take_finalizer: 2,
    people_actions.delete_namespace: 1,
    people_actions.create_job: 3,
    people_actions.delete_job: 3,
    cluster_actions.controllers: 8,
    cluster_actions.node_blip: 30,
    cluster_actions.node_is_lost: 1,
    cluster_actions.edit_node: 3,
    cluster_actions.delete_node: 1,
    cluster_actions.collect_pods: 3,
    cluster_actions.compact: 8,
    portal_actions.move: 24,
    portal_actions.delete_group: 1,
    portal_actions.create_group: 3,
    portal_actions.delete_foreign_group: 1,
    portal_actions.copy_group: 2,
    portal_actions.take_name: 2,
}
_FAULTS: dict[Act, int] = {
    process_actions.kill: 10,
    process_actions.stop: 3,
    process_actions.freeze: 4,
    process_actions.clock_jumps: 2,
    fault_actions.cloud_fault: 30,
    fault_actions.operation_fails: 8,
    fault_actions.write_is_late: 20,
    fault_actions.false_absence: 15,
    fault_actions.call_fails: 30,
    fault_actions.call_is_slow: 6,
    fault_actions.killed_in_call: 10,
    fault_actions.frozen_in_call: 5,
    fault_actions.api_fault: 20,
    fault_actions.watch_dies: 4,
    fault_actions.watch_doubles: 4,
    fault_actions.cloud_outage: 3,
    fault_actions.api_outage: 3,
    fault_actions.outages_end: 30,
    fault_actions.key_rotates: 3,
    fault_actions.key_is_distributed: 12,
    fault_actions.credit: 3,
    fault_actions.quota: 3,
    fault_actions.foreign_traffic: 3,
    fault_actions.partition: 5,
    fault_actions.list_omits: 5,
    fault_actions.gpu_market: 2,
    fault_actions.wrong_project: 1,
}
_CROWD: dict[Act, int] = {
    people_actions.create_pod: 120,
    portal_actions.all_vanish: 15,
    people_actions.take_all_finalizers: 10,
    people_actions.delete_pod: -5,
    people_actions.edit_image: -8,
    people_actions.create_job: -3,
}
_OUTAGES: dict[Act, int] = {
    fault_actions.cloud_outage: 8,
    fault_actions.api_outage: 8,
    process_actions.wait_hours: 8,
}
_STRAYED: dict[Act, int] = {
    fault_actions.wrong_project: 12,
    process_actions.stop: 8,
    people_actions.edit_claim: -8,  # a wrong project is not tried on pods with a wrong claim
}
_LOSSY: dict[Act, int] = {
    fault_actions.write_is_late: 60,
    fault_actions.operation_fails: 40,
    fault_actions.false_absence: 20,
    fault_actions.call_fails: 20,
    fault_actions.killed_in_call: 10,
    people_actions.create_pod: 20,
    people_actions.delete_pod: 20,
    # While nothing can be created, nothing can be lost.
    **dict.fromkeys(
        (
            fault_actions.cloud_outage,
            fault_actions.api_outage,
            fault_actions.key_rotates,
            fault_actions.credit,
            fault_actions.quota,
        ),
        -3,
    ),
}
_OF_KINDS = {"crowd": _CROWD, "outages": _OUTAGES, "lossy": _LOSSY, "strayed": _STRAYED}
_ACTIONS: dict[str, Act] = {act.__name__: act for table in (_EVERYDAY, _FAULTS, *_OF_KINDS.values()) for act in table}


# How often a thing happens in a run that leans, as a multiple of the usual. What comes together only once in thousands
# of even runs meets at once in one that has much of both and nothing of what gets in between.
_LEANINGS = (0, 0, 1, 1, 6)
# Without these nothing would go on.
_ALWAYS = (
    process_actions.deliver,
    process_actions.work,
    process_actions.loop,
    process_actions.wait,
    people_actions.create_pod,
)


@functools.lru_cache(maxsize=64)
def _table(kind: str, fault_share: float, leaning: int | None) -> tuple[str, ...]:
    weights = dict(_EVERYDAY)
    for act, weight in _FAULTS.items():
        weights[act] = round(weight * fault_share)
    for act, weight in _OF_KINDS.get(kind, {}).items():
        weights[act] = max(0, weights.get(act, 0) + weight)
    if leaning is not None:
        rng = random.Random(f"leaning {leaning}")
        weights = {act: weight if act in _ALWAYS else weight * rng.choice(_LEANINGS) for act, weight in weights.items()}
    return tuple(act.__name__ for act, weight in weights.items() for _ in range(weight))


def _names(layout: Layout) -> tuple[str, ...]:
    return _table(layout.kind, layout.fault_share, layout.leaning)
