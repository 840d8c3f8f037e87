"""From a pod to a plan: refuse first, then read the sources, resolve the environment, let the provider translate.

Everything is decided before a claim is made, so a pod that cannot run never costs a request to the cloud. Secret
values live only in the returned plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from virtual_kubelet_salad.errors import Forbidden, NotFound, Refused
from virtual_kubelet_salad.kubelet import environment, pods, refusals
from virtual_kubelet_salad.kubelet.claims import image_hash
from virtual_kubelet_salad.kubelet.environment import SourcesMissing
from virtual_kubelet_salad.kubelet.provider import Inputs, Notice, Owner, Plan, Pod, Translator
from virtual_kubelet_salad.runtime.expansion import expand


class SourceReader(Protocol):
    """Where Secrets and ConfigMaps come from; `kube.sources.Sources` is one. Both methods raise `NotFound`,
    `Forbidden`, `CouldNotAsk`.
    """

    def secret(self, namespace: str, name: str, *, not_before: float) -> Mapping[str, Any]: ...

    def config_map(self, namespace: str, name: str, *, not_before: float) -> Mapping[str, Any]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans for the pods of one node; thread-safe."""

    provider: Translator
    sources: SourceReader
    node_name: str
    host_ip: str
    namespaces: frozenset[str] = frozenset()
    """The only namespaces whose pods may run; empty: all."""

    def refuse(self, pod: Pod) -> tuple[Notice, ...]:
        """Raises `Refused` when the pod can never be honoured; else notices about what is ignored. Pure."""
        refused = self.refusals(pod)
        if refused:
            raise Refused(refused[0].reason, "; ".join(notice.message for notice in refused))
        return refusals.examine(pod, self.provider.identity).notices()

    def refusals(self, pod: Pod) -> list[Notice]:
        """Each reason why the pod can never be honoured; empty: none. Pure."""
        found = [*refusals.examine(pod, self.provider.identity).refusals, *self.provider.refusals(pod)]
        if self.namespaces and pods.namespace(pod) not in self.namespaces:
            allowed = ", ".join(sorted(self.namespaces))
            text = f"this node runs only pods of the namespaces {allowed}"
            found.insert(0, Notice("Warning", "NamespaceNotAllowed", text))
        return found

    def plan(self, pod: Pod, owner: Owner, *, first_seen: float) -> Plan:
        """The request for this pod. Raises `Refused`, `Blocked`, `CouldNotAsk`."""
        inputs, notices = self.inputs(pod, first_seen)
        plan = self.provider.plan(pod, inputs, owner)
        return dataclasses.replace(plan, notices=(*notices, *plan.notices), made_of=_versions(pod, inputs.secrets))

    def made_of(self, pod: Pod, *, now: float) -> tuple[str, ...]:
        """What `Plan.made_of` of a plan made now would be. Raises `CouldNotAsk`."""
        secrets: dict[str, Mapping[str, Any]] = {}
        for name in self.provider.wanted_secrets(pod):
            try:
                secrets[name] = self.sources.secret(pods.namespace(pod), name, not_before=now)
            except (NotFound, Forbidden):
                continue  # A plan would say so on the pod; until then it is one version less.
        return _versions(pod, secrets)

    def plan_update(self, pod: Pod, owner: Owner, *, now: float) -> Plan:
        """The request for an image that was changed in place; sources are read anew. Raises as `plan`."""
        inputs, notices = self.inputs(pod, now)
        plan = self.provider.plan_update(pod, inputs, owner)
        return dataclasses.replace(plan, notices=(*notices, *plan.notices))

    def inputs(self, pod: Pod, first_seen: float) -> tuple[Inputs, tuple[Notice, ...]]:
        """What the pod needs of the cluster, and what is to be told about it. Raises as `plan`."""
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
            leaves_out_the_refused=refusals.leaves_out_variables(pod, self.provider.identity),
        )
        container, variables = pods.container(pod), dict(resolved.variables)
        inputs = Inputs(
            environment=resolved.variables,
            secrets=self._wanted_secrets(pod, read_secret),
            command=tuple(expand(item, variables) for item in container.get("command") or []),
            args=tuple(expand(item, variables) for item in container.get("args") or []),
        )
        return inputs, tuple(resolved.notices)

    def _wanted_secrets(self, pod: Pod, read_secret: environment.Read) -> dict[str, Mapping[str, Any]]:
        """The Secrets that the provider wants to see. Raises `SourcesMissing` with all that are not there."""
        secrets: dict[str, Mapping[str, Any]] = {}
        missing: list[Notice] = []
        for name in self.provider.wanted_secrets(pod):
            title = f"Secret {pods.namespace(pod)}/{name}"
            try:
                secrets[name] = read_secret(name)
            except NotFound:
                missing.append(Notice("Warning", "MandatorySecretNotFound", f"{title} not found"))
            except Forbidden as error:
                missing.append(Notice("Warning", "FailedToReadMandatorySecret", f"{title} cannot be read: {error}"))
        if missing:
            raise SourcesMissing("; ".join(notice.message for notice in missing), tuple(missing))
        return secrets


def _versions(pod: Pod, secrets: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    versions = (f"{name}/{pods.metadata(secret).get('resourceVersion', '')}" for name, secret in secrets.items())
    return (image_hash(pod), *versions)
