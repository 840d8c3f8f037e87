"""A recorder of Events on an API server that only keeps Events."""

from __future__ import annotations

import pytest

from tests.support.clock import FakeClock
from tests.support.event_api import EventApi
from virtual_kubelet_salad.kube.events import EventRecorder


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def api() -> EventApi:
    return EventApi()


@pytest.fixture
def recorder(api: EventApi, clock: FakeClock) -> EventRecorder:
    return EventRecorder(api, clock, "virtual-kubelet-salad", "saladcloud-node")
