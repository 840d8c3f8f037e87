"""The two lines out of a daemon process, as transports onto the models: everything that can go wrong on the way.

A line tells the judge of every call before and after it is carried out, and lets the world's `fate` meet it there.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.explorer.distortion import distorted
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.outcomes import ApiAnswer
from virtual_kubelet_salad.saladcloud.transport import Answer
from virtual_kubelet_salad.sandbox.salad_wire import NOT_FOUND, ConnectionDropped, Request

if TYPE_CHECKING:
    from tests.explorer.process import Process

OLD_PAGE = datetime.timedelta(hours=1)
HEADERS = {"User-Agent": "explorer", "Content-Type": "application/json"}


def lost(applied: bool) -> errors.CouldNotAsk:
    return errors.CouldNotAsk("the connection was cut", may_be_applied=applied)


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


_MODIFIED = 'Operation cannot be fulfilled on pods "x": the object has been modified; please apply your changes'
# What the API server, or a proxy before it, answers instead of doing what it was asked for.
API_FAULTS: dict[str, ApiAnswer] = {
    "409": ApiAnswer(409, _status(409, "Conflict", _MODIFIED)),
    "429": ApiAnswer(429, _status(429, "TooManyRequests", "too many requests"), {"retry-after": "2"}),
    "500": ApiAnswer(500, _status(500, "InternalError", "etcdserver: request timed out")),
    "504": ApiAnswer(504, _status(504, "Timeout", "the request did not complete in time")),
    "503": ApiAnswer(503, None),
    "404-page": ApiAnswer(404, None),
    "200-page": ApiAnswer(200, None),
    "401": ApiAnswer(401, _status(401, "Unauthorized", "Unauthorized")),
    "403": ApiAnswer(403, _status(403, "Forbidden", "forbidden: no role is bound")),
}
# Of these nobody knows whether they were carried out.
_MAY_BE_APPLIED = ("500", "504", "503", "200-page")


class ApiWire:
    """Implements `kube.transport.ApiTransport`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world

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
        def ask() -> ApiAnswer:
            return self._request(method, path, query, body, content_type)

        return self._world.told(f"daemon {self._process.number}", method, path, ask)

    def _request(
        self, method: str, path: str, query: Mapping[str, str], body: object, content_type: str | None
    ) -> ApiAnswer:
        world, process = self._world, self._process
        world.meet_fate(process, is_applied=False)
        if world.api_is_down or world.clock.monotonic() < process.api_is_out_of_reach_until:
            raise errors.CouldNotAsk("no connection to the API server")
        fault, world.next_api_fault = world.next_api_fault, None
        if fault is not None and not (fault[1] and fault[0] in _MAY_BE_APPLIED):
            return API_FAULTS[fault[0]]
        world.judge.before_api(process, method, path, body)
        answer = world.api_model.handle(method, path, query, body, content_type)
        world.judge.after_api(process, method, path)
        world.go_on(process)
        world.meet_fate(process, is_applied=True)
        return ApiAnswer(answer.status, answer.body, {}) if fault is None else API_FAULTS[fault[0]]


class CloudWire:
    """Implements `saladcloud.transport.Transport`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._world = process.world

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        def ask() -> Answer:
            return self._send(method, path, body, content_type)

        return self._world.told(f"daemon {self._process.number}", method, path, ask)

    def _send(self, method: str, path: str, body: object, content_type: str | None) -> Answer:
        world, process = self._world, self._process
        world.judge.before_cloud(process, method, path, body)
        world.meet_fate(process, is_applied=False)
        headers = {"Salad-Api-Key": world.key_in_file, **HEADERS}
        if content_type is not None:
            headers["Content-Type"] = content_type
        request = Request(method, path, headers, body)
        if world.next_write_is_late_by is not None and process.is_write(method, path):
            world.receive_late(request)
            raise lost(True)
        if world.clock.monotonic() < process.cloud_is_out_of_reach_until:
            raise lost(False)
        world.go_on(process)
        try:
            response = NOT_FOUND if world.is_denied(method, path) else world.cloud.handle(request)
        except ConnectionDropped:
            raise errors.CouldNotAsk("the connection was cut", may_be_applied=method != "GET") from None
        world.meet_fate(process, is_applied=True)
        is_json = "json" in response.content_type
        decoded = response.body if is_json and not isinstance(response.body, str) else None
        if decoded is not None and 200 <= response.status < 300:
            world.leave_out(method, path, decoded)
            decoded = distorted(path, decoded, world.layout, world.now_in_cloud())
        text = response.headers.get("Retry-After")
        retry_after = float(text) if text else None
        if response.status == 429 and retry_after is not None:
            world.judge.asked_to_wait(process, retry_after)
        return Answer(response.status, response.content_type, decoded, retry_after, self._date(is_json))

    def cut(self, thread_id: int) -> None:
        """Nothing hangs here."""

    def close(self) -> None:
        """Nothing hangs here either."""

    def _date(self, is_from_saladcloud: bool) -> datetime.datetime:
        """The answer's `Date`; a page of a proxy may be an old one."""
        now = self._world.now_in_cloud().replace(microsecond=0)
        return now if is_from_saladcloud else now - OLD_PAGE
