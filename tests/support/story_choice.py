"""Which stories of a parametrized test a run wants: those that were selected, in any order."""

from __future__ import annotations

import pytest


def wanted_stories(request: pytest.FixtureRequest) -> set[object]:
    """The values of the parameter `story` in this run."""
    return {
        item.callspec.params.get("story")
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    }
