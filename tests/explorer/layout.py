"""What a run is made of, as its seed decides: how many daemons there are, what the cloud is like, how much goes
wrong.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from collections.abc import Collection

from virtual_kubelet_salad.sandbox.salad_settings import FAST, SaladSettings

NODE = "node-a"
SECOND_NODE = "node-b"

KINDS = (
    "plain",  # one daemon, faults
    "ordinary",  # one daemon, no faults: users and machines are enough
    "replicas",  # two replicas of one node, one of which leads
    "nodes",  # two nodes, each with a daemon, in one project and with one key
    "capped",  # a list that never shows all groups
    "crowd",  # enough pods for the brake
    "odd",  # wrong clocks, answers with fields and words that nobody has heard of, rare behavior of the cloud
    "deaf",  # events that are late, doubled or missing
    "outages",  # hours without the cloud, or without the API server
    "everything",
    "lossy",  # requests that are lost, late, or fail while others are answered
    "strayed",  # a configuration that names the wrong project, again and again
)


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """One run's circumstances."""

    kind: str
    fault_share: float
    """How likely each fault is, as a part of the usual; 0: no faults."""
    leaning: int | None = None
    """Seed of what happens often and what never in this run; None: everything as usual."""
    nodes: tuple[str, ...] = (NODE,)
    replicas: int = 1
    """Daemons of each node; of several one leads."""
    most_pods: int = 6
    list_limit: int = 100
    """Of the cloud's list, and what the daemons are told about it."""
    foreign_groups: int = 3
    clock_error_seconds: float = 0.0
    """How far a daemon's wall clock may be wrong, either way."""
    event_loss: float = 0.0
    """Share of the events that no query shows."""
    event_doubling: float = 0.0
    event_delay_seconds: float = 0.0
    """How long after its receive time an event may still be hidden."""
    is_strange: bool = False
    """Whether answers hold what nobody has heard of."""
    cloud: SaladSettings = FAST


@functools.lru_cache(maxsize=4096)
def layout_of(seed: int) -> Layout:
    """The layout of a seed: kinds take turns, details are drawn."""
    kind, rng = KINDS[seed % len(KINDS)], random.Random(f"layout {seed}")
    layout = Layout(
        kind,
        fault_share=rng.choice((0.3, 1.0)),
        leaning=seed if seed // len(KINDS) % 2 == 0 else None,
        cloud=_varied(rng) if rng.random() < 0.5 else FAST,
    )
    if kind == "ordinary":
        return dataclasses.replace(layout, fault_share=0.0)
    if kind == "plain":
        return dataclasses.replace(layout, cloud=FAST)
    if kind == "crowd":
        return dataclasses.replace(layout, most_pods=18, fault_share=rng.choice((0.0, 0.3)), cloud=FAST)
    wanted = {kind}
    if kind == "everything":
        wanted = {one for one in ("replicas", "nodes", "capped", "odd", "deaf") if rng.random() < 0.6}
    changes: dict[str, object] = {}
    if "replicas" in wanted:
        changes.update(replicas=2)
    if "nodes" in wanted:
        changes.update(nodes=(NODE, SECOND_NODE))
    if "capped" in wanted:
        limit = rng.choice((4, 4, 6, 100))
        changes.update(list_limit=limit, foreign_groups=98 if limit == 100 else rng.choice((2, 3, 5)))
    if "odd" in wanted:
        changes.update(clock_error_seconds=rng.choice((3.0, 30.0, 90.0)), is_strange=True, cloud=_varied(rng))
    if "deaf" in wanted:
        changes.update(
            event_loss=rng.choice((0.0, 0.2, 1.0)),
            event_doubling=rng.choice((0.0, 0.5)),
            event_delay_seconds=rng.choice((0.0, 8.0, 40.0)),
        )
    layout = dataclasses.replace(layout, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(layout, cloud=dataclasses.replace(layout.cloud, list_limit=layout.list_limit))


def seeds_of(kinds: Collection[str], first_seed: int, count: int) -> list[int]:
    """The first so many seeds from that one on whose layouts are of one of the kinds."""
    numbers = (number for number in itertools.count(first_seed) if KINDS[number % len(KINDS)] in kinds)
    return list(itertools.islice(numbers, count))


def _varied(rng: random.Random) -> SaladSettings:
    """A cloud that shows other documented or observed behavior."""
    return dataclasses.replace(
        FAST,
        preparation=rng.choice((0.5, 20.0)),
        deletion=rng.choice((0.3, 3.0, 25.0)),
        stale_list=rng.choice((0.0, 0.0, 4.0)),
        stale_start=rng.choice((0.0, 0.0, 4.0)),
        instance_read_status=rng.choice((200, 202)),
        progress_is_a_fraction=rng.random() < 0.5,
        rows_while_allocating=rng.random() < 0.3,
        new_instance_id_per_run=rng.random() < 0.6,
        autostart_works=rng.random() < 0.8,
        restarts_before_moving=rng.choice((1, 5)),
        exit_event_on_user_restart=rng.random() < 0.3,
        update_moves_instance=rng.random() < 0.3,
        bad_command_is_stuck=rng.random() < 0.3,
        no_credits_status=rng.choice((400, 403)),
        retry_after_is_sent=rng.random() < 0.5,
        log_lag_max=rng.choice((1.0, 10.0)),
        node_skew_max=rng.choice((0.0, 30.0, 73.0)),
        log_window_is_receive_time=rng.random() < 0.8,
        first_line_is_lost=rng.random() < 0.5,
    )
