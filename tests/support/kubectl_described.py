"""Somebody who reads what `kubectl describe pod` and `kubectl get pod -o wide` print."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

from tests.support import manifests
from tests.support.cluster_world import ClusterWorld

READ_SECONDS = 180.0


@dataclasses.dataclass(frozen=True)
class Event:
    """One line under *Events*."""

    type: str
    reason: str
    count: int
    source: str
    message: str


@dataclasses.dataclass(frozen=True)
class Description:
    """What `kubectl describe pod` printed."""

    text: str

    def field(self, name: str) -> str:
        """A field of the pod; empty when it is not shown."""
        found = re.search(rf"^{name}:[ \t]+(.*)$", self.text, re.MULTILINE)
        return found[1].strip() if found else ""

    def state(self, title: str = "State") -> list[str]:
        """The container's state and what stands below it, one word or number each: ["Waiting", "Reason: …"]."""
        found = re.search(rf"^    {title}:[ \t]+(\S+)\n((?:      .*\n)*)", self.text, re.MULTILINE)
        if found is None:
            return []
        return [found[1], *(re.sub(r":\s+", ": ", line.strip()) for line in found[2].splitlines())]

    @property
    def conditions(self) -> dict[str, str]:
        """None before somebody has written the first."""
        block = self.text.partition("\nConditions:\n")[2].partition("\nVolumes:")[0].splitlines()[1:]
        return {line.split()[0]: line.split()[1] for line in block if line.startswith("  ")}

    @property
    def events(self) -> list[Event]:
        lines = self.text.split("\nEvents:\n")[1].splitlines()[2:] if "\nEvents:\n" in self.text else []
        found = []
        for line in lines:
            type, reason, age, source, message = re.split(r"\s{2,}", line.strip(), maxsplit=4)
            counted = re.search(r"\(x(\d+) over ", age)
            found.append(Event(type, reason, int(counted[1]) if counted else 1, source, message))
        return found

    def event(self, reason: str) -> Event:
        """The only event of that reason."""
        (found,) = [event for event in self.events if event.reason == reason]
        return found


@dataclasses.dataclass(frozen=True)
class Reader:
    """Somebody with kubectl."""

    on: ClusterWorld

    def describe(self, name: str) -> Description:
        return Description(self.on.kubectl("describe", "pod", name))

    def until_described(self, name: str, check: Callable[[Description], None]) -> Description:
        """The description, as soon as what `check` asserts holds in it."""

        def look() -> Description:
            described = self.describe(name)
            try:
                check(described)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{described.text}") from error
            except ValueError as error:
                raise AssertionError(f"{error}\n{described.text}") from error
            return described

        found: Description = self.on.until(look, f"the description of {name}", READ_SECONDS)
        return found

    def until_it_waits(self, name: str, reason: str, message: str) -> Description:
        """Until the container waits for that reason, and the pod says so in that message (a pattern)."""

        def check(described: Description) -> None:
            assert described.state() == ["Waiting", f"Reason: {reason}"]
            assert re.fullmatch(message, described.field("Message")), described.field("Message")

        return self.until_described(name, check)

    def row(self, name: str) -> dict[str, str]:
        """The line of `kubectl get pod -o wide`, by its titles."""
        titles, line = self.on.kubectl("get", "pod", name, "-o", "wide").splitlines()
        starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", titles)]
        names = re.findall(r"\S+(?: \S+)*", titles)
        ends = [*starts[1:], None]
        return {name: line[start:end].strip() for name, start, end in zip(names, starts, ends)}

    def status(self, name: str) -> tuple[str, str, str]:
        """READY, STATUS and NODE."""
        row = self.row(name)
        return row["READY"], row["STATUS"], row["NODE"]

    def create(self, name: str, *, is_bound: bool = False, **spec: Any) -> None:
        """`is_bound`: without the scheduler, which counts what the quota leaves."""
        pod = manifests.pod(name, **spec)
        if is_bound:
            pod["spec"]["nodeName"] = self.on.node
            self.on.cluster.create_pod(pod, self.on.namespace)
        else:
            self.on.create_pod(pod)

    def configure(self, **settings: float) -> None:
        self.on.cloud.control("configure", **settings)
