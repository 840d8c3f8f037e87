"""SaladCloud as the kubelet's provider.

Everything is put together here: `assemble` on any transport, `build` on the real one. Methods only delegate; the parts
have their own pages. Safe to call from any thread, never twice at once for one workload.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Protocol

from virtual_kubelet_salad.errors import Blocked, NotFound, Unauthorized
from virtual_kubelet_salad.kubelet.provider import (
    Capacity,
    Inputs,
    Notice,
    Owner,
    Plan,
    Pod,
    Reachability,
    RunReference,
    Snapshot,
    Workload,
)
from virtual_kubelet_salad.kubelet.provider_insight import LogQuestion, LogStream, Usage
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import Budget, RequestClass
from virtual_kubelet_salad.runtime.threads import Loop
from virtual_kubelet_salad.saladcloud import container_group, names
from virtual_kubelet_salad.saladcloud.catalog import Catalog
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.container_output import ContainerOutput
from virtual_kubelet_salad.saladcloud.credit import Credit
from virtual_kubelet_salad.saladcloud.explanations import Explanations
from virtual_kubelet_salad.saladcloud.feed import EventFeed
from virtual_kubelet_salad.saladcloud.followed import Followed
from virtual_kubelet_salad.saladcloud.groups import GroupCache
from virtual_kubelet_salad.saladcloud.models import Group
from virtual_kubelet_salad.saladcloud.observing import Observing
from virtual_kubelet_salad.saladcloud.output_tail import OutputTail
from virtual_kubelet_salad.saladcloud.owner import owner_of
from virtual_kubelet_salad.saladcloud.poller import Poller
from virtual_kubelet_salad.saladcloud.reachability import KEY_REFUSED, Watch
from virtual_kubelet_salad.saladcloud.room import Room
from virtual_kubelet_salad.saladcloud.translation import Translation
from virtual_kubelet_salad.saladcloud.transport import RequestsTransport, Transport
from virtual_kubelet_salad.saladcloud.usage import UsageSampler

log = logging.getLogger(__name__)

# A step's bound: the longest row of calls it makes, each at its timeouts and with its repetitions.
POLLER_BOUND_SECONDS = 180.0
FEED_BOUND_SECONDS = 360.0
CATALOG_BOUND_SECONDS = 180.0
TAIL_BOUND_SECONDS = 240.0
USAGE_BOUND_SECONDS = 60.0
# What a short restart can have missed; a longer gap is for the caller of `build` to tell.
DEFAULT_CATCH_UP = datetime.timedelta(minutes=10)

_LOCATION = re.compile(r"([^/]+)/([^/]+)/([^/]+)")


class KeySource(Protocol):
    """Where the API key comes from."""

    def api_key(self) -> str: ...


class Settings(Protocol):
    """What the operator decides; `config.Config` has all of it. Times are in seconds."""

    @property
    def api_key(self) -> KeySource: ...

    @property
    def nodename(self) -> str: ...

    @property
    def sce_organization_name(self) -> str: ...

    @property
    def sce_project_name(self) -> str: ...

    @property
    def sce_api_url(self) -> str: ...

    @property
    def sce_rate_limit(self) -> int | None: ...

    @property
    def salad_list_limit(self) -> int: ...

    @property
    def poll_interval(self) -> float: ...

    @property
    def feed_interval(self) -> float: ...

    @property
    def default_priority(self) -> str: ...

    @property
    def max_price_per_hour(self) -> Decimal | None: ...


class SaladCloudProvider:
    """Implements `kubelet.provider.Provider`."""

    identity = Translation.identity

    def __init__(
        self,
        client: SaladCloud,
        settings: Settings,
        cluster_id: str,
        clock: Clock,
        metrics: Metrics,
        *,
        since: datetime.datetime | None = None,
        is_active: Callable[[], bool] = lambda: True,
    ) -> None:
        """`since`: events are read from then on. `is_active`: whether the loops may ask SaladCloud now."""
        self._client = client
        self._clock = clock
        self._wake_pod: Callable[[str], None] = lambda uid: None
        self._cluster_id, self._node = cluster_id, settings.nodename
        self._watch = Watch(clock)
        client.believes_absence = lambda: self._watch.now().is_reachable
        self._credit = Credit(clock)
        self._room = Room(clock)
        self._followed = Followed()
        self._explanations = Explanations()
        self._cache = GroupCache(cluster_id, settings.nodename, settings.salad_list_limit)
        self.catalog = Catalog(client, clock, is_active)
        self._translation = Translation(
            self.catalog, container_group.Settings(settings.default_priority, settings.max_price_per_hour)
        )
        self.catalog.on_quota = self._room.read
        self._observing = Observing(
            client, self._cache, self._explanations, self._followed, self.catalog, self._credit, client.time
        )
        self.poller = Poller(
            client,
            self._cache,
            self._followed,
            self._explanations,
            self.catalog,
            self._credit,
            self._watch,
            metrics,
            clock,
            self._wake_owner,
            settings.poll_interval,
            is_active,
        )
        self.tail = OutputTail(client, client.time)
        self._output = ContainerOutput(client, self.tail, client.time)
        self.usage_sampler = UsageSampler(client, client.time, lambda: self.tail.count() > 0)
        self.feed = EventFeed(
            client,
            self._explanations,
            client.time,
            self._wake_group,
            settings.feed_interval,
            since or client.time.now() - DEFAULT_CATCH_UP,
            is_active,
        )

    # -- pure

    def workload_name(self, cluster_id: str, pod_name: str, uid: str, attempt: int) -> str:
        return names.workload_name(cluster_id, pod_name, uid, attempt)

    @property
    def place(self) -> str:
        return f"{self._client.organization}/{self._client.project}"

    def location(self, name: str) -> str:
        return f"{self.place}/{name}"

    def name_at(self, location: str) -> str | None:
        match = _LOCATION.fullmatch(location)
        if match is None or names.PATTERN.fullmatch(match[3]) is None:
            raise ValueError("not the location of a container group")
        is_here = (match[1], match[2]) == (self._client.organization, self._client.project)
        return match[3] if is_here else None

    def refusals(self, pod: Pod) -> list[Notice]:
        return self._translation.refusals(pod)

    def wanted_secrets(self, pod: Pod) -> tuple[str, ...]:
        return self._translation.wanted_secrets(pod)

    def plan(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        return self._translation.plan(pod, inputs, owner)

    def plan_update(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        return self._translation.plan_update(pod, inputs, owner)

    # -- what changes something

    def create(self, plan: Plan, owner: Owner) -> None:
        begun = self._clock.monotonic()
        self._room.check_create()
        with self._refusals_noted():
            raw = self._client.create_group(plan.request)
        self._cache.put(raw, begun)
        log.info("group created pod=%s/%s name=%s attempt=%d", owner.namespace, owner.pod, raw["name"], owner.attempt)

    def update(self, name: str, plan: Plan) -> None:
        begun = self._clock.monotonic()
        self._cache.put(self._client.patch_group(name, plan.request), begun)
        log.info("group updated name=%s", name)

    def start(self, name: str) -> None:
        self._credit.check_start()
        with self._refusals_noted():
            self._client.start_group(name)
        self._followed.wake(name)
        log.info("group started name=%s", name)

    @contextlib.contextmanager
    def _refusals_noted(self) -> Iterator[None]:
        """Around a create or start: notes what its outcome tells of all others, and makes a refused key an obstacle
        that the pod shows.
        """
        try:
            yield
        except Unauthorized as error:
            raise Blocked(KEY_REFUSED, str(error)) from None
        except Blocked as error:
            self._credit.refused(error.reason)
            self._room.refused(error)
            raise
        self._credit.accepted()

    def delete(self, name: str) -> None:
        self._client.delete_group(name)
        log.info("group delete accepted name=%s", name)

    def close(self) -> None:
        """Ends the calls that hang, for a stop that cannot wait for them; nothing is sent any more."""
        self._client.close()

    # -- what asks

    def exists(self, name: str, *, confirms: bool = False) -> Owner | bool:
        begun = self._clock.monotonic()
        try:
            raw = self._client.get_group(name, RequestClass.DELETE if confirms else RequestClass.READ)
        except NotFound:
            self._cache.put_gone(name, begun)
            return False
        self._cache.put(raw, begun)
        # Not from the cache: a newer list that does not show it yet may have taken it out again.
        return owner_of(raw) or True

    def refresh(self) -> Snapshot:
        """A live list, for who runs no loops. Raises `CouldNotAsk`."""
        begun = self._clock.monotonic()
        self._cache.put_list(self._client.list_groups(), begun)
        snapshot = self._cache.snapshot()
        assert snapshot is not None, "a list has just been put there"
        return snapshot

    def observe(self, name: str, remembered: RunReference | None) -> Workload | None:
        return self._observing.observe(name, remembered)

    def forget(self, name: str) -> None:
        self._observing.forget(name)
        self._followed.forget(name)
        self._explanations.forget(name)
        self._cache.forget(name)
        self.usage_sampler.forget(name)

    def snapshot(self) -> Snapshot | None:
        return self._cache.snapshot()

    def newest_attempt(self, uid: str) -> int | None:
        return self._cache.newest_attempt(uid)

    def capacity(self) -> Capacity | None:
        return self.catalog.capacity()

    def reachability(self) -> Reachability:
        return self._watch.now()

    def logs(self, question: LogQuestion) -> LogStream:
        return self._output.stream(question)

    def usage(self, name: str) -> Usage | None:
        return self.usage_sampler.usage(name)

    def loops(self) -> Sequence[Loop]:
        tail = Loop("log tail", self.tail.step, bound_seconds=TAIL_BOUND_SECONDS)
        self.tail.wake = tail.wake
        usage = Loop("usage", self.usage_sampler.step, bound_seconds=USAGE_BOUND_SECONDS)
        self.usage_sampler.wake = usage.wake
        return (
            Loop("group poller", self.poller.step, bound_seconds=POLLER_BOUND_SECONDS),
            Loop("event feed", self.feed.step, bound_seconds=FEED_BOUND_SECONDS),
            Loop("catalog", self.catalog.step, bound_seconds=CATALOG_BOUND_SECONDS),
            tail,
            usage,
        )

    def on_change(self, wake: Callable[[str], None]) -> None:
        self._wake_pod = wake

    def on_recovery(self, wake_all: Callable[[], None]) -> None:
        self._watch.on_recovery = self._credit.on_recovery = self._room.on_recovery = wake_all
        self.catalog.on_change = wake_all

    def _wake_owner(self, group: Group) -> None:
        if group.owner is not None:
            self._wake_pod(group.owner.uid)

    def _wake_group(self, name: str) -> None:
        """The feed has news of a group: look at it anew, listed or not."""
        self._followed.wake(name)
        group = self._cache.get(name)
        if group is not None and group.owner is not None:
            if (group.owner.cluster_id, group.owner.node) == (self._cluster_id, self._node):
                self._wake_pod(group.owner.uid)


def build(
    settings: Settings,
    cluster_id: str,
    clock: Clock,
    metrics: Metrics,
    *,
    before_write: Callable[[], None],
    is_active: Callable[[], bool],
    since: datetime.datetime | None = None,
) -> SaladCloudProvider:
    """The provider over HTTP. `before_write` is called right before every change and may raise `NotLeader`."""
    # An earlier process, or the replica that led before.
    budget = Budget(clock, settings.sce_rate_limit or 0, follows_another=True)
    transport = RequestsTransport(
        settings.sce_api_url,
        settings.api_key.api_key,
        lambda: budget.try_acquire(RequestClass.READ) == 0.0,
        clock,
    )
    return assemble(
        transport,
        budget,
        settings,
        cluster_id,
        clock,
        metrics,
        before_write=before_write,
        is_active=is_active,
        since=since,
    )


def assemble(
    transport: Transport,
    budget: Budget,
    settings: Settings,
    cluster_id: str,
    clock: Clock,
    metrics: Metrics,
    *,
    before_write: Callable[[], None] = lambda: None,
    is_active: Callable[[], bool] = lambda: True,
    since: datetime.datetime | None = None,
) -> SaladCloudProvider:
    """The provider on a transport."""
    client = SaladCloud(
        transport,
        budget,
        clock,
        metrics,
        settings.sce_organization_name,
        settings.sce_project_name,
        before_write=before_write,
    )
    return SaladCloudProvider(client, settings, cluster_id, clock, metrics, since=since, is_active=is_active)
