"""A cluster, a cloud and the daemon between them, for stories that hold for the minimal API server and a real one.

`World` waits with bounds and asserts, and sleeps nowhere. The bounds are for a loaded machine with two cores; what must
be quick by contract is asserted by the tests themselves.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from tests.support import cluster as seen
from tests.support.cloud_process import Cloud
from tests.support.cluster import Cluster, Object
from tests.support.daemon_process import DaemonProcess
from tests.support.waiting import wait_until

START_SECONDS = 120.0
# Gone is believed when it was said twice, 5 s apart.
END_SECONDS = 120.0
ASK_AGAIN_SECONDS = 0.1


checked_requests: list[int] = []
"""How many requests each check by `check_cloud` found; a run of the tests shows the sum."""


@dataclasses.dataclass(frozen=True)
class World:
    """One cluster, one cloud, and the daemon between them."""

    cluster: Cluster
    cloud: Cloud
    daemon: DaemonProcess
    namespace: str = "default"

    # -- looking

    def pods(self) -> list[Object]:
        return self.cluster.pods(self.namespace)

    def pod(self, name: str) -> Object | None:
        return self.cluster.pod(name, self.namespace)

    def group_names(self) -> set[str]:
        return {group["name"] for group in self.cloud.overview()}

    def group_of(self, pod: Object) -> dict[str, Any] | None:
        """The group whose owner record names this pod; AssertionError when there is more than one."""
        found = [group for group in self.cloud.overview() if group["owner_uid"] == pod["metadata"]["uid"]]
        assert len(found) <= 1, found
        return found[0] if found else None

    def requests(self, operation: str) -> int:
        """How many requests of that operation the cloud has seen."""
        return int(self.cloud.statistics()["requests_by_operation"].get(operation, 0))

    # -- waiting

    def until(self, condition: Callable[[], Any], what: str, timeout: float = START_SECONDS) -> Any:
        return wait_until(condition, timeout=timeout, what=what, interval=ASK_AGAIN_SECONDS)

    def until_pod(self, name: str, is_so: Callable[[Object], Any], what: str, timeout: float = START_SECONDS) -> Object:
        """The pod, as soon as it is so; it must exist."""

        def look() -> Object | None:
            pod = self.pod(name)
            assert pod is not None, f"no pod {name}"
            assert is_so(pod), pod["status"]
            return pod

        found: Object = self.until(look, f"{name} {what}", timeout)
        return found

    def until_ready(self, name: str, timeout: float = START_SECONDS) -> Object:
        return self.until_pod(name, seen.is_ready, "to be ready", timeout)

    def until_all_ready(self, count: int, timeout: float = START_SECONDS) -> list[Object]:
        """The namespace's pods, as soon as there are `count`, all ready and none on its way out."""

        def look() -> list[Object]:
            pods = self.pods()
            leaving = [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]
            assert len(pods) == count and not leaving and all(map(seen.is_ready, pods)), seen.in_short(pods)
            return pods

        found: list[Object] = self.until(look, f"{count} pods to be ready", timeout)
        return found

    def until_nothing_is_left(self, keep: Collection[str] = (), timeout: float = END_SECONDS) -> None:
        """No pod, and no group but those to keep."""

        def look() -> bool:
            pods, groups = self.pods(), self.group_names()
            assert not pods and groups == set(keep), f"{seen.in_short(pods)}\ngroups {sorted(groups)}"
            return True

        self.until(look, "nothing to be left", timeout)


def check_cloud(cloud: Cloud, foreign: Iterable[str] = ()) -> None:
    """What must hold at the end of every test, whatever happened in it: every request conformed to the API's
    description, no pod ever had two groups, nobody else's group was touched."""
    statistics = cloud.statistics()
    checked_requests.append(statistics["requests"])
    assert statistics["requests"] > 0
    assert statistics["schema_violations"] == 0, statistics["schema_violation_texts"]
    assert statistics["duplicates"] == []
    assert statistics["foreign_deletions"] == []
    missing = set(foreign) - {group["name"] for group in cloud.overview()}
    assert not missing, f"foreign groups are gone: {missing}"


class Changed(Exception):
    """Something that had to stay did not. Not an AssertionError, which a wait would take for "not yet"."""


def holds_for(seconds: float, check: Callable[[], None], what: str) -> None:
    """Asks `check`, which asserts, again and again for that long; the first failure ends it with `Changed`."""
    end = time.monotonic() + seconds

    def is_over() -> bool:
        try:
            check()
        except AssertionError as error:
            raise Changed(f"{what}: {error}") from error
        return time.monotonic() >= end

    wait_until(is_over, timeout=seconds + 10.0, what=f"the end of {what}", interval=ASK_AGAIN_SECONDS)
