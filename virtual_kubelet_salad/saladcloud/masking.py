"""A request as it may be shown: credentials of the registry and of the logging sink are replaced. Pure.

The environment and the command are not touched: only who has read the Secrets knows which of their texts hold a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.kubelet.provider import Pod
from virtual_kubelet_salad.saladcloud import logging_sinks

MASK = "********"
# Of a sink that annotations name: what is no credential.
_SHOWN = frozenset({"host", "port"})


def masked(request: Mapping[str, Any], pod: Pod) -> dict[str, Any]:
    """The request that creates the pod's group, with every credential replaced by `MASK`."""
    container = dict(request["container"])
    if "registry_authentication" in container:
        container["registry_authentication"] = _without_values(container["registry_authentication"], frozenset())
    if "logging" in container:
        shown = frozenset() if logging_sinks.secret_names(pod) else _SHOWN
        container["logging"] = _without_values(container["logging"], shown)
    return {name: container if name == "container" else value for name, value in request.items()}


def _without_values(value: Any, shown: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: inner if name in shown else _without_values(inner, shown) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_values(inner, shown) for inner in value]
    return None if value is None else MASK
