"""The kubelet's real objects, on the API server's model and a cloud that is a dictionary."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from tests.support.kubelet_world import KubeletWorld


@pytest.fixture
def world(fake_clock: FakeClock) -> KubeletWorld:
    return KubeletWorld(fake_clock)
