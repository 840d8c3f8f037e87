"""For each field of a pod that the published table says is acted upon: the rule by which the request shows it.

Written from the words of the table and of Kubernetes, not from the code that makes the request; as simple as a rule can
be that still finds a value which was lost, cut or changed.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from virtual_kubelet_salad.saladcloud import pod_annotations

Json = dict[str, Any]
Rule = Callable[[Json, Sequence[Json], Mapping[str, Any], str], Iterator[str]]

GIB = 2**30
UNITS = {
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(1000),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
} | {unit: Fraction(2 ** (10 * power)) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}


@dataclasses.dataclass(frozen=True)
class Proof:
    """`complaints(pod, documents, request, told)` tells what the request does not show of what lies below `path`."""

    path: str
    complaints: Rule


def _container(pod: Json) -> Json:
    first: Json = (pod["spec"].get("containers") or [{}])[0]
    return first


def _annotations(pod: Json) -> Mapping[str, str]:
    return pod["metadata"].get("annotations") or {}


def amount(text: object) -> Fraction:
    match = re.fullmatch(r"([0-9.]+?)(?:e([0-9]+)|E([0-9]+)|([kMGmTPE]i?|Ki)?)", str(text))
    assert match is not None, text
    exponent = int(match[2] or match[3] or 0)
    return Fraction(match[1].rstrip(".") or "0") * 10**exponent * (UNITS | {"E": Fraction(10**18)})[match[4] or ""]


def stated(pod: Json, name: str) -> Fraction:
    """How much of a resource the pod asks for; 0: nothing."""
    for owner in (_container(pod), pod["spec"]):
        for kind in ("requests", "limits"):
            value = ((owner.get("resources") or {}).get(kind) or {}).get(name)
            if value is not None and amount(value):
                return amount(value)
    return Fraction(0)


def image(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    if request["container"]["image"] != _container(pod)["image"].strip():
        yield "the image is another"


def restart_policy(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    wanted = {"Always": "always", "OnFailure": "on_failure", "Never": "never"}[
        pod["spec"].get("restartPolicy") or "Always"
    ]
    if request["restart_policy"] != wanted:
        yield "the restart policy is another"


def command(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    container = _container(pod)
    words = [*(container.get("command") or []), *(container.get("args") or [])]
    sent = request["container"].get("command") or []
    if (container.get("args") and not container.get("command")) and len(sent) <= len(words):
        yield "the image's entrypoint is not before the arguments"
    tail = sent[len(sent) - len(words) :] if words else []
    if len(tail) != len(words) or any(
        "$" not in word and word != found for word, found in zip(words, tail, strict=True)
    ):
        yield "the command is not the pod's command and arguments"
    if container.get("command") and len(sent) != len(words):
        yield "the command has more than the pod states"


def environment(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    """Every variable with its value where the pod or a source tells it; one that is missing is named."""
    sources = {(document["kind"], document["metadata"]["name"]): document["data"] for document in documents}
    wanted: dict[str, str | None] = {}
    for entry in _container(pod).get("envFrom") or []:
        kind = "ConfigMap" if entry.get("configMapRef") else "Secret"
        reference = entry.get("configMapRef") or entry.get("secretRef") or {}
        for key, value in sources.get((kind, reference.get("name")), {}).items():
            name = (entry.get("prefix") or "") + key
            if re.fullmatch(r"[-._a-zA-Z][-._a-zA-Z0-9]*", name):
                wanted[name] = _text(kind, value)
            elif name not in told:
                yield f"the key {name} of a source is neither a variable nor named"
    for entry in _container(pod).get("env") or []:
        source = entry.get("valueFrom") or {}
        if entry.get("value") or not source:
            value = entry.get("value") or ""
            wanted[entry.get("name")] = None if "$" in value else value
        elif source.get("secretKeyRef") or source.get("configMapKeyRef"):
            kind = "Secret" if source.get("secretKeyRef") else "ConfigMap"
            reference = source.get("secretKeyRef") or source["configMapKeyRef"]
            data = sources.get((kind, reference.get("name")), {})
            if reference.get("key") in data:
                wanted[entry.get("name")] = _text(kind, data[reference["key"]])
            elif f"{kind} default/{reference.get('name')}" not in told:
                yield f"the variable {entry.get('name')} has no source, and nobody says so"
        else:
            wanted[entry.get("name")] = None
    sent = request["container"]["environment_variables"]
    for name, text in wanted.items():
        if name not in sent and f"variable {name} (" in told.replace(",", " ("):
            continue
        if text == "" or (text is None and name not in sent):
            if name in sent or f"left out: {name}" not in told and f", {name}" not in told:
                yield f"the variable {name} is empty, and nobody says so"
        elif text is not None and sent.get(name) != text:
            yield f"the variable {name} has another value"
    if set(sent) - set(wanted) != {"SALAD_VK_OWNER"} or list(sent)[-1] != "SALAD_VK_OWNER":
        yield "there are variables that nobody asked for, or no owner record at the end"


def _text(kind: str, value: str) -> str:
    return base64.b64decode(value).decode() if kind == "Secret" else value


def sizes(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    sent = request["container"]["resources"]
    cores, memory, storage = stated(pod, "cpu"), stated(pod, "memory"), stated(pod, "ephemeral-storage")
    if not (sent["cpu"] == 1 >= cores or cores <= sent["cpu"] < cores + 1):
        yield "the cores are others"
    if not (sent["memory"] * 2**20 == GIB >= memory or memory <= sent["memory"] * 2**20 < memory + GIB):
        yield "the memory is another"
    if sent.get("storage_amount", 0) < storage or ("storage_amount" in sent) != bool(storage):
        yield "the storage is another"
    asks = stated(pod, "nvidia.com/gpu") or {pod_annotations.GPU_CLASSES, pod_annotations.GPU_MEMORY} & set(
        _annotations(pod)
    )
    if bool(asks) != bool(sent.get("gpu_classes")):
        yield "the GPU is lost, or there is one that nobody asked for"
    for owner in (_container(pod), pod["spec"]):
        for listed in ((owner.get("resources") or {}).get(kind) or {} for kind in ("requests", "limits")):
            for name, value in listed.items():
                known = name in ("cpu", "memory", "ephemeral-storage", "nvidia.com/gpu")
                if not known and amount(value) and name not in told:
                    yield f"the resource {name} is not named"


def shared_memory(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    mounts = {
        mount.get("name"): mount.get("mountPath")
        for mount in _container(pod).get("volumeMounts") or []
        if (mount.get("mountPath") or "").rstrip("/") == "/dev/shm"
    }
    for volume in pod["spec"].get("volumes") or []:
        empty_dir = volume.get("emptyDir")
        if volume.get("name") not in mounts or empty_dir is None or f"the volume {volume.get('name')} " in told:
            continue
        limit = (empty_dir or {}).get("sizeLimit")
        least = amount(limit) if limit is not None else request["container"]["resources"]["memory"] * 2**20
        if request["container"]["resources"].get("shm_size", 0) * 2**20 < least:
            yield "the shared memory is smaller"
    if not mounts and "shm_size" in request["container"]["resources"]:
        yield "there is shared memory that nobody asked for"


def probes(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    for kind, name in (
        ("livenessProbe", "liveness_probe"),
        ("readinessProbe", "readiness_probe"),
        ("startupProbe", "startup_probe"),
    ):
        written, sent = _container(pod).get(kind), request.get(name)
        if (written is None) != (sent is None):
            yield f"the {kind} is lost, or there is one that nobody wrote"
        elif written is not None and sent is not None:
            yield from (f"the {kind} has {problem}" for problem in _probe(pod, written, sent, kind in told))


def _probe(pod: Json, written: Json, sent: Mapping[str, Any], is_told: bool) -> Iterator[str]:
    failures, period = written.get("failureThreshold") or 3, written.get("periodSeconds") or 10
    window = sent["failure_threshold"] * sent["period_seconds"]
    if (sent["failure_threshold"], sent["period_seconds"]) != (failures, period) and not is_told:
        yield "another window, and nobody says so"
    if not failures * period <= window < failures * period + 20:
        yield "another window"
    if sent["timeout_seconds"] != (written.get("timeoutSeconds") or 1):
        yield "another timeout"
    if sent["initial_delay_seconds"] != (written.get("initialDelaySeconds") or 0):
        yield "another delay"
    if sent["success_threshold"] != (written.get("successThreshold") or 1) and not is_told:
        yield "another number of successes"
    kinds = {"exec": "exec", "httpGet": "http", "tcpSocket": "tcp", "grpc": "grpc"}
    for handler, name in kinds.items():
        if (written.get(handler) is None) != (name not in sent):
            yield "another handler"
            return
    ports = {port.get("name"): port.get("containerPort") for port in _container(pod).get("ports") or []}
    for handler in ("httpGet", "tcpSocket", "grpc"):
        port = (written.get(handler) or {}).get("port")
        if port is not None and str(sent[kinds[handler]]["port"]) not in (str(port), str(ports.get(port))):
            yield "another port"
    if written.get("exec") and len(sent["exec"]["command"]) != len(written["exec"]["command"]):
        yield "another command"
    if written.get("grpc") and sent["grpc"]["service"] != (written["grpc"].get("service") or ""):
        yield "another service"
    if written.get("httpGet"):
        action, http = written["httpGet"], sent["http"]
        if http["path"].lstrip("/") != (action.get("path") or "").lstrip("/"):
            yield "another path"
        if http["scheme"].upper() != (action.get("scheme") or "HTTP"):
            yield "another scheme"
        headers = [(header.get("name"), header.get("value")) for header in action.get("httpHeaders") or []]
        if headers and headers != [(header["name"], header["value"]) for header in http["headers"]]:
            yield "other headers"


def pull_secrets(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    named = [entry["name"] for entry in pod["spec"].get("imagePullSecrets") or [] if entry.get("name")]
    is_sent = "registry_authentication" in request["container"]
    if named and not is_sent and not all(name in told for name in named):
        yield "the pull secrets are lost"
    if is_sent and not named:
        yield "there are credentials that nobody named"


def annotated(pod: Json, documents: Sequence[Json], request: Mapping[str, Any], told: str) -> Iterator[str]:
    written = {name: value.strip() for name, value in _annotations(pod).items()}
    countries = {code.strip().lower() for code in written.get(pod_annotations.COUNTRY_CODES, "").split(",")} - {""}
    if set(request.get("country_codes", ())) != countries:
        yield "the countries are others"
    priority = written.get(pod_annotations.PRIORITY, "high").lower()
    if request["container"]["priority"] != priority:
        yield "the priority is another"
    if (pod_annotations.NETWORKING_PORT in written) != ("networking" in request):
        yield "the gateway is lost, or open without a word"
    if "networking" in request:
        is_open = written.get(pod_annotations.NETWORKING_AUTH, "true").lower() in ("false", "0", "f", "no")
        if request["networking"]["auth"] is is_open:
            yield "the gateway's authentication is another"
    has_sink = any(name.startswith("salad.com/logging-") for name in written)
    if has_sink != ("logging" in request["container"]):
        yield "the log sink is lost, or there is one that nobody named"


PROOFS = (
    Proof("spec.containers[].image", image),
    Proof("spec.restartPolicy", restart_policy),
    Proof("spec.containers[].command", command),
    Proof("spec.containers[].args", command),
    Proof("spec.containers[].env", environment),
    Proof("spec.containers[].resources", sizes),
    Proof("spec.resources", sizes),
    Proof("spec.volumes[].emptyDir", shared_memory),
    Proof("spec.containers[].livenessProbe", probes),
    Proof("spec.containers[].readinessProbe", probes),
    Proof("spec.containers[].startupProbe", probes),
    Proof("spec.imagePullSecrets", pull_secrets),
    Proof("metadata.annotations", annotated),
)
