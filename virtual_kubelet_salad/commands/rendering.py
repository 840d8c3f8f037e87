"""What the daemon would make of a pod: the request that it would send, or why it would send none.

Guarantees: `Renderer.plan` is the daemon's own way from a pod to its request, so what is shown is what is sent; what
`Renderer.render` returns holds no value of a Secret and no credential. Asks whom the sources and the catalog ask, and
changes nothing. One thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from virtual_kubelet_salad.commands.given_sources import GivenSources, MaskedSources
from virtual_kubelet_salad.errors import Blocked, Error, Refused
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import claimed_attempt, owner_of
from virtual_kubelet_salad.kubelet.environment import SourcesMissing
from virtual_kubelet_salad.kubelet.planning import Planner
from virtual_kubelet_salad.kubelet.provider import Notice, Owner, Plan, Pod
from virtual_kubelet_salad.kubelet.starting import NOT_RUN_HERE
from virtual_kubelet_salad.saladcloud import container_group, masking, prices
from virtual_kubelet_salad.saladcloud.translation import Translation

ACCEPTED = "accepted"
REFUSED = "refused"
BLOCKED = "blocked"
NOT_RUN = "not run here"

# Sources are read when they are needed and then kept, so their age is no matter.
_ANY_TIME = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class PriceRange:
    """What a pod costs while it runs, whichever of its GPU classes SaladCloud picks."""

    lowest: Decimal
    highest: Decimal
    priority: str

    def __str__(self) -> str:
        return prices.in_words([self.lowest, self.highest], self.priority)


@dataclasses.dataclass(frozen=True, slots=True)
class Rendered:
    """What becomes of a pod."""

    outcome: str
    reasons: tuple[Notice, ...] = ()
    """Why it is not accepted: each reason why it never can be, or what it would wait for."""
    events: tuple[Notice, ...] = ()
    """What the daemon would tell about a pod that is accepted."""
    request: Mapping[str, Any] | None = None
    """The request that creates the container group, secrets masked."""
    price: PriceRange | None = None
    lacks_sources: bool = False
    """It would wait for a Secret or ConfigMap."""


class Renderer:
    """One node of one cluster, as the daemon would serve it."""

    def __init__(
        self,
        sources: GivenSources,
        catalog: container_group.Catalog,
        settings: container_group.Settings,
        *,
        cluster_id: str,
        node_name: str,
        host_ip: str,
        namespaces: Iterable[str] = (),
    ) -> None:
        self._catalog = catalog
        self._cluster_id = cluster_id
        self._node_name = node_name
        self._translation = Translation(catalog, settings)
        self._planner = Planner(self._translation, sources, node_name, host_ip, frozenset(namespaces))
        self._maskings = (MaskedSources(sources), MaskedSources(sources, never_lengthens=True))

    def plan(self, pod: Pod) -> Plan:
        """The request of the daemon, secrets included, and all that it would tell; of a pod that has a claim, for the
        attempt that it claims. Raises `Refused`, `Blocked`, `CouldNotAsk`.
        """
        ignored = self._planner.refuse(pod)
        plan = self._planner.plan(pod, self._owner(pod), first_seen=_ANY_TIME)
        return dataclasses.replace(plan, notices=(*ignored, *plan.notices))

    def render(self, pod: Pod) -> Rendered:
        """What becomes of a pod; never an exception."""
        if pods.is_owned_by(pod, "DaemonSet"):
            return Rendered(NOT_RUN, reasons=(NOT_RUN_HERE,))
        refusals = self._planner.refusals(pod)
        if refusals:
            return Rendered(REFUSED, reasons=tuple(refusals))
        try:
            plan = self.plan(pod)
        except Refused as refusal:
            return Rendered(REFUSED, reasons=(Notice("Warning", refusal.reason, str(refusal)),))
        except SourcesMissing as missing:
            return Rendered(BLOCKED, reasons=missing.notices, lacks_sources=True)
        except Blocked as obstacle:
            return Rendered(BLOCKED, reasons=(Notice("Warning", obstacle.reason, str(obstacle)),))
        except Error as error:
            return Rendered(BLOCKED, reasons=(Notice("Warning", "CouldNotAsk", str(error)),))
        return Rendered(ACCEPTED, events=plan.notices, request=self._masked(pod), price=self._price(plan.request))

    def _masked(self, pod: Pod) -> Mapping[str, Any]:
        """The request once more, made with asterisks in place of Secrets' values wherever the environment reaches."""
        uniform, never_longer = self._maskings
        try:
            return self._made_with(pod, uniform)
        except Error:
            # Many short values in one text: the uniform masks are too long for it together.
            return self._made_with(pod, never_longer)

    def _made_with(self, pod: Pod, masking_sources: MaskedSources) -> Mapping[str, Any]:
        inputs, _ = self._planner.inputs(pod, _ANY_TIME)
        hidden, _ = dataclasses.replace(self._planner, sources=masking_sources).inputs(pod, _ANY_TIME)
        # The credentials are read as they are, for they must be understood.
        plan = self._translation.plan(pod, dataclasses.replace(hidden, secrets=inputs.secrets), self._owner(pod))
        return masking.masked(plan.request, pod)

    def _owner(self, pod: Pod) -> Owner:
        attempt = claimed_attempt(pod, self._translation.identity)
        return owner_of(pod, self._cluster_id, self._node_name, attempt)

    def _price(self, request: Mapping[str, Any]) -> PriceRange | None:
        container = request["container"]
        sizes = container["resources"]
        class_ids = sizes.get("gpu_classes") or []
        classes = (self._catalog.classes() or ()) if class_ids else ()
        found = prices.per_hour(class_ids, container["priority"], sizes["cpu"], sizes["memory"], classes)
        return PriceRange(found[0], found[-1], container["priority"]) if found else None
