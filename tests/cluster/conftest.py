"""The control plane of the cluster tests: built when absent, started once for all of them, stopped after the last."""

from __future__ import annotations

import pathlib
import uuid
from collections.abc import Generator, Iterator

import pytest

from tests.support import control_plane_build, go_build
from tests.support.control_plane import ControlPlane

_running: list[ControlPlane] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test below this folder is a cluster test, marked or not, so that -m "not cluster" leaves out all of
    them."""
    here = pathlib.Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package")
def control_plane() -> Iterator[ControlPlane]:
    """A whole control plane; it fails where none can be built, because a skipped suite would read as green."""
    try:
        binaries = control_plane_build.binaries()
    except go_build.CannotBuild as problem:
        pytest.fail(str(problem), pytrace=False)
    with ControlPlane(binaries) as control_plane:
        _running.append(control_plane)
        try:
            yield control_plane
        finally:
            _running.clear()


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of the test's own, in which a bare pod can be created at once."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.wait_for_default_service_account(name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the ends of the control plane's logs."""
    report = yield
    if report.failed:
        report.sections.extend(("control plane", running.log_tails()) for running in _running)
    return report
