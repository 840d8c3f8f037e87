"""Looks for a planted defect as a user would: run after run, until one shows a violation."""

from __future__ import annotations

import pytest

from tests.explorer.explore import explore
from tests.explorer.layout import seeds_of
from tests.explorer.planted import DEFECTS

# Within these every defect must be found; most are in the first few.
SEEDS = 200
STEPS = 1_000


def find(name: str) -> None:
    """Fails unless the first violation is one that the defect would cause, and is over when the defect is."""
    defect = DEFECTS[name]
    with pytest.MonkeyPatch.context() as patch:
        defect.plant(patch)
        runs = (explore(seed, STEPS, shrink=False) for seed in seeds_of(defect.kinds, 0, SEEDS))
        found = next((found for found in runs if found is not None), None)
    assert found is not None, f"not found in {SEEDS} runs of {STEPS} steps"
    assert found.rule in defect.rules, str(found)
    assert explore(found.seed, STEPS, shrink=False) is None
