"""The explorer finds every defect that is planted into the daemon, as what it is; the first half of them.

Two files, so that two processes can share the work.
"""

from __future__ import annotations

import pytest

from tests.explorer.finding import find
from tests.explorer.planted import DEFECTS


@pytest.mark.parametrize("name", list(DEFECTS)[0::2])
def test_a_planted_defect_is_found_as_what_it_is(name: str) -> None:
    find(name)
