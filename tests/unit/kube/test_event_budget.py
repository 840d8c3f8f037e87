"""How many Events may be written for one object."""

from __future__ import annotations

from virtual_kubelet_salad.kube.event_budget import OBJECT_BURST, OBJECT_PERIOD_SECONDS, ObjectBudgets


def test_a_burst_goes_at_once_and_then_one_per_period() -> None:
    budgets = ObjectBudgets()
    for _ in range(OBJECT_BURST):
        assert budgets.reserve("Pod/one", 100.0, 600.0) == 100.0
    assert budgets.reserve("Pod/one", 100.0, 600.0) == 100.0 + OBJECT_PERIOD_SECONDS
    assert budgets.reserve("Pod/one", 100.0, OBJECT_PERIOD_SECONDS) is None
    assert budgets.reserve("Pod/two", 100.0, 600.0) == 100.0


def test_who_has_a_full_burst_again_is_not_remembered() -> None:
    budgets = ObjectBudgets()
    for number in range(1_000):
        assert budgets.reserve(f"Pod/{number}", 10.0 * number, 0.0) == 10.0 * number
    assert len(budgets._spent_until) <= OBJECT_PERIOD_SECONDS / 10.0
