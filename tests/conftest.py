"""What holds for every test: no thread outlives it, time is faked by one clock, golden files are rewritten on
request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.clock import FakeClock

# Threads that have been told to stop may take this long together; more is a leak.
THREAD_GRACE_SECONDS = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew instead of comparing with them"
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True when the golden files are to be rewritten."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def no_thread_outlives_the_test() -> Iterator[None]:
    """Fails a test that leaves a thread running, whatever made it (fixtures of a wider scope may keep theirs)."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + THREAD_GRACE_SECONDS
    started = [thread for thread in threading.enumerate() if thread not in before]
    for thread in started:
        thread.join(max(0.0, deadline - time.monotonic()))
    leaked = [thread.name for thread in started if thread.is_alive()]
    if leaked:
        pytest.fail(f"threads outlive the test: {', '.join(leaked)}", pytrace=False)
