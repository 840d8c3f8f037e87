"""What holds for every test: no thread outlives it, time is faked by one clock, golden files are rewritten on
request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import FakeClock
from tests.support.scenarios import checked_requests

# Threads that have been told to stop may take this long together; more is a leak.
THREAD_GRACE_SECONDS = 20.0

# The same examples each time, however slow the machine is; nothing is remembered of the last run.
settings.register_profile(
    "steady", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the golden files anew instead of comparing with them"
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands over what it counted."""
    workeroutput: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput["checked_requests"] = list(checked_requests)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    checked_requests.extend(getattr(node, "workeroutput", {}).get("checked_requests", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The proof that the checks of the simulator were not empty."""
    if checked_requests:
        count, clouds = sum(checked_requests), len(checked_requests)
        terminalreporter.write_line(f"requests to SaladCloud held against its description: {count} in {clouds} checks")


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
