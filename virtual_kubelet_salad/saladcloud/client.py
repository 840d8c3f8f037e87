"""SaladCloud's API, one method per operation we use.

Guarantees: a request is sent only when the budget gives a token (`NoBudget` otherwise) and, if it changes something,
right after `before_write` has agreed; every error is one of `errors`; secret values are removed from an answer before
anything else looks at it; every request is counted. Never waits and never repeats by itself. Safe to call from any
thread.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from virtual_kubelet_salad.errors import (
    Blocked,
    Conflict,
    CouldNotAsk,
    Error,
    NoBudget,
    NotFound,
    Refused,
    UnknownPlace,
)
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import Budget, RequestClass
from virtual_kubelet_salad.saladcloud import problems
from virtual_kubelet_salad.saladcloud.cloud_time import CloudTime
from virtual_kubelet_salad.saladcloud.models import GpuClass, Instance, LogEntry, LogPage, OutputPage, Quota
from virtual_kubelet_salad.saladcloud.owner import SALAD_VK_OWNER
from virtual_kubelet_salad.saladcloud.schemas import answers
from virtual_kubelet_salad.saladcloud.transport import Answer, Transport

log = logging.getLogger(__name__)

T = TypeVar("T")

RawGroup = dict[str, Any]
"""A container group as the API sends it, without secrets."""

MERGE_PATCH = "application/merge-patch+json"
LOG_PAGE_SIZE = 100

# For connecting and for reading, in seconds. A single read is quick; the list of a thousand groups, an accepted write
# and a query of the logs are not.
_READ_TIMEOUT = (5.0, 10.0)
_LIST_TIMEOUT = (5.0, 20.0)
_WRITE_TIMEOUT = (5.0, 30.0)
_LOGS_TIMEOUT = (5.0, 30.0)

# The values of variables stand in commands too: in the container's, and in those of its probes.
_SECRET_PARTS = ("command", "logging", "registry_authentication")
_PROBES = ("liveness_probe", "readiness_probe", "startup_probe")

_UNREADABLE = "SaladCloud answered with something that is no answer to the question"


class Observer(Protocol):
    """Counts requests; `metrics.Metrics` does."""

    def salad_request(self, operation: str, code: int | None, seconds: float) -> None: ...

    def salad_rate_limited(self) -> None: ...

    def salad_budget_remaining(self, requests: float) -> None: ...


class SaladCloud:
    """One organization and project."""

    def __init__(
        self,
        transport: Transport,
        budget: Budget,
        clock: Clock,
        observer: Observer,
        organization: str,
        project: str,
        *,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        self.organization = organization
        self.project = project
        self.time = CloudTime(clock)
        """What time it is at SaladCloud."""
        self.believes_absence: Callable[[], bool] = lambda: True
        """Whether an answer that a group does not exist counts. A service that lost its way says so of everything."""
        self._transport = transport
        self._budget = budget
        self._clock = clock
        self._observer = observer
        self._before_write = before_write
        self._organization_path = f"/organizations/{quote(organization, safe='')}"
        self._groups_path = f"{self._organization_path}/projects/{quote(project, safe='')}/containers"

    def close(self) -> None:
        """Lets calls under way fail at once (`CouldNotAsk`), and sends nothing any more."""
        self._transport.close()

    def cut(self, thread_id: int) -> None:
        """Lets the call that this thread waits in, if any, fail at once (`CouldNotAsk`)."""
        self._transport.cut(thread_id)

    # -- container groups

    def list_groups(self) -> list[RawGroup]:
        """All groups of the project, or as many as SaladCloud shows. Raises `CouldNotAsk`."""
        body = self._read("list_container_groups", self._groups_path, RequestClass.POLL, _LIST_TIMEOUT)
        items = body.get("items") if isinstance(body, dict) else None
        if not isinstance(items, list):
            raise CouldNotAsk(_UNREADABLE)
        return [sanitized(item) for item in items if isinstance(item, dict)]

    def get_group(self, name: str, request_class: RequestClass = RequestClass.READ) -> RawGroup:
        """Raises `NotFound`, `CouldNotAsk`."""
        return _group(self._read("get_container_group", self._group_path(name), request_class), may_be_applied=False)

    def create_group(self, request: object) -> RawGroup:
        """Raises `Conflict`, `Blocked`, `Refused`, `CouldNotAsk`."""
        body = self._write("create_container_group", "POST", self._groups_path, RequestClass.CREATE, request)
        return _group(body, may_be_applied=True)

    def patch_group(self, name: str, patch: object) -> RawGroup:
        """Raises `NotFound`, `Blocked`, `Refused`, `CouldNotAsk`."""
        body = self._write(
            "update_container_group", "PATCH", self._group_path(name), RequestClass.CREATE, patch, MERGE_PATCH
        )
        return _group(body, may_be_applied=True)

    def delete_group(self, name: str) -> None:
        """Accepted, not done. Raises `NotFound`, `CouldNotAsk`."""
        try:
            self._order("delete_container_group", "DELETE", self._group_path(name), RequestClass.DELETE)
        except (Blocked, Refused, Conflict) as error:
            raise CouldNotAsk(str(error)) from error

    def start_group(self, name: str) -> None:
        """Accepted, not done; one that is deploying or running needs nothing. Raises `NotFound`, `Blocked`,
        `CouldNotAsk`.
        """
        try:
            self._order("start_container_group", "POST", f"{self._group_path(name)}/start", RequestClass.CREATE)
        except _CannotStart as error:
            if not error.is_on_its_way:
                raise
        except (Conflict, Refused) as error:
            raise Blocked("RejectedBySaladCloud", str(error)) from error

    def stop_group(self, name: str) -> None:
        """Accepted, not done. Raises `NotFound`, `Blocked`, `CouldNotAsk`."""
        self._order("stop_container_group", "POST", f"{self._group_path(name)}/stop", RequestClass.DELETE)

    def list_instances(self, name: str, request_class: RequestClass = RequestClass.READ) -> tuple[Instance, ...]:
        """Raises `NotFound`, `CouldNotAsk`."""
        path = f"{self._group_path(name)}/instances"
        return _readable(answers.instances(self._read("list_container_group_instances", path, request_class)))

    def system_logs(self, name: str) -> tuple[LogEntry, ...]:
        """The latest events of one group. Raises `NotFound`, `CouldNotAsk`."""
        path = f"{self._group_path(name)}/system-logs"
        return _readable(answers.system_logs(self._read("get_system_logs", path, RequestClass.READ), name))

    # -- the organization

    def quota(self) -> Quota:
        """Raises `CouldNotAsk`."""
        path = f"{self._organization_path}/quotas"
        return _readable(answers.quota(self._read("get_quotas", path, RequestClass.POLL)))

    def gpu_classes(self) -> tuple[GpuClass, ...]:
        """Raises `CouldNotAsk`."""
        path = f"{self._organization_path}/gpu-classes"
        return _readable(answers.gpu_classes(self._read("list_gpu_classes", path, RequestClass.POLL)))

    def log_entries(
        self,
        query: str,
        start: datetime.datetime,
        end: datetime.datetime,
        *,
        request_class: RequestClass,
        page_size: int = LOG_PAGE_SIZE,
        sort_order: str = "asc",
    ) -> LogPage:
        """The first page of the system events that match, from `start` to `end`. Raises `CouldNotAsk`."""
        return _readable(answers.log_page(self._logs(query, start, end, request_class, page_size, sort_order)))

    def output_entries(
        self, query: str, start: datetime.datetime, end: datetime.datetime, *, sort_order: str = "asc"
    ) -> OutputPage:
        """The first page of what containers wrote, from `start` to `end`. Raises `CouldNotAsk`."""
        body = self._logs(query, start, end, RequestClass.LOGS, LOG_PAGE_SIZE, sort_order)
        return _readable(answers.output_page(body))

    def _logs(
        self,
        query: str,
        start: datetime.datetime,
        end: datetime.datetime,
        request_class: RequestClass,
        page_size: int,
        sort_order: str,
    ) -> object:
        request = {
            "query": query,
            "start_time": _milliseconds(start),
            "end_time": _milliseconds(end),
            "page_size": page_size,
            "sort_order": sort_order,
        }
        path = f"{self._organization_path}/log-entries"
        try:
            return self._send("query_log_entries", "POST", path, request_class, request, timeout=_LOGS_TIMEOUT).body
        except (NotFound, Blocked, Refused, Conflict) as error:
            raise CouldNotAsk(str(error)) from error

    # -- how it is asked

    def _group_path(self, name: str) -> str:
        return f"{self._groups_path}/{quote(name, safe='')}"

    def _read(
        self, operation: str, path: str, request_class: RequestClass, timeout: tuple[float, float] = _READ_TIMEOUT
    ) -> Any:
        try:
            return self._send(operation, "GET", path, request_class, timeout=timeout).body
        except (Blocked, Refused, Conflict) as error:
            raise CouldNotAsk(str(error)) from error
        except NotFound as error:
            if operation in _NEVER_NOT_FOUND:
                raise UnknownPlace(str(error)) from error
            raise

    def _write(
        self,
        operation: str,
        method: str,
        path: str,
        request_class: RequestClass,
        body: object = None,
        content_type: str | None = None,
    ) -> Any:
        self._before_write()
        answer = self._send(operation, method, path, request_class, body, content_type, _WRITE_TIMEOUT, is_write=True)
        return answer.body

    def _order(self, operation: str, method: str, path: str, request_class: RequestClass) -> None:
        """A write that is answered without a body. A 200 is no such answer: proxies send it with pages of their own."""
        self._before_write()
        answer = self._send(operation, method, path, request_class, None, None, _WRITE_TIMEOUT, is_write=True)
        if answer.status not in _ORDER_ACCEPTED:
            raise CouldNotAsk(f"SaladCloud answered {answer.status}, which accepts nothing", may_be_applied=True)

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        request_class: RequestClass,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float] = _READ_TIMEOUT,
        *,
        is_write: bool = False,
    ) -> Answer:
        delay = self._budget.try_acquire(request_class)
        self._observer.salad_budget_remaining(self._budget.remaining())
        if delay > 0.0:
            raise NoBudget("the budget of requests to SaladCloud is used up", retry_after=delay)
        begun = self._clock.monotonic()
        status: int | None = None
        try:
            answer = self._transport.send(method, path, body=body, content_type=content_type, timeout=timeout)
            status = answer.status
        finally:
            seconds = self._clock.monotonic() - begun
            self._observer.salad_request(operation, status, seconds)
            log.debug("asked SaladCloud operation=%s status=%s seconds=%.3f", operation, status, seconds)
        self.time.heard(answer.date, seconds)
        if 200 <= answer.status < 300:
            return answer
        if answer.status == 429:
            self._budget.throttled(answer.retry_after)
            self._observer.salad_rate_limited()
        error = _error(answer, operation, is_write, body)
        if isinstance(error, NotFound) and operation not in _NEVER_NOT_FOUND and not self.believes_absence():
            raise CouldNotAsk("SaladCloud says that it does not exist, but does not answer other questions either")
        raise error


_ORDER_ACCEPTED = frozenset({202, 204})
_NEVER_NOT_FOUND = frozenset({"list_container_groups", "get_quotas", "list_gpu_classes"})
# What the text of a refused start says of a group that needs no start.
_ON_ITS_WAY = ("running status", "deploying status")
_START_RETRY_SECONDS = 15.0


class _CannotStart(Blocked):
    """A start in a state from which nothing can be started."""

    def __init__(self, text: str) -> None:
        super().__init__("CannotStart", text, retry_after=_START_RETRY_SECONDS)
        self.is_on_its_way = any(words in text for words in _ON_ITS_WAY)


def sanitized(group: RawGroup) -> RawGroup:
    """The same group after its secret values were taken out; what stays of the environment is the owner record."""
    for part in _PROBES:
        group.pop(part, None)
    container = group.get("container")
    if isinstance(container, dict):
        variables = container.pop("environment_variables", None)
        for part in _SECRET_PARTS:
            container.pop(part, None)
        if isinstance(variables, dict) and SALAD_VK_OWNER in variables:
            container["environment_variables"] = {SALAD_VK_OWNER: variables[SALAD_VK_OWNER]}
    return group


def _error(answer: Answer, operation: str, is_write: bool, request: object) -> Error:
    if problems.type_of(answer.body) == problems.CANNOT_START and operation == "start_container_group":
        return _CannotStart(problems.text_of(answer.body))
    error = problems.error_of(answer, is_write=is_write, request=request)
    if isinstance(error, NotFound) and operation == "create_container_group":
        return Blocked("RejectedBySaladCloud", str(error))
    return error


def _group(body: object, *, may_be_applied: bool) -> RawGroup:
    if isinstance(body, dict):
        sanitized(body)
        if isinstance(body.get("name"), str) and isinstance(body.get("container"), dict):
            return body
    raise CouldNotAsk(_UNREADABLE, may_be_applied=may_be_applied)


def _readable(value: T | None) -> T:
    if value is None:
        raise CouldNotAsk(_UNREADABLE)
    return value


def _milliseconds(time: datetime.datetime) -> str:
    """The API refuses times that are more precise."""
    return time.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
