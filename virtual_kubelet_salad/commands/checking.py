"""The facts of `check`: each is asked for on its own, changes nothing, and is one line with ok or fail.

A fact that cannot be asked for because an earlier one failed is left out: its line would say nothing new.
"""

from __future__ import annotations

import datetime
import email.utils
from collections.abc import Generator, Iterator, Mapping
from typing import NamedTuple

from virtual_kubelet_salad.commands import rights
from virtual_kubelet_salad.errors import CouldNotAsk, Error, Unauthorized, UnknownPlace
from virtual_kubelet_salad.kube.client import ApiAnswer, ApiServer, ApiTransport
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.saladcloud import owner
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.models import Quota
from virtual_kubelet_salad.saladcloud.transport import Answer, Transport

# `Date` has whole seconds and an answer takes some; a synchronized clock is nowhere near it.
GREATEST_SKEW_SECONDS = 10.0
NAMES_SHOWN = 10


class Fact(NamedTuple):
    """One line."""

    is_ok: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok' if self.is_ok else 'fail':<6}{self.text}"


class ServerTime:
    """The difference between a server's clock and ours, by the latest `Date` it sent."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_seconds: float | None = None

    def heard(self, date: datetime.datetime | None) -> None:
        """An answer has come now, and bore this date."""
        if date is not None:
            self._ahead_seconds = (date - self._clock.now()).total_seconds()

    def fact(self, server: str) -> Fact:
        ahead = self._ahead_seconds
        if ahead is None:
            return Fact(True, f"clock: {server} does not tell its time")
        if abs(ahead) <= GREATEST_SKEW_SECONDS:
            return Fact(True, f"clock: agrees with that of {server}")
        direction = "ahead of" if ahead > 0 else "behind"
        return Fact(False, f"clock: that of {server} is {abs(ahead):.0f} s {direction} ours; synchronize ours")


class TimedApi:
    """An `ApiTransport` that notes the server's time."""

    def __init__(self, transport: ApiTransport, time: ServerTime) -> None:
        self._transport = transport
        self._time = time

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
        answer = self._transport.request(
            method, path, query=query, body=body, content_type=content_type, timeout=timeout
        )
        self._time.heard(_http_date(answer.headers.get("date", "")))
        return answer


class TimedSaladCloud:
    """A `saladcloud.transport.Transport` that notes the server's time."""

    def __init__(self, transport: Transport, time: ServerTime) -> None:
        self._transport = transport
        self._time = time

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str | None = None,
        timeout: tuple[float, float],
    ) -> Answer:
        answer = self._transport.send(method, path, body=body, content_type=content_type, timeout=timeout)
        self._time.heard(answer.date)
        return answer

    def cut(self, thread_id: int) -> None:
        self._transport.cut(thread_id)

    def close(self) -> None:
        self._transport.close()


def api_server_facts(api: ApiServer, time: ServerTime, node_name: str, cluster_id: str | None) -> Iterator[Fact]:
    """The API server and each right."""
    try:
        yield Fact(True, f"API server: {api.version().get('gitVersion', 'of an unknown version')}")
    except Error as error:
        yield Fact(False, f"API server: {error}")
        return
    try:
        yield Fact(True, f"cluster id: {cluster_id or api.cluster_uid()}")
    except Error as error:
        yield Fact(False, f"cluster id: {error}")
    for right in rights.needed(node_name):
        try:
            is_allowed = api.self_subject_access_review(right.attributes)
        except Error as error:
            yield Fact(False, f"right to {right}: {error}")
        else:
            yield Fact(is_allowed, f"right to {right}" if is_allowed else f"right to {right}: missing")
    yield time.fact("the API server")


def saladcloud_facts(client: SaladCloud, time: ServerTime, list_limit: int) -> Iterator[Fact]:
    """The key, the organization, its quota, the project and its list of groups."""
    quota = yield from _organization(client)
    if quota is not None:
        yield Fact(quota.replicas > 0, f"quota: {quota.replicas_used} of {quota.replicas} replicas are in use")
        yield from _project(client, list_limit)
    yield time.fact("SaladCloud")


def _organization(client: SaladCloud) -> Generator[Fact, None, Quota | None]:
    """Its quota, if it can be had."""
    try:
        quota = client.quota()
    except Unauthorized as error:
        yield Fact(False, f"API key: {error}")
        return None
    except UnknownPlace:
        yield Fact(True, "API key: accepted")
        yield Fact(False, f"organization {client.organization}: SaladCloud does not know it")
        return None
    except CouldNotAsk as error:
        yield Fact(False, f"SaladCloud: {error}")
        return None
    yield Fact(True, "API key: accepted")
    yield Fact(True, f"organization {client.organization}: found")
    return quota


def _project(client: SaladCloud, list_limit: int) -> Iterator[Fact]:
    try:
        groups = client.list_groups()
    except UnknownPlace:
        yield Fact(False, f"project {client.project}: SaladCloud does not know it")
        return
    except CouldNotAsk as error:
        yield Fact(False, f"project {client.project}: {error}")
        return
    yield Fact(True, f"project {client.project}: found")
    yield _length(len(groups), list_limit)
    names = sorted(str(group.get("name", "?")) for group in groups if owner.owner_of(group) is None)
    shown = ", ".join(names[:NAMES_SHOWN]) + (", …" if len(names) > NAMES_SHOWN else "")
    text = f"container groups without an owner record: {len(names)}"
    yield Fact(True, f"{text} ({shown}); the daemon never touches them" if names else text)


def _length(length: int, limit: int) -> Fact:
    text = f"list: {length} container groups"
    if limit == 0:
        return Fact(True, f"{text}, taken for all of them (--salad-list-limit 0)")
    if length > limit:
        return Fact(True, f"{text}, more than --salad-list-limit {limit}: lists are not cut off here")
    if length == limit:
        return Fact(
            True, f"{text}, as many as one list shows (--salad-list-limit): the others are asked for one by one"
        )
    return Fact(True, f"{text} of at most {limit}")


def _http_date(text: str) -> datetime.datetime | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo is not None else None
