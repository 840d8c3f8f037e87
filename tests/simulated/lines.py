"""The two lines out of a simulated daemon process: what it asks of whom and when, and what may go wrong on the way."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.clock import FakeClock
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.saladcloud.transport import Answer
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_wire import ConnectionDropped, Request

MINUTE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Call:
    """A request that went out; `at` is monotonic."""

    at: float
    method: str
    path: str

    @property
    def operation(self) -> str:
        """`list`, `feed`, `create`, `delete`, `start`, `instances`, …: what a test wants to count."""
        below = self.path.partition("/containers")[2]
        if "/containers" not in self.path:
            return {"log-entries": "feed"}.get(self.path.rpartition("/")[2], self.path.rpartition("/")[2])
        if below == "":
            return "list" if self.method == "GET" else "create"
        action = below.strip("/").partition("/")[2]
        return action or {"GET": "get", "DELETE": "delete", "PATCH": "update"}[self.method]


class CloudLine:
    """Implements `saladcloud.transport.Transport` on the model of SaladCloud.

    `before` may raise, or answer instead of SaladCloud; `after` may raise instead of giving the answer: it was carried
    out then. `distort` may change the body of an answer. A call that `hangs` takes as long as it may, and gets none.
    """

    def __init__(self, model: SaladCloudModel, clock: FakeClock, key: str) -> None:
        self.key = key
        self.calls: list[Call] = []
        self.before: Callable[[str, str], Answer | None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.distort: Callable[[str, Any], Any] = lambda path, body: body
        self.most_per_minute = 0
        self._model = model
        self._clock = clock
        self._minute: collections.deque[float] = collections.deque()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        self._count(method, path)
        instead = self.before(method, path)
        if instead is not None:
            return instead
        headers = {"Salad-Api-Key": self.key, "User-Agent": "t/1", "Content-Type": content_type or "application/json"}
        try:
            response = self._model.handle(Request(method, path, headers, body))
        except ConnectionDropped as dropped:
            if dropped.hangs:
                self._clock.advance(timeout[1])
            raise errors.CouldNotAsk("the connection was cut", may_be_applied=method != "GET") from None
        self.after(method, path)
        is_json = "json" in response.content_type
        decoded = response.body if is_json and not isinstance(response.body, str) else None
        retry_after = response.headers.get("Retry-After")
        return Answer(
            response.status,
            response.content_type,
            self.distort(path, decoded),
            float(retry_after) if retry_after else None,
            self._clock.now().replace(microsecond=0),
        )

    def close(self) -> None:
        """Nothing is left open."""

    def count(self, operation: str, since: float = 0.0) -> int:
        """How many calls of that operation went out at or after a monotonic time."""
        return sum(call.operation == operation and call.at >= since for call in self.calls)

    def longest_gap(self, operation: str, since: float, until: float) -> float:
        """The longest time without a call of that operation, in seconds."""
        times = [call.at for call in self.calls if call.operation == operation and since <= call.at <= until]
        return max(later - earlier for earlier, later in zip([since, *times], [*times, until]))

    def _count(self, method: str, path: str) -> None:
        now = self._clock.monotonic()
        self.calls.append(Call(now, method, path))
        self._minute.append(now)
        while self._minute[0] <= now - MINUTE_SECONDS:
            self._minute.popleft()
        self.most_per_minute = max(self.most_per_minute, len(self._minute))


class ApiLine:
    """Implements `kube.transport.ApiTransport` on the model of the API server.

    `before` may raise, or answer instead of it. `after` may raise instead of giving the answer: it was applied then.
    """

    def __init__(self, model: ApiServerModel) -> None:
        self.is_cut = False
        self.before: Callable[[str, str], ApiAnswer | None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.requests = 0
        self.writes: list[tuple[str, str]] = []
        self._model = model

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = {},
        body: object = None,
        content_type: str | None = None,
        timeout: float,
    ) -> ApiAnswer:
        self.requests += 1
        if self.is_cut:
            raise errors.CouldNotAsk("no connection to the API server")
        instead = self.before(method, path)
        if instead is not None:
            return instead
        answer = self._model.handle(method, path, query, body, content_type)
        if method != "GET":
            self.writes.append((method, path))
        self.after(method, path)
        return ApiAnswer(answer.status, answer.body, {})
