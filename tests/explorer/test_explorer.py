"""The explorer finds nothing in the daemon, and finds what is planted.

`EXPLORER_SEEDS` and `EXPLORER_STEPS` make a longer run of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator

import pytest

from tests.explorer.explore import Found, explore, replay
from virtual_kubelet_salad.kubelet import orphans, starting, status
from virtual_kubelet_salad.kubelet.claims import Claim, Claims
from virtual_kubelet_salad.kubelet.memory import Memory
from virtual_kubelet_salad.kubelet.provider import Owner, Pod
from virtual_kubelet_salad.kubelet.result import AT_ONCE, Result
from virtual_kubelet_salad.runtime.workqueue import WorkQueue

SEEDS = int(os.environ.get("EXPLORER_SEEDS", "200"))
STEPS = int(os.environ.get("EXPLORER_STEPS", "2000"))
# A planted bug must be found within this many seeds.
PLANTED_SEEDS = 150
PLANTED_STEPS = 1_000
BATCHES = 10


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Millions of log lines would only be thrown away."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_invariant_is_violated(batch: int) -> None:
    for seed in range(batch, SEEDS, BATCHES):
        found = explore(seed, STEPS)
        assert found is None, str(found)


def find(first_seed: int = 0) -> Found | None:
    for seed in range(first_seed, first_seed + PLANTED_SEEDS):
        found = explore(seed, PLANTED_STEPS, shrink=False)
        if found is not None:
            return found
    return None


def plant_no_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    """The create goes out without the claim."""

    def claim(self: starting.Starting, pod: Pod, attempt: int, memory: Memory) -> Result:
        memory.begin(attempt)
        return self.create(pod, Claim(True, attempt, self._on.claims.name(pod, attempt)), memory)

    monkeypatch.setattr(starting.Starting, "_claim", claim)


def plant_one_not_found_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 404 is believed."""

    def at_once(self: Memory, name: str, settle_seconds: float) -> float:
        return 0.0 if name in self.absences else 5.0

    monkeypatch.setattr(Memory, "seconds_until_absent", at_once)


def plant_comparison_with_last_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A status is compared with what was sent last instead of with what the API server shows."""
    sent: dict[str, object] = {}

    def differs(pod: Pod, wanted: object) -> bool:
        uid = pod["metadata"]["uid"]
        comparable = _without_times(wanted)
        if sent.get(uid) == comparable:
            return False
        sent[uid] = comparable
        return True

    monkeypatch.setattr(status, "differs", differs)


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        times = ("lastTransitionTime", "startTime", "startedAt", "finishedAt")
        return {key: _without_times(item) for key, item in value.items() if key not in times}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def plant_no_owner_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep takes every workload with a record for its own."""
    monkeypatch.setattr(Claims, "made", lambda self, name, owner: True)
    monkeypatch.setattr(orphans.OrphanSweep, "_pod_exists", lambda self, owner: False)


def plant_release_before_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    """The finalizer goes before the workload does."""
    from virtual_kubelet_salad.kubelet.ending import Ending

    def wind_up(self: Ending, pod: Pod, names: list[str], memory: Memory) -> Result:
        if pod["metadata"].get("deletionTimestamp") and not memory.is_removed:
            return self.remove(pod, memory)
        return self._release(pod, "deleted", memory)

    monkeypatch.setattr(Ending, "wind_up", wind_up)


def plant_secret_in_status(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message quotes the plan."""
    before = starting.Starting.create

    def create(self: starting.Starting, pod: Pod, claim: Claim, memory: Memory) -> Result:
        owner: Owner = self._on.claims.owner(pod, claim.attempt)
        plan = self._on.planner.plan(pod, owner, first_seen=memory.first_seen)
        self._on.patch(pod, {"status": {"message": str(plan.request)}})
        return before(self, pod, claim, memory)

    monkeypatch.setattr(starting.Starting, "create", create)


def plant_forgotten_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is not tried again by itself."""
    monkeypatch.setattr(WorkQueue, "add_rate_limited", lambda self, key, *, urgent=False: 0.0)


def plant_failure_after_not_found_of_an_uncertain_create(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not found is created again at once, under the next name."""

    def missing(self: starting.Starting, pod: Pod, claim: Claim, memory: Memory) -> Result:
        self._claim(pod, claim.attempt + 1, memory)
        return Result("claimed", "", AT_ONCE)

    monkeypatch.setattr(starting.Starting, "missing", missing)


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    plant.__name__.removeprefix("plant_"): plant
    for plant in (
        plant_no_claim,
        plant_one_not_found_is_gone,
        plant_comparison_with_last_sent,
        plant_no_owner_check,
        plant_release_before_delete,
        plant_secret_in_status,
        plant_forgotten_retry,
        plant_failure_after_not_found_of_an_uncertain_create,
    )
}


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[bug](monkeypatch)
    found = find()
    assert found is not None, f"{bug} was not found in {PLANTED_SEEDS} seeds"
    print(f"{bug}: {found.rule} at seed {found.seed}")


def test_a_finding_is_shortened_and_can_be_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    plant_no_claim(monkeypatch)
    found = explore(0, 300)
    assert found is not None
    assert len(found.actions) <= 10
    violation, _ = replay(found.seed, found.actions)
    assert violation is not None and violation.rule == found.rule


def test_the_same_seed_is_the_same_run() -> None:
    assert explore(5, 300) == explore(5, 300)
