"""The client of SaladCloud on prepared answers, and each of its operations by name."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from typing import Any

from tests.support.clock import FakeClock
from virtual_kubelet_salad.runtime.ratelimit import Budget, RequestClass
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.transport import Answer

JSON = "application/json; charset=utf-8"
HTML = "text/html"
GROUP = {
    "name": "web-abc",
    "container": {
        "image": "nginx",
        "command": ["serve", "--token=hidden"],
        "environment_variables": {"TOKEN": "hidden", "SALAD_VK_OWNER": "the record"},
        "logging": {"tcp": {"host": "hidden", "port": 1}},
    },
    "liveness_probe": {"exec": {"command": ["check", "hidden"]}},
}
REQUEST = {
    "name": "web-abc",
    "container": {
        "image": "nginx",
        "environment_variables": {"TOKEN": "hidden-value"},
        "registry_authentication": {"basic": {"username": "me", "password": "hidden-password"}},
    },
    "readiness_probe": {"http": {"path": "/"}},
}


class Wire:
    """A transport that gives prepared answers and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Answer | Exception] = []
        self.sent: list[tuple[str, str, object, str | None]] = []

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        self.sent.append((method, path, body, content_type))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def say(self, status: int, body: Any = None, content_type: str = JSON, retry_after: float | None = None) -> None:
        self.answers.append(Answer(status, content_type, copy.deepcopy(body), retry_after))


class Counted:
    """What the client reports."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, int | None]] = []
        self.limited = 0

    def salad_request(self, operation: str, code: int | None, seconds: float) -> None:
        self.requests.append((operation, code))

    def salad_rate_limited(self) -> None:
        self.limited += 1

    def salad_budget_remaining(self, requests: float) -> None:
        self.remaining = requests


class World:
    def __init__(self, limit: float = 240.0, before_write: Callable[[], None] = lambda: None) -> None:
        self.clock, self.wire, self.counted = FakeClock(), Wire(), Counted()
        self.budget = Budget(self.clock, limit)
        self.client = SaladCloud(
            self.wire, self.budget, self.clock, self.counted, "org", "project", before_write=before_write
        )


READS: dict[str, Callable[[SaladCloud], object]] = {
    "list": lambda client: client.list_groups(),
    "get": lambda client: client.get_group("web-abc"),
    "instances": lambda client: client.list_instances("web-abc"),
    "system logs": lambda client: client.system_logs("web-abc"),
    "quota": lambda client: client.quota(),
    "classes": lambda client: client.gpu_classes(),
    "log entries": lambda client: client.log_entries(
        "query",
        datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(2026, 1, 1, 0, 1, 0, 123456, tzinfo=datetime.UTC),
        request_class=RequestClass.POLL,
    ),
}
WRITES: dict[str, Callable[[SaladCloud], object]] = {
    "create": lambda client: client.create_group(REQUEST),
    "patch": lambda client: client.patch_group("web-abc", {"container": {"image": "nginx:2"}}),
    "delete": lambda client: client.delete_group("web-abc"),
    "start": lambda client: client.start_group("web-abc"),
    "stop": lambda client: client.stop_group("web-abc"),
}
CALLS = {**READS, **WRITES}
# Those that ask about one group, so that a 404 can mean that one.
ABOUT_ONE = ("get", "instances", "system logs", "patch", "delete", "start", "stop")


def problem(kind: str | None, detail: str = "", **members: Any) -> dict[str, Any]:
    return {"type": kind, "title": "Bad Request", "detail": detail, **members}
