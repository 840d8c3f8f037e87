"""Values that a container's environment takes from the pod itself: fieldRef and resourceFieldRef.

Pure; decided from the pod alone, so whatever cannot be honoured is known before anything is read or spent. Sources:
kubernetes/pkg/fieldpath, pkg/api/v1/resource and the downward API's list of environment fields. Different on purpose:
a limit that the container does not state is its request, else what the pod states for all its containers, and not the
whole node as on a machine of one's own, for the node here is a cloud; where none is stated it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.runtime import quantity

UNSUPPORTED_FIELD = "UnsupportedFieldRef"
UNSUPPORTED_RESOURCE_FIELD = "UnsupportedResourceFieldRef"

_METADATA_MAPS = ("metadata.labels", "metadata.annotations")
_RESOURCES = ("cpu", "memory", "ephemeral-storage")
# The API server counts CPU in thousandths of a core and everything else in whole units, rounding up.
_CPU_STEP = Fraction(1, 1000)

# As Go's strconv.Quote writes them.
_GO_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def field_value(pod: Mapping[str, Any], reference: Mapping[str, Any], *, node_name: str, host_ip: str) -> str:
    """The value of a fieldRef. Raises `Refused` for a field that the pod does not have here."""
    path = str(reference.get("fieldPath") or "")
    version = reference.get("apiVersion") or "v1"
    if version != "v1":
        raise Refused(UNSUPPORTED_FIELD, f"fieldRef {path}: apiVersion {version} is not known, use v1")
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    name, subscript = _split_subscript(path)
    if name in _METADATA_MAPS:
        values = metadata.get(name.removeprefix("metadata.")) or {}
        return _format_map(values) if subscript is None else str(values.get(subscript, ""))
    if subscript is None:
        match name:
            case "metadata.name" | "metadata.namespace" | "metadata.uid":
                return str(metadata.get(name.removeprefix("metadata."), ""))
            case "spec.nodeName" | "spec.host":
                return str(spec.get("nodeName") or node_name)
            case "spec.serviceAccountName":
                return str(spec.get("serviceAccountName") or "")
            case "status.hostIP" | "status.hostIPs":
                return host_ip
            case "status.podIP" | "status.podIPs":
                text = "its container runs in another network and has no address in the cluster; remove the variable"
                raise Refused(UNSUPPORTED_FIELD, f"fieldRef {name}: the pod has no IP, {text}")
    raise Refused(UNSUPPORTED_FIELD, f"fieldRef {path}: this field cannot be had in a variable")


def resource_value(pod: Mapping[str, Any], container: Mapping[str, Any], reference: Mapping[str, Any]) -> str:
    """The value of a resourceFieldRef: a whole number of divisors, rounded up. Raises `Refused`."""
    wanted = str(reference.get("resource") or "")
    kind, _, resource = wanted.partition(".")
    if kind not in ("limits", "requests") or resource not in _RESOURCES:
        raise Refused(
            UNSUPPORTED_RESOURCE_FIELD,
            f"resourceFieldRef {wanted}: only limits and requests of "
            f"{', '.join(_RESOURCES)} can be had in a variable",
        )
    stated = _stated(_container(pod, container, reference), pod.get("spec") or {}, kind, resource)
    if stated is None:
        if kind == "requests":
            return "0"
        raise Refused(
            UNSUPPORTED_RESOURCE_FIELD,
            f"resourceFieldRef {wanted}: neither the container nor the pod states a limit or a request for {resource}; "
            "state one",
        )
    step = _CPU_STEP if resource == "cpu" else 1
    try:
        value = quantity.parse(stated)
        # No divisor, or one of zero, is one.
        divisor = quantity.parse(reference.get("divisor") or "0") or Fraction(1)
    except ValueError as error:
        raise Refused(UNSUPPORTED_RESOURCE_FIELD, f"resourceFieldRef {wanted}: {error}") from None
    return str(quantity.ceil_to(Fraction(quantity.ceil_to(value, step)), quantity.ceil_to(divisor, step)))


def _container(pod: Mapping[str, Any], own: Mapping[str, Any], reference: Mapping[str, Any]) -> Mapping[str, Any]:
    """The container that the reference names, by default the one that has the variable."""
    name = reference.get("containerName")
    if not name or name == own.get("name"):
        return own
    for candidate in (pod.get("spec") or {}).get("containers") or []:
        if candidate.get("name") == name:
            found: Mapping[str, Any] = candidate
            return found
    raise Refused(UNSUPPORTED_RESOURCE_FIELD, f"resourceFieldRef: the pod has no container named {name}")


def _stated(container: Mapping[str, Any], spec: Mapping[str, Any], kind: str, resource: str) -> object | None:
    """What the container states, else the pod for all its containers; a limit that is absent or zero is the request."""
    limit, request = _amounts(container, resource)
    if kind == "requests":
        return request if request is not None else limit
    found = (limit, request, *_amounts(spec, resource))
    return next((amount for amount in found if amount not in (None, "0", 0)), request)


def _amounts(owner: Mapping[str, Any], resource: str) -> tuple[object | None, object | None]:
    """Limit and request of a container or a pod."""
    resources: Mapping[str, Any] = owner.get("resources") or {}
    return (resources.get("limits") or {}).get(resource), (resources.get("requests") or {}).get(resource)


def _split_subscript(path: str) -> tuple[str, str | None]:
    """`metadata.labels['a/b']` is ("metadata.labels", "a/b"); a path without a subscript is (path, None)."""
    if path.endswith("']"):
        name, bracket, subscript = path.removesuffix("']").partition("['")
        if name and bracket:
            return name, subscript
    return path, None


def _format_map(values: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={_go_quote(str(value))}" for key, value in sorted(values.items()))


def _go_quote(text: str) -> str:
    return '"' + "".join(_GO_ESCAPES.get(character) or _go_character(character) for character in text) + '"'


def _go_character(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
