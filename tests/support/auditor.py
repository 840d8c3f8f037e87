"""Watches a cluster and a simulated SaladCloud side by side, whatever the tests do meanwhile.

What must hold at every moment is looked at some times a second: no pod's object goes before its container group. And
what only the cluster knows is written into the simulator's books: whose pod has ended, so that it counts the seconds
that a container ran for nobody.
"""

from __future__ import annotations

import threading
import types
from typing import Any, Self

from tests.support.cloud_process import Cloud
from tests.support.cluster import Cluster, Object, phase
from virtual_kubelet_salad.sandbox.https_api import CouldNotReach

LOOK_SECONDS = 0.25
STOP_SECONDS = 30.0


class Auditor:
    """A context manager; `check` may be called in it and after it. `cluster` must be able to see all pods."""

    def __init__(self, cluster: Cluster, cloud: Cloud) -> None:
        self._cluster = cluster
        self._cloud = cloud
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auditor")
        self._known: set[str] = set()
        self._ended: set[str] = set()
        self._violations: dict[str, str] = {}
        self._looks = 0
        self._problem: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), "the auditor does not end"

    def check(self) -> None:
        """AssertionError when something was wrong at any moment, or when nobody looked."""
        assert self._problem is None, repr(self._problem)
        assert not self._violations, "\n".join(self._violations.values())
        assert self._looks > 0 and self._known, f"{self._looks} looks, {len(self._known)} pods"

    def _run(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as problem:  # told by `check`; the thread has nobody to tell
                self._problem = problem
                return

    def look(self) -> None:
        """One look at both."""
        try:
            pods = {pod["metadata"]["uid"]: pod for pod in self._cluster.items("/api/v1/pods")}
        except (CouldNotReach, AssertionError):
            return  # the API server is away, or only half back: another look tells
        # Asked for after the pods: a group that is there now, of a pod that had gone before, has outlived it.
        for group in self._cloud.overview():
            self._compare(group, pods)
        ended = {uid for uid, pod in pods.items() if _has_ended(pod)} | (self._known - pods.keys())
        for uid in ended - self._ended:
            self._cloud.control("pod_ended", uid=uid)
        self._ended |= ended
        self._known |= pods.keys()
        self._looks += 1

    def _compare(self, group: dict[str, Any], pods: dict[str, Object]) -> None:
        uid = group["owner_uid"]
        if uid in self._known and uid not in pods:
            name, namespace = group["name"], group["owner_namespace"]
            self._violations[name] = f"the pod of {name} in {namespace} has gone before its group"


def _has_ended(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"] or phase(pod) in ("Succeeded", "Failed")
