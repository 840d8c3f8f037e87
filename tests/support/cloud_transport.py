"""The SaladCloud model as a transport: requests without sockets, with faults on demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.saladcloud.transport import Answer
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_wire import ConnectionDropped, Request


@dataclasses.dataclass(frozen=True)
class CloudSettings:
    """What the provider needs to know of the configuration; fits the simulator."""

    nodename: str = "saladcloud-node"
    sce_organization_name: str = "sandbox"
    sce_project_name: str = "default"
    sce_api_url: str = "http://127.0.0.1"
    sce_rate_limit: int | None = 240
    salad_list_limit: int = 100
    poll_interval: float = 5.0
    feed_interval: float = 10.0
    default_priority: str = "high"
    max_price_per_hour: Decimal | None = None

    @property
    def api_key(self) -> Any:
        raise AssertionError("nothing here sends a key")


class CloudTransport:
    """Implements `saladcloud.transport.Transport`.

    `before` and `after` are called around each request with method, path and body; what they raise replaces the
    request, or its answer.
    """

    def __init__(self, model: SaladCloudModel) -> None:
        self.model = model
        self.before: Callable[[str, str, object], None] = lambda method, path, body: None
        self.after: Callable[[str, str, object], None] = lambda method, path, body: None

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        self.before(method, path, body)
        headers = {"Salad-Api-Key": "k", "User-Agent": "test", "Content-Type": content_type or "application/json"}
        try:
            response = self.model.handle(Request(method, path, headers, body))
        except ConnectionDropped:
            raise errors.CouldNotAsk("the connection was cut", may_be_applied=method != "GET") from None
        self.after(method, path, body)
        is_json = "json" in response.content_type
        decoded = response.body if is_json and not isinstance(response.body, str) else None
        retry_after = response.headers.get("Retry-After")
        date = self.model._world.clock.now().replace(microsecond=0)
        return Answer(
            response.status, response.content_type, decoded, float(retry_after) if retry_after else None, date
        )

    def cut(self, thread_id: int) -> None:
        """Nothing hangs here."""

    def close(self) -> None:
        """Nor here."""
