"""The probes of a container group, from the probes of a pod.

Unset fields get Kubernetes' defaults, for SaladCloud's differ. A window (failures × period) that SaladCloud cannot
have becomes the least one that is not shorter, and a notice says so. What cannot be fitted is refused. Pure.
Note: where Kubernetes restarts a container whose liveness probe fails, SaladCloud moves it to another machine. Sources:
SaladCloud's OpenAPI file, `ContainerGroup…Probe`; k8s.io/kubernetes/pkg/kubelet/prober and container/helpers.go
(`ExpandContainerCommandOnlyStatic`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet.provider import Notice, Pod
from virtual_kubelet_salad.runtime.expansion import expand
from virtual_kubelet_salad.saladcloud import pod_fields
from virtual_kubelet_salad.saladcloud.text_limits import problem_of

GREATEST_PERIOD_SECONDS = 120
GREATEST_FAILURE_THRESHOLD = 20
GREATEST_SUCCESS_THRESHOLD = 10
GREATEST_WINDOW_SECONDS = GREATEST_PERIOD_SECONDS * GREATEST_FAILURE_THRESHOLD
GREATEST_TIMEOUT_SECONDS = 60
GREATEST_INITIAL_DELAY_SECONDS = 1200
GREATEST_PORT = 65_535
GREATEST_COMMAND_ITEM_COUNT = 100
COMMAND_ITEM_LIMIT_IN_CHARS = 2048
PATH_LIMIT_IN_CHARS = 2048
GREATEST_HEADER_COUNT = 50
HEADER_NAME_LIMIT_IN_CHARS = 256
HEADER_VALUE_LIMIT_IN_CHARS = 1024
SERVICE_LIMIT_IN_CHARS = 1024

_KINDS = {"livenessProbe": "liveness_probe", "readinessProbe": "readiness_probe", "startupProbe": "startup_probe"}
_SCHEMES = ("HTTP", "HTTPS")
_LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1", "[::1]")
# The API wants at least one header; this one changes nothing.
_NEUTRAL_HEADER = {"name": "Accept", "value": "*/*"}


def probes(pod: Pod, tell: list[Notice]) -> dict[str, Any]:
    """`liveness_probe`, `readiness_probe` and `startup_probe` of the request, those that the pod has. Raises
    `Refused`.
    """
    container = pod_fields.container(pod)
    written = {kind: container[kind] for kind in _KINDS if container.get(kind) is not None}
    return {_KINDS[kind]: _timing(kind, probe, tell) | _handler(pod, kind, probe) for kind, probe in written.items()}


def fitted_window(failure_threshold: int, period_seconds: int) -> tuple[int, int]:
    """The window within SaladCloud's ranges: unchanged if it is, else the least product that is not less, its
    threshold as near as it can be.
    """
    if failure_threshold <= GREATEST_FAILURE_THRESHOLD and period_seconds <= GREATEST_PERIOD_SECONDS:
        return failure_threshold, period_seconds
    window = failure_threshold * period_seconds
    candidates = [
        (threshold, -(-window // threshold))
        for threshold in range(1, GREATEST_FAILURE_THRESHOLD + 1)
        if -(-window // threshold) <= GREATEST_PERIOD_SECONDS
    ]
    return min(candidates, key=lambda pair: (pair[0] * pair[1], abs(pair[0] - failure_threshold)))


def _in_words(failures: int, period: int, successes: int) -> str:
    return f"failureThreshold {failures}, periodSeconds {period}, successThreshold {successes}"


def _timing(kind: str, probe: Mapping[str, Any], tell: list[Notice]) -> dict[str, int]:
    # Kubernetes' defaults; it reads an unset number as 0.
    failures = probe.get("failureThreshold") or 3
    successes = probe.get("successThreshold") or 1
    period = probe.get("periodSeconds") or 10
    timeout = probe.get("timeoutSeconds") or 1
    delay = probe.get("initialDelaySeconds") or 0
    if min(failures, successes, period, timeout, delay) < 0:
        raise _refused(kind, "has a negative number")
    if failures * period > GREATEST_WINDOW_SECONDS:
        raise _refused(
            kind, f"gives up after {failures} × {period} s; SaladCloud waits at most {GREATEST_WINDOW_SECONDS} s"
        )
    if timeout > GREATEST_TIMEOUT_SECONDS:
        raise _refused(kind, f"has a timeout of {timeout} s; SaladCloud waits at most {GREATEST_TIMEOUT_SECONDS} s")
    if delay > GREATEST_INITIAL_DELAY_SECONDS:
        raise _refused(
            kind, f"has an initial delay of {delay} s; SaladCloud waits at most {GREATEST_INITIAL_DELAY_SECONDS} s"
        )
    fitted_failures, fitted_period = fitted_window(failures, period)
    fitted_successes = min(successes, GREATEST_SUCCESS_THRESHOLD)
    if (fitted_failures, fitted_period, fitted_successes) != (failures, period, successes):
        tell.append(
            Notice(
                "Normal",
                "ProbeAdjusted",
                f"The {kind} is outside SaladCloud's ranges: {_in_words(failures, period, successes)} became "
                f"{_in_words(fitted_failures, fitted_period, fitted_successes)}",
            )
        )
    return {
        "initial_delay_seconds": delay,
        "period_seconds": fitted_period,
        "timeout_seconds": timeout,
        "success_threshold": fitted_successes,
        "failure_threshold": fitted_failures,
    }


def _handler(pod: Pod, kind: str, probe: Mapping[str, Any]) -> dict[str, Any]:
    if sum(probe.get(handler) is not None for handler in ("exec", "httpGet", "tcpSocket", "grpc")) > 1:
        raise _refused(kind, "has several of exec, httpGet, tcpSocket and grpc; it must have one")
    if probe.get("exec") is not None:
        return {"exec": _exec(pod, kind, probe["exec"])}
    if probe.get("httpGet") is not None:
        return {"http": _http(pod, kind, probe["httpGet"])}
    if probe.get("tcpSocket") is not None:
        _refuse_host(kind, probe["tcpSocket"])
        return {"tcp": {"port": _port(pod, kind, probe["tcpSocket"])}}
    if probe.get("grpc") is not None:
        service = probe["grpc"].get("service") or ""
        _refuse_text(kind, "service", service or "-", SERVICE_LIMIT_IN_CHARS)
        return {"grpc": {"port": _port(pod, kind, probe["grpc"]), "service": service}}
    raise _refused(kind, "has none of exec, httpGet, tcpSocket and grpc; SaladCloud has no other kind")


def _exec(pod: Pod, kind: str, action: Mapping[str, Any]) -> dict[str, Any]:
    # A kubelet expands references here too, but knows only the values that the container itself writes.
    variables = {
        entry.get("name", ""): entry.get("value") or "" for entry in pod_fields.container(pod).get("env") or []
    }
    command = [expand(item, variables) for item in action.get("command") or []]
    if not 1 <= len(command) <= GREATEST_COMMAND_ITEM_COUNT:
        raise _refused(
            kind, f"has a command of {len(command)} items; SaladCloud takes 1 to {GREATEST_COMMAND_ITEM_COUNT}"
        )
    for index, item in enumerate(command):
        _refuse_text(kind, f"item {index} of the command", item, COMMAND_ITEM_LIMIT_IN_CHARS)
    return {"command": command}


def _http(pod: Pod, kind: str, action: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_host(kind, action)
    path = action.get("path") or "/"
    if not path.startswith("/"):
        path = "/" + path
    _refuse_text(kind, "path", path, PATH_LIMIT_IN_CHARS)
    scheme = action.get("scheme") or "HTTP"
    if scheme not in _SCHEMES:
        raise _refused(kind, f"has the scheme {scheme}; SaladCloud knows {' and '.join(_SCHEMES)}")
    headers = [
        {"name": header.get("name", ""), "value": header.get("value", "")} for header in action.get("httpHeaders") or []
    ]
    if len(headers) > GREATEST_HEADER_COUNT:
        raise _refused(kind, f"sends {len(headers)} headers; SaladCloud takes {GREATEST_HEADER_COUNT}")
    for index, header in enumerate(headers):
        _refuse_text(kind, f"name of header {index}", header["name"], HEADER_NAME_LIMIT_IN_CHARS)
        _refuse_text(kind, f"value of header {index}", header["value"], HEADER_VALUE_LIMIT_IN_CHARS)
    return {
        "path": path,
        "port": _port(pod, kind, action),
        "scheme": scheme.lower(),
        "headers": headers or [_NEUTRAL_HEADER],
    }


def _port(pod: Pod, kind: str, action: Mapping[str, Any]) -> int:
    written = action.get("port", "")
    port = pod_fields.port_number(pod, written)
    if port is None or not 1 <= port <= GREATEST_PORT:
        raise _refused(
            kind,
            f'has the port "{written}", which is neither a port number nor the name of one of the container\'s ports',
        )
    return port


def _refuse_host(kind: str, action: Mapping[str, Any]) -> None:
    if (action.get("host") or "") not in _LOCAL_HOSTS:
        raise _refused(kind, "asks another host; SaladCloud probes only the container itself")


def _refuse_text(kind: str, what: str, text: str, limit_in_chars: int) -> None:
    problem = problem_of(text, limit_in_chars)
    if problem:
        raise _refused(
            kind,
            f"has a problem in its {what}: it {problem}; SaladCloud takes up to {limit_in_chars} characters "
            "without line breaks",
        )


def _refused(kind: str, problem: str) -> Refused:
    return Refused("InvalidProbe", f"The {kind} {problem}")
