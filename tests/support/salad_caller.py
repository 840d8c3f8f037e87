"""A small client of the SaladCloud simulator's model, for tests: it sends well-formed requests and moves the fake
clock.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from tests.support.clock import FakeClock
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST, SaladSettings
from virtual_kubelet_salad.sandbox.salad_wire import Request, Response

HEADERS = {"Salad-Api-Key": "some key", "User-Agent": "tests/1"}
CONTENT_TYPES = {"POST": "application/json", "PATCH": "application/merge-patch+json"}
ORGANIZATION = "/organizations/sandbox"
GROUPS = ORGANIZATION + "/projects/default/containers"
RTX_3060 = "f51baccc-dc95-40fb-a5d1-6d0ee0db31d2"


def prototype(name: str, *, uid: str | None = None, environment: dict[str, str] | None = None, **changes: Any) -> Any:
    """The body of a create. Names of the container's members go there, all others to the group."""
    variables = dict(environment or {})
    if uid is not None:
        variables["SALAD_VK_OWNER"] = json.dumps({"uid": uid})
    container: dict[str, Any] = {"image": "nginx:1", "resources": {"cpu": 1, "memory": 1024}}
    if variables:
        container["environment_variables"] = variables
    body: dict[str, Any] = {"name": name, "autostart_policy": True, "replicas": 1, "restart_policy": "always"}
    for key, value in changes.items():
        target = container if key in ("image", "command", "resources", "priority", "registry_authentication") else body
        target[key] = value
    return {**body, "container": container}


class SaladCaller:
    """One model under a fake clock. Settings are those of the profile `fast`, without a rate limit, unless said
    otherwise.
    """

    def __init__(self, clock: FakeClock | None = None, seed: int = 1, **settings: Any) -> None:
        self.clock = clock or FakeClock()
        self.settings: SaladSettings = dataclasses.replace(FAST, **{"rate_limit_per_minute": None, **settings})
        self.model = SaladCloudModel(self.clock, self.settings, seed)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        sent = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if body is not None and "Content-Type" not in sent:
            sent["Content-Type"] = CONTENT_TYPES[method]
        return self.model.handle(Request(method, path, sent, body))

    def create(self, name: str, **changes: Any) -> Response:
        return self.call("POST", GROUPS, prototype(name, **changes))

    def group(self, name: str) -> Any:
        response = self.call("GET", f"{GROUPS}/{name}")
        assert response.status == 200, response.text
        return response.body

    def status(self, name: str) -> str:
        return str(self.group(name)["current_state"]["status"])

    def names(self) -> list[str]:
        return [group["name"] for group in self.call("GET", GROUPS).body["items"]]

    def instances(self, name: str) -> list[Any]:
        response = self.call("GET", f"{GROUPS}/{name}/instances")
        assert response.status == 200, response.text
        instances: list[Any] = response.body["instances"]
        return instances

    def instance(self, name: str) -> Any:
        (instance,) = self.instances(name)
        return instance

    def patch(self, name: str, body: object) -> Response:
        return self.call("PATCH", f"{GROUPS}/{name}", body)

    def delete(self, name: str) -> Response:
        return self.call("DELETE", f"{GROUPS}/{name}")

    def post(self, name: str, action: str) -> Response:
        return self.call("POST", f"{GROUPS}/{name}/{action}")

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.advance()

    def wait_for(self, condition: Callable[[], bool], within: float = 60.0) -> None:
        """From change to change, until the condition holds. An AssertionError after `within` seconds of the fake
        clock.
        """
        end = self.clock.monotonic() + within
        while not condition():
            due = self.model.next_change()
            assert due is not None and due <= end, "nothing more happens, and the condition does not hold"
            self.wait(max(0.0, due - self.clock.monotonic()))

    def run(self, name: str, **changes: Any) -> Any:
        """Create a group and let it run; returns its instance."""
        response = self.create(name, **changes)
        assert response.status == 201, response.text
        self.wait_for(lambda: self.status(name) == "running")
        return self.instance(name)

    def events(self, name: str) -> list[str]:
        """The names of a group's events, oldest first, however late they are received."""
        items = self.call("GET", f"{GROUPS}/{name}/system-logs").body["items"]
        return [item["event_name"] for item in reversed(items)]

    def logs(self, query: str, **changes: Any) -> Response:
        body = {"query": query, "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z", **changes}
        return self.call("POST", f"{ORGANIZATION}/log-entries", body)
