"""The `salad.com/…` annotations: their names, and reading one strictly.

A pod author writes them; so every value is checked, and a misspelled name is found instead of ignored (a lost country
code would mean world-wide placement). Pure. Errors are `Refused`, whose text quotes the annotation.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet.provider import Pod
from virtual_kubelet_salad.saladcloud import pod_fields

PREFIX = "salad.com/"

GPU_CLASSES = "salad.com/gpu-classes"
GPU_MEMORY = "salad.com/gpu-memory"
MAX_PRICE_PER_HOUR = "salad.com/max-price-per-hour"
COUNTRY_CODES = "salad.com/country-codes"
PRIORITY = "salad.com/container-group-priority"
NETWORKING_PROTOCOL = "salad.com/networking-protocol"
NETWORKING_PORT = "salad.com/networking-port"
NETWORKING_AUTH = "salad.com/networking-auth"
NETWORKING_LOAD_BALANCER = "salad.com/networking-load-balancer"
NETWORKING_CLIENT_REQUEST_TIMEOUT = "salad.com/networking-client-request-timeout"
NETWORKING_SERVER_RESPONSE_TIMEOUT = "salad.com/networking-server-response-timeout"
NETWORKING_SINGLE_CONNECTION_LIMIT = "salad.com/networking-single-connection-limit"
LOGGING_NEW_RELIC_HOST = "salad.com/logging-new-relic-host"
LOGGING_NEW_RELIC_INGESTION_KEY = "salad.com/logging-new-relic-ingestion-key"
LOGGING_SPLUNK_HOST = "salad.com/logging-splunk-host"
LOGGING_SPLUNK_TOKEN = "salad.com/logging-splunk-token"
LOGGING_TCP_HOST = "salad.com/logging-tcp-host"
LOGGING_TCP_PORT = "salad.com/logging-tcp-port"
LOGGING_SECRET = "salad.com/logging-secret"
ENTRYPOINT = "salad.com/entrypoint"
ON_INTERRUPTION = "salad.com/on-interruption"
IGNORE_UNSUPPORTED = "salad.com/ignore-unsupported"

# Written by the node itself; what a pod's template carries of them is overwritten or without effect.
CONTAINER_GROUP = "salad.com/container-group"
ATTEMPT = "salad.com/attempt"
ACCESS_DOMAIN_NAME = "salad.com/access-domain-name"
MACHINE_ID = "salad.com/machine-id"
GPU_CLASS = "salad.com/gpu-class"

READ_FROM_PODS = (
    GPU_CLASSES,
    GPU_MEMORY,
    MAX_PRICE_PER_HOUR,
    COUNTRY_CODES,
    PRIORITY,
    NETWORKING_PROTOCOL,
    NETWORKING_PORT,
    NETWORKING_AUTH,
    NETWORKING_LOAD_BALANCER,
    NETWORKING_CLIENT_REQUEST_TIMEOUT,
    NETWORKING_SERVER_RESPONSE_TIMEOUT,
    NETWORKING_SINGLE_CONNECTION_LIMIT,
    LOGGING_NEW_RELIC_HOST,
    LOGGING_NEW_RELIC_INGESTION_KEY,
    LOGGING_SPLUNK_HOST,
    LOGGING_SPLUNK_TOKEN,
    LOGGING_TCP_HOST,
    LOGGING_TCP_PORT,
    LOGGING_SECRET,
    ENTRYPOINT,
    ON_INTERRUPTION,
    IGNORE_UNSUPPORTED,
)
WRITTEN_TO_PODS = (CONTAINER_GROUP, ATTEMPT, ACCESS_DOMAIN_NAME, MACHINE_ID, GPU_CLASS)

UNKNOWN_ANNOTATIONS_OPT_OUT = "annotations"

_TRUE = frozenset({"true", "1", "t", "yes"})
_FALSE = frozenset({"false", "0", "f", "no"})
# Longer values are shortened where a message quotes them.
_GREATEST_QUOTE_IN_CHARS = 60


def text(pod: Pod, name: str) -> str | None:
    """The value without surrounding blanks; None when the pod does not carry the annotation. An empty one is refused:
    it may have been meant as a limit.
    """
    value = pod_fields.annotations_of(pod).get(name)
    if value is None:
        return None
    if not value.strip():
        raise invalid(name, "is empty; give it a value or remove it")
    return value.strip()


def items(pod: Pod, name: str) -> tuple[str, ...]:
    """The values of a comma-separated list, trimmed; empty when the pod does not carry the annotation."""
    value = text(pod, name)
    if value is None:
        return ()
    found = tuple(item.strip() for item in value.split(",") if item.strip())
    if not found:
        raise invalid(name, "names nothing; give it a value or remove it")
    return found


def boolean(pod: Pod, name: str) -> bool | None:
    value = text(pod, name)
    if value is None:
        return None
    if value.casefold() in _TRUE:
        return True
    if value.casefold() in _FALSE:
        return False
    raise invalid(name, f"is {quoted(value)}; it must be true or false")


def integer(pod: Pod, name: str, least: int, greatest: int) -> int | None:
    value = text(pod, name)
    if value is None:
        return None
    # A bound on the digits, because int() of a very long text is an error of its own.
    if not (value.isascii() and value.isdigit() and len(value) <= 18 and least <= int(value) <= greatest):
        raise invalid(name, f"is {quoted(value)}; it must be a whole number from {least} to {greatest}")
    return int(value)


def choice(pod: Pod, name: str, allowed: Sequence[str]) -> str | None:
    """The value in lower case if it is one of `allowed`."""
    value = text(pod, name)
    if value is None:
        return None
    if value.casefold() not in allowed:
        raise invalid(name, f"is {quoted(value)}; it must be {_one_of(allowed)}")
    return value.casefold()


def refuse_misspelled(pod: Pod) -> None:
    """Refuses annotations under our prefix that mean nothing to us, unless the pod opts out with the word
    `annotations`.
    """
    written: Mapping[str, str] = pod_fields.annotations_of(pod)
    known = READ_FROM_PODS + WRITTEN_TO_PODS
    unknown = sorted(name for name in written if name.startswith(PREFIX) and name not in known)
    if not unknown or UNKNOWN_ANNOTATIONS_OPT_OUT in ignored_words(pod):
        return
    hints = []
    for name in unknown:
        near = difflib.get_close_matches(name, READ_FROM_PODS, n=1)
        hints.append(f"{quoted(name)} (did you mean {near[0]}?)" if near else quoted(name))
    raise Refused(
        "UnknownAnnotation",
        f"This node knows no annotation {', '.join(hints)}. Correct or remove it, or let it be ignored: "
        f'{IGNORE_UNSUPPORTED}: "{UNKNOWN_ANNOTATIONS_OPT_OUT}"',
    )


def ignored_words(pod: Pod) -> frozenset[str]:
    """The refusals that the pod's author opts out of."""
    value = pod_fields.annotations_of(pod).get(IGNORE_UNSUPPORTED, "")
    return frozenset(word.strip().casefold() for word in value.split(",") if word.strip())


def invalid(name: str, problem: str) -> Refused:
    """The refusal of an annotation: `problem` continues a sentence that begins with its name."""
    return Refused("InvalidAnnotation", f"The annotation {name} {problem}")


def quoted(value: str) -> str:
    """A value in quotation marks, shortened where it is long."""
    shortened = value if len(value) <= _GREATEST_QUOTE_IN_CHARS else value[: _GREATEST_QUOTE_IN_CHARS - 1] + "…"
    return f'"{shortened}"'


def _one_of(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
