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

READ_FROM_PODS = {
    GPU_CLASSES: "GPU classes by name or UUID, comma-separated; SaladCloud takes any of them",
    GPU_MEMORY: "least video memory, `24` (GB) or a quantity such as `24Gi`",
    MAX_PRICE_PER_HOUR: "most dollars per hour that the GPU classes may cost",
    COUNTRY_CODES: "countries where the pod may run, ISO 3166 alpha-2, comma-separated; none: everywhere",
    PRIORITY: "`high`, `medium`, `low` or `batch`; none: `--default-priority`",
    NETWORKING_PROTOCOL: "`http` opens the gateway",
    NETWORKING_PORT: "port of the container behind the gateway, a number or the name of a container port",
    NETWORKING_AUTH: "`true` unless written `false`: callers of the gateway need an API key",
    NETWORKING_LOAD_BALANCER: "`round_robin` or `least_number_of_connections`",
    NETWORKING_CLIENT_REQUEST_TIMEOUT: "milliseconds",
    NETWORKING_SERVER_RESPONSE_TIMEOUT: "milliseconds",
    NETWORKING_SINGLE_CONNECTION_LIMIT: "`true`: one connection at a time",
    LOGGING_NEW_RELIC_HOST: "log sink New Relic: host",
    LOGGING_NEW_RELIC_INGESTION_KEY: "log sink New Relic: key (better in the Secret below)",
    LOGGING_SPLUNK_HOST: "log sink Splunk: host",
    LOGGING_SPLUNK_TOKEN: "log sink Splunk: token (better in the Secret below)",
    LOGGING_TCP_HOST: "log sink TCP: host",
    LOGGING_TCP_PORT: "log sink TCP: port",
    LOGGING_SECRET: "Secret whose key `logging` holds a JSON object with one of SaladCloud's log sinks",
    ENTRYPOINT: "the image's entrypoint as a JSON array, for pods that give `args` without `command`",
    ON_INTERRUPTION: "`continue`: a pod with restartPolicy Never survives the loss of its machine",
    IGNORE_UNSUPPORTED: "opt-outs of the table above, comma-separated",
}
WRITTEN_TO_PODS = {
    CONTAINER_GROUP: "where the pod's container group lies: organization/project/name",
    ATTEMPT: "which attempt it is, from 0",
    ACCESS_DOMAIN_NAME: "host name of the gateway",
    MACHINE_ID: "the machine it was given last",
    GPU_CLASS: "the GPU it runs on, once known",
}

# The others are read again while the pod runs.
SETTLED = frozenset(READ_FROM_PODS) - {ON_INTERRUPTION, IGNORE_UNSUPPORTED}

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
    known = {**READ_FROM_PODS, **WRITTEN_TO_PODS}
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


def annotation_table_markdown() -> str:
    """README's table of the annotations."""
    lines = ["| annotation | by | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | author | {meaning} |" for name, meaning in READ_FROM_PODS.items()]
    lines += [f"| `{name}` | node | {meaning} |" for name, meaning in WRITTEN_TO_PODS.items()]
    return "\n".join(lines) + "\n"
