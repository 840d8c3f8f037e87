"""SaladCloud as the kubelet's provider.

Everything is put together here: `assemble` on any transport, `build` on the real one. Methods only delegate; the parts
have their own pages. Safe to call from any thread, never twice at once for one workload.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

from virtual_kubelet_salad.errors import Blocked, NotFound
from virtual_kubelet_salad.kubelet.provider import (
    Capacity,
    Identity,
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
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.runtime.ratelimit import Budget, RequestClass
from virtual_kubelet_salad.runtime.threads import Loop
from virtual_kubelet_salad.saladcloud import container_group, names, pod_annotations
from virtual_kubelet_salad.saladcloud.catalog import Catalog
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.saladcloud.credit import Credit
from virtual_kubelet_salad.saladcloud.explanations import Explanations
from virtual_kubelet_salad.saladcloud.feed import EventFeed
from virtual_kubelet_salad.saladcloud.followed import Followed
from virtual_kubelet_salad.saladcloud.groups import GroupCache
from virtual_kubelet_salad.saladcloud.models import Group
from virtual_kubelet_salad.saladcloud.observing import Observing
from virtual_kubelet_salad.saladcloud.poller import Poller
from virtual_kubelet_salad.saladcloud.reachability import Watch
from virtual_kubelet_salad.saladcloud.schemas import requests
from virtual_kubelet_salad.saladcloud.transport import RequestsTransport, Transport

log = logging.getLogger(__name__)

IDENTITY = Identity(
    name="saladcloud",
    finalizer=pod_annotations.CONTAINER_GROUP,
    claim_annotation=pod_annotations.CONTAINER_GROUP,
    attempt_annotation=pod_annotations.ATTEMPT,
    ignore_annotation=pod_annotations.IGNORE_UNSUPPORTED,
    interruption_annotation=pod_annotations.ON_INTERRUPTION,
    reachable_condition="SaladCloudReachable",
    container_id_scheme="salad",
    workload_noun="container group",
    not_found_reason="ContainerGroupNotFound",
)

# A step's bound: the longest row of calls it makes, each at its timeouts and with its repetitions.
POLLER_BOUND_SECONDS = 180.0
FEED_BOUND_SECONDS = 360.0
CATALOG_BOUND_SECONDS = 180.0
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

    identity = IDENTITY

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
        self._translation = container_group.Settings(settings.default_priority, settings.max_price_per_hour)
        self._wake_pod: Callable[[str], None] = lambda uid: None
        self._cluster_id, self._node = cluster_id, settings.nodename
        self._watch = Watch(clock)
        self._credit = Credit(clock)
        self._followed = Followed()
        self._explanations = Explanations()
        self._cache = GroupCache(cluster_id, settings.nodename, settings.salad_list_limit)
        self.catalog = Catalog(client, clock, is_active)
        self._observing = Observing(
            client, self._cache, self._explanations, self._followed, self.catalog, self._credit, clock
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
        self.feed = EventFeed(
            client,
            self._explanations,
            clock,
            self._wake_group,
            settings.feed_interval,
            since or clock.now() - DEFAULT_CATCH_UP,
            is_active,
        )

    # -- pure

    def workload_name(self, cluster_id: str, pod_name: str, uid: str, attempt: int) -> str:
        return names.workload_name(cluster_id, pod_name, uid, attempt)

    def location(self, name: str) -> str:
        return f"{self._client.organization}/{self._client.project}/{name}"

    def name_at(self, location: str) -> str | None:
        match = _LOCATION.fullmatch(location)
        if match is None or names.PATTERN.fullmatch(match[3]) is None:
            raise ValueError("not the location of a container group")
        is_here = (match[1], match[2]) == (self._client.organization, self._client.project)
        return match[3] if is_here else None

    def refusals(self, pod: Pod) -> list[Notice]:
        return container_group.refusals(pod)

    def wanted_secrets(self, pod: Pod) -> tuple[str, ...]:
        return container_group.wanted_secrets(pod)

    def plan(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        plan = container_group.build(pod, inputs, owner, self.catalog, self._translation)
        requests.check_prototype(plan.request)
        return plan

    def plan_update(self, pod: Pod, inputs: Inputs, owner: Owner) -> Plan:
        plan = container_group.build_update(pod, inputs, owner)
        requests.check_patch(plan.request)
        return plan

    # -- what changes something

    def create(self, plan: Plan, owner: Owner) -> None:
        begun = self._clock.monotonic()
        try:
            raw = self._client.create_group(plan.request)
        except Blocked as error:
            self._credit.refused(error.reason)
            raise
        self._credit.accepted()
        self._cache.put(raw, begun)
        log.info(
            "group created pod=%s/%s name=%s attempt=%d", owner.namespace, owner.pod, raw["name"], owner.attempt
        )

    def update(self, name: str, plan: Plan) -> None:
        begun = self._clock.monotonic()
        self._cache.put(self._client.patch_group(name, plan.request), begun)
        log.info("group updated name=%s", name)

    def start(self, name: str) -> None:
        self._credit.check_start()
        try:
            self._client.start_group(name)
        except Blocked as error:
            self._credit.refused(error.reason)
            raise
        self._credit.accepted()
        self._followed.wake(name)
        log.info("group started name=%s", name)

    def delete(self, name: str) -> None:
        self._client.delete_group(name)
        log.info("group delete accepted name=%s", name)

    # -- what asks

    def exists(self, name: str) -> Owner | bool:
        begun = self._clock.monotonic()
        try:
            raw = self._client.get_group(name)
        except NotFound:
            self._cache.put_gone(name, begun)
            return False
        self._cache.put(raw, begun)
        group = self._cache.get(name)
        return group.owner if group is not None and group.owner is not None else True

    def observe(self, name: str, remembered: RunReference | None) -> Workload | None:
        return self._observing.observe(name, remembered)

    def forget(self, name: str) -> None:
        self._observing.forget(name)
        self._followed.forget(name)
        self._explanations.forget(name)
        self._cache.forget(name)

    def snapshot(self) -> Snapshot | None:
        return self._cache.snapshot()

    def newest_attempt(self, uid: str) -> int | None:
        return self._cache.newest_attempt(uid)

    def capacity(self) -> Capacity | None:
        return self.catalog.capacity()

    def reachability(self) -> Reachability:
        return self._watch.now()

    def loops(self) -> Sequence[Loop]:
        return (
            Loop("group poller", self.poller.step, bound_seconds=POLLER_BOUND_SECONDS),
            Loop("event feed", self.feed.step, bound_seconds=FEED_BOUND_SECONDS),
            Loop("catalog", self.catalog.step, bound_seconds=CATALOG_BOUND_SECONDS),
        )

    def on_change(self, wake: Callable[[str], None]) -> None:
        self._wake_pod = wake

    def on_recovery(self, wake_all: Callable[[], None]) -> None:
        self._watch.on_recovery = wake_all

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
    budget = Budget(clock, settings.sce_rate_limit or 0)
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
