"""The gateway of a container group, from the `salad.com/networking-…` annotations. Container ports alone open nothing.
Pure.

Source of the limits: SaladCloud's OpenAPI file, `CreateContainerGroupNetworking`.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.kubelet.provider import Pod
from virtual_kubelet_salad.saladcloud import pod_annotations, pod_fields

PROTOCOLS = ("http",)
LOAD_BALANCERS = ("round_robin", "least_number_of_connections")
TIMEOUT_RANGE_IN_MILLISECONDS = (1, 100_000)
GREATEST_PORT = 65_535

_NEED_A_PORT = (
    pod_annotations.NETWORKING_PROTOCOL,
    pod_annotations.NETWORKING_AUTH,
    pod_annotations.NETWORKING_LOAD_BALANCER,
    pod_annotations.NETWORKING_CLIENT_REQUEST_TIMEOUT,
    pod_annotations.NETWORKING_SERVER_RESPONSE_TIMEOUT,
    pod_annotations.NETWORKING_SINGLE_CONNECTION_LIMIT,
)


def networking(pod: Pod) -> dict[str, Any] | None:
    """`networking` of the request; None: no gateway. Raises `Refused`."""
    port = _port(pod)
    if port is None:
        for name in _NEED_A_PORT:
            if pod_annotations.text(pod, name) is not None:
                raise pod_annotations.invalid(
                    name, f"has no effect without {pod_annotations.NETWORKING_PORT}; name the port or remove it"
                )
        return None
    is_authenticated = pod_annotations.boolean(pod, pod_annotations.NETWORKING_AUTH)
    request: dict[str, Any] = {
        "protocol": pod_annotations.choice(pod, pod_annotations.NETWORKING_PROTOCOL, PROTOCOLS) or PROTOCOLS[0],
        "port": port,
        # Open to everybody only when somebody wrote so.
        "auth": True if is_authenticated is None else is_authenticated,
    }
    optional = {
        "load_balancer": pod_annotations.choice(pod, pod_annotations.NETWORKING_LOAD_BALANCER, LOAD_BALANCERS),
        "client_request_timeout": pod_annotations.integer(
            pod, pod_annotations.NETWORKING_CLIENT_REQUEST_TIMEOUT, *TIMEOUT_RANGE_IN_MILLISECONDS
        ),
        "server_response_timeout": pod_annotations.integer(
            pod, pod_annotations.NETWORKING_SERVER_RESPONSE_TIMEOUT, *TIMEOUT_RANGE_IN_MILLISECONDS
        ),
        "single_connection_limit": pod_annotations.boolean(pod, pod_annotations.NETWORKING_SINGLE_CONNECTION_LIMIT),
    }
    return request | {name: value for name, value in optional.items() if value is not None}


def _port(pod: Pod) -> int | None:
    value = pod_annotations.text(pod, pod_annotations.NETWORKING_PORT)
    if value is None:
        return None
    port = pod_fields.port_number(pod, value)
    if port is None or not 1 <= port <= GREATEST_PORT:
        raise pod_annotations.invalid(
            pod_annotations.NETWORKING_PORT,
            f"is {pod_annotations.quoted(value)}; it must be a port number or the name of one of the container's ports",
        )
    return port
