"""The explorer finds nothing in the daemon.

`EXPLORER_SEEDS` and `EXPLORER_STEPS` make a longer run of it.
"""

from __future__ import annotations

import os

import pytest

from tests.explorer.explore import explore

# Together more than a minute of one processor.
SEEDS = int(os.environ.get("EXPLORER_SEEDS", "200"))
STEPS = int(os.environ.get("EXPLORER_STEPS", "2000"))
BATCHES = 10


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_invariant_is_violated(batch: int) -> None:
    for seed in range(batch, SEEDS, BATCHES):
        found = explore(seed, STEPS)
        assert found is None, str(found)
