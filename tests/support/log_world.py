"""Containers that write, and whoever reads their logs, on the model of SaladCloud under a fake clock."""

from __future__ import annotations

import datetime
import random
from typing import Any

from tests.support.provider_world import FollowedPod, ProviderWorld
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider_insight import LogLine, LogQuestion
from virtual_kubelet_salad.saladcloud.container_output import ContainerOutput, OutputStream

# What the live service was seen to do at its worst.
WORST: dict[str, Any] = {"log_lag_min": 1.0, "log_lag_max": 10.0, "node_skew_max": 73.0}
# The last lines of a run have come in after this time.
SETTLED_SECONDS = 12.0


class Reader:
    """One who reads a log."""

    def __init__(self, world: LogWorld, stream: OutputStream) -> None:
        self._world = world
        self._stream = stream
        self.lines: list[LogLine] = []
        self.read_at: dict[str, float] = {}
        """When each text was read first (monotonic)."""
        self.is_done = False

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    def read(self) -> None:
        """As often as there is something."""
        while not self.is_done:
            lines = self._stream.read()
            if lines is None:
                self.is_done = True
                return
            for line in lines:
                self.lines.append(line)
                self.read_at.setdefault(line.text, self._world.clock.monotonic())
            if not lines:
                return

    def end(self) -> None:
        self._stream.end()

    def close(self) -> None:
        self._stream.close()


class LogWorld(ProviderWorld):
    """Steps the tail and the readers too."""

    def __init__(self, seed: int = 1, **settings: Any) -> None:
        self.readers: list[Reader] = []
        super().__init__(seed, **settings)
        self.random = random.Random(seed)
        self.output = ContainerOutput(self.provider._client, self.provider.tail, self.clock, wait_seconds=0.0)
        self.written: dict[str, list[str]] = {}
        self._tail_due = self.clock.monotonic()
        self.provider.tail.wake = self._wake_tail

    def running_pod(self, name: str = "web", restart_policy: str = "Always", **options: Any) -> FollowedPod:
        pod = self.pod(name, restart_policy, **options)
        self.run_until(lambda: pod.is_ready)
        return pod

    def write(self, pod: FollowedPod, *texts: str) -> None:
        """The container writes lines at this moment."""
        for text in texts:
            self.model.write_line(pod.name, text)
            self.written.setdefault(pod.name, []).append(text)

    def write_for(self, seconds: float, *written_by: FollowedPod, per_second: float = 1.0) -> None:
        """Containers write numbered lines at random moments."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.step(self.random.uniform(0.01, 1.0 / per_second))
            pod = self.random.choice(written_by)
            self.write(pod, f"{pod.owner.pod} line {len(self.written.get(pod.name, []))}")

    def ask(self, pod: FollowedPod, *, previous: bool = False, **options: Any) -> Reader:
        """A reader of the pod's present run."""
        status = pods.container_status(pod.pod)
        state = status.get("state") or {}
        last = (status.get("lastState") or {}).get("terminated") or {}
        run: dict[str, Any] = last if previous else state.get("running") or state.get("terminated") or {}
        question = {
            "names": (pod.name,),
            "container_id": last["containerID"] if previous else status.get("containerID", ""),
            "began": pods.parse_time(run.get("startedAt")),
            "ended": pods.parse_time(run.get("finishedAt")),
            **options,
        }
        reader = Reader(self, self.output.stream(LogQuestion(**question)))
        self.readers.append(reader)
        return reader

    def all_of(self, pod: FollowedPod, **options: Any) -> list[str]:
        """What a reader gets who does not follow."""
        reader = self.ask(pod, **options)
        self.run_until(lambda: reader.is_done, within=600.0)
        return reader.texts

    def step(self, seconds: float = 0.5) -> None:
        super().step(seconds)
        if self._tail_due <= self.clock.monotonic():
            self._tail_due = self.clock.monotonic() + self.provider.tail.step()
        for reader in self.readers:
            reader.read()

    def log_queries(self) -> int:
        """How many queries for what containers wrote there were."""
        return self._log_queries

    def restart(self) -> None:
        super().restart()
        self._log_queries = 0
        self.transport.before = self._count

    def _count(self, method: str, path: str, body: object) -> None:
        if isinstance(body, dict) and 'resource.type = "container"' in str(body.get("query", "")):
            self._log_queries += 1

    def _wake_tail(self) -> None:
        self._tail_due = self.clock.monotonic()


def own(texts: list[str]) -> list[str]:
    """Without what the model's containers write by themselves."""
    return [text for text in texts if " line " in text]


def seconds(count: float) -> datetime.timedelta:
    return datetime.timedelta(seconds=count)
