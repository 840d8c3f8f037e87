"""From a pod to a plan: refuse first, then read the sources, resolve the environment, let the provider translate.

Everything is decided before a claim is made, so a pod that cannot run never costs a request to the cloud. Secret
values live only in the returned plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.errors import Blocked, CouldNotAsk, Forbidden, NotFound, Refused
from virtual_kubelet_salad.kube.sources import Sources
from virtual_kubelet_salad.kubelet import environment, pods, refusals
from virtual_kubelet_salad.kubelet.provider import Inputs, Notice, Owner, Plan, Pod, Provider

# A pod that waits for a source looks again this often, so that it starts within 15 s of the source's appearance.
SOURCE_RETRY_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans for the pods of one node; thread-safe."""

    provider: Provider
    sources: Sources
    node_name: str
    host_ip: str
    namespaces: frozenset[str] = frozenset()
    """The only namespaces whose pods may run; empty: all."""

    def refuse(self, pod: Pod) -> tuple[Notice, ...]:
        """Raises `Refused` when the pod can never be honoured; else notices about what is ignored. Pure."""
        if self.namespaces and pods.namespace(pod) not in self.namespaces:
            allowed = ", ".join(sorted(self.namespaces))
            raise Refused("NamespaceNotAllowed", f"this node runs only pods of the namespaces {allowed}")
        verdict = refusals.examine(pod, self.provider.identity)
        refused = [*verdict.refusals, *environment.refusals(pod), *self.provider.refusals(pod)]
        if refused:
            raise Refused(refused[0].reason, "; ".join(notice.message for notice in refused))
        return verdict.notices()

    def plan(self, pod: Pod, owner: Owner, *, first_seen: float) -> Plan:
        """The request for this pod. Raises `Refused`, `Blocked`, `CouldNotAsk`."""
        inputs, notices = self._inputs(pod, first_seen)
        plan = self.provider.plan(pod, inputs, owner)
        return dataclasses.replace(plan, notices=(*notices, *plan.notices))

    def plan_update(self, pod: Pod, owner: Owner, *, now: float) -> Plan:
        """The request for an image that was changed in place; sources are read anew. Raises as `plan`."""
        inputs, notices = self._inputs(pod, now)
        plan = self.provider.plan_update(pod, inputs, owner)
        return dataclasses.replace(plan, notices=(*notices, *plan.notices))

    def _inputs(self, pod: Pod, first_seen: float) -> tuple[Inputs, tuple[Notice, ...]]:
        namespace = pods.namespace(pod)

        def read_secret(name: str) -> Mapping[str, Any]:
            return self.sources.secret(namespace, name, not_before=first_seen)

        def read_config_map(name: str) -> Mapping[str, Any]:
            return self.sources.config_map(namespace, name, not_before=first_seen)

        resolved = environment.resolve(
            pod,
            read_secret=read_secret,
            read_config_map=read_config_map,
            node_name=self.node_name,
            host_ip=self.host_ip,
        )
        secrets: dict[str, Mapping[str, Any]] = {}
        for name in self.provider.wanted_secrets(pod):
            try:
                secrets[name] = read_secret(name)
            except NotFound:
                text = f'Secret "{name}" not found'
                raise Blocked("CreateContainerConfigError", text, retry_after=SOURCE_RETRY_SECONDS) from None
            except Forbidden as error:
                raise CouldNotAsk(
                    f'Secret "{name}" cannot be read: {error}', retry_after=SOURCE_RETRY_SECONDS
                ) from None
        container = pods.container(pod)
        inputs = Inputs(
            environment=resolved.variables,
            secrets=secrets,
            command=tuple(environment.expand(item, resolved.variables) for item in container.get("command") or []),
            args=tuple(environment.expand(item, resolved.variables) for item in container.get("args") or []),
        )
        return inputs, tuple(resolved.notices)
