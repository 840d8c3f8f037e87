"""The published table of pod support: what becomes of every field of a pod's spec.

One row serves a field and everything below it that has no row of its own; a row that lists its parts serves only those,
so that what Kubernetes adds below it later is unknown until somebody has thought about it. Pods are judged by this
table and the manual's tables are printed from it, so the two cannot differ. Pure data.
Source of the fields and of the values that the API server defaults them to: the API of Kubernetes 1.36, PodSpec.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from typing import Any


class Treatment(enum.Enum):
    """What becomes of a field; the value is the word in the published table."""

    HONORED = "honoured"
    TRANSFORMED = "transformed"
    """Acted upon, in a form that the cloud can take."""
    CLUSTER = "done by the cluster"
    """The scheduler or a controller acts on it before or beside the node."""
    TOLERATED = "ignored"
    """And named in an Event, unless the text says otherwise."""
    REFUSED = "refused"


ACTED_UPON = frozenset({Treatment.HONORED, Treatment.TRANSFORMED})

Asks = Callable[[Any], bool]
"""Whether a value asks for anything, where a list of values cannot tell."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    path: str
    """From `spec`; `[]` stands for each item of a list, a last `*` for every other field there."""
    treatment: Treatment
    text: str
    """What happens, or why it is refused and what would be accepted; continues a sentence that names the field."""
    opt_out: str = ""
    """The word by which a pod's author has it ignored; empty: it cannot be."""
    unstated: tuple[object, ...] = ()
    """Values that ask for nothing, above all the API server's default. An absent or empty value never does."""
    asks: Asks | None = None
    parts: tuple[str, ...] = ()
    """Paths from here, each with all below it; any other field here is unknown. Empty: all fields here."""

    def paths(self) -> tuple[str, ...]:
        """Its own path, then those of its parts."""
        below = (part if part.startswith("[]") else f".{part}" for part in self.parts)
        return (self.path, *(self.path + part for part in below))


SERVICE_ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_VOLUME = "spec.volumes[].projected (service account token)"
SHARED_MEMORY_VOLUME = "spec.volumes[].emptyDir (at /dev/shm)"
PLAIN_EMPTY_DIR = "spec.volumes[].emptyDir"
MEMORY_EMPTY_DIR = "spec.volumes[].emptyDir (in memory elsewhere)"
OTHER_VOLUME = "spec.volumes[].*"
OTHER_CONTAINERS = "spec.containers[1…]"
OTHER_RESOURCES = "spec.containers[].resources (of other names)"

ENVIRONMENT_OPT_OUT = "env"


def _restarts_on_resize(value: Any) -> bool:
    return any(policy.get("restartPolicy") != "NotRequired" for policy in value or [])


def _is_newer_http(value: Any) -> bool:
    return not str(value or "HTTP/1.1").startswith(("HTTP/1", "HTTP1"))


def _is_with_tls(value: Any) -> bool:
    return bool(value) and value != "Plaintext"


def _always(value: Any) -> bool:
    return True


def _never(value: Any) -> bool:
    return False


# Refused where the environment is resolved, which knows the variable's name; and where sizes are, by the cloud.
_with_the_environment = _with_the_sizes = _never

_H, _X, _C, _T, _R = (
    Treatment.HONORED,
    Treatment.TRANSFORMED,
    Treatment.CLUSTER,
    Treatment.TOLERATED,
    Treatment.REFUSED,
)
_CONTAINER = "spec.containers[]"
_FIELD_PATH = f"{_CONTAINER}.env[].valueFrom.fieldRef.fieldPath"
_INJECTORS = (
    "sidecar injectors leave a pod alone that says so, for example by the annotations"
    ' sidecar.istio.io/inject: "false" or linkerd.io/inject: disabled'
)
_USER = "the user of the image runs"
_MACHINE = "a pod has no part in the machine that it runs on"
_ISOLATION = "the cloud's own isolation holds"
_CLAIMS = "asks for devices of the cluster's own"
_OUTSIDE = "names are resolved outside the cluster"
_HOST_NAME = "the cloud names the machine"
_NO_TOKEN = "no token is mounted"
_NO_GRACE = "the cloud grants no grace"
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_PROBE_PARTS = (
    "exec.command",
    *(f"httpGet.{part}" for part in ("path", "port", "host", "scheme", "httpHeaders[].name", "httpHeaders[].value")),
    "tcpSocket.port",
    "tcpSocket.host",
    "grpc.port",
    "grpc.service",
    *("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"),
)
_ENV_PARTS = (
    "[].name",
    "[].value",
    "[].valueFrom.fieldRef.apiVersion",
    *(f"[].valueFrom.resourceFieldRef.{part}" for part in ("containerName", "resource", "divisor")),
    *(f"[].valueFrom.secretKeyRef.{part}" for part in ("name", "key", "optional")),
    *(f"[].valueFrom.configMapKeyRef.{part}" for part in ("name", "key", "optional")),
)
_ENV_FROM_PARTS = (
    "[].prefix",
    *(f"[].secretRef.{part}" for part in ("name", "optional")),
    *(f"[].configMapRef.{part}" for part in ("name", "optional")),
)
_SIZES = (
    "requests, else limits: vCPU rounded up to whole ones, memory to whole GiB, all raised to the least that the cloud "
    "offers; nvidia.com/gpu chooses GPU classes"
)
_PROBE = (
    "what is out of the cloud's ranges is fitted to them where its meaning can be kept, with an Event, and refused "
    "where not"
)


SECTIONS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "The container",
        (
            Row(f"{_CONTAINER}.name", _H, "the name of the container"),
            Row(f"{_CONTAINER}.image", _H, "the image that runs; a change in place replaces the container"),
            Row("spec.imagePullSecrets", _X, "the entry that matches the image's registry is sent; a Secret that is "
                "missing or malformed holds the pod back", parts=("[].name",)),
            Row(f"{_CONTAINER}.imagePullPolicy", _T, "the cloud keeps its own copies of images",
                unstated=("Always", "IfNotPresent")),
            Row(f"{_CONTAINER}.command", _H, "replaces the entrypoint of the image; `$(VAR)` is expanded"),
            Row(f"{_CONTAINER}.args", _X, "follow the command in one list; without a command they are refused, unless "
                "an annotation names the image's entrypoint"),
            Row(f"{_CONTAINER}.workingDir", _R, "the working directory of the image cannot be changed; set it in the "
                "image or in the command", "workingDir"),
            Row(f"{_CONTAINER}.ports", _H, "their names serve probes and the gateway's annotations; they open nothing",
                parts=("[].name", "[].containerPort", "[].protocol")),
            Row(f"{_CONTAINER}.ports[].hostPort", _R, f"opens a port of the machine, and {_MACHINE}", "hostPort"),
            Row(f"{_CONTAINER}.ports[].hostIP", _T, "there is no port of a machine to bind"),
            Row(f"{_CONTAINER}.stdin", _R, "nobody can write to the container's input", "stdin", (False,)),
            Row(f"{_CONTAINER}.stdinOnce", _R, "nobody can write to the container's input", "stdin", (False,)),
            Row(f"{_CONTAINER}.tty", _R, "there is no terminal", "tty", (False,)),
            Row(OTHER_CONTAINERS, _R, f"a pod can have only one container here; {_INJECTORS}", "sidecars"),
            Row("spec.initContainers", _R, f"a pod can have only one container here; {_INJECTORS}", "initContainers"),
            Row("spec.ephemeralContainers", _T, "`kubectl debug` adds them to a pod that is there already: none runs, "
                "its status and an Event say so, and the pod goes on"),
        ),
    ),
    (
        "Environment",
        (
            Row(f"{_CONTAINER}.env", _H, "resolved as a kubelet does; empty values are left out, with an Event; values "
                "of more than 1000 characters or several lines are refused", parts=_ENV_PARTS),
            Row(_FIELD_PATH, _R, "`status.podIP` and `status.podIPs` are refused, for a pod has no address here; every "
                "other field is honoured", ENVIRONMENT_OPT_OUT, asks=_with_the_environment),
            Row(f"{_CONTAINER}.env[].valueFrom.fileKeyRef", _R, "there are no volumes to read files of",
                ENVIRONMENT_OPT_OUT, asks=_with_the_environment),
            Row(f"{_CONTAINER}.envFrom", _H, "resolved as a kubelet does; keys that are no names of variables are "
                "skipped, with an Event", parts=_ENV_FROM_PARTS),
            Row("spec.enableServiceLinks", _T, "the variables of Services are never set; not named in the Event",
                unstated=(True, False)),
        ),
    ),
    (
        "Sizes",
        (
            Row(f"{_CONTAINER}.resources", _X, _SIZES, parts=("requests", "limits")),
            Row("spec.resources", _X, "counts where the container states nothing", parts=("requests", "limits")),
            Row(OTHER_RESOURCES, _R, "only cpu, memory, ephemeral-storage and nvidia.com/gpu can be had", "resources",
                asks=_with_the_sizes),
            Row(f"{_CONTAINER}.resources.claims", _R, _CLAIMS, "resourceClaims"),
            Row("spec.resources.claims", _R, _CLAIMS, "resourceClaims"),
            Row("spec.resourceClaims", _R, _CLAIMS, "resourceClaims"),
            Row(f"{_CONTAINER}.resizePolicy", _T, "sizes never change in place", asks=_restarts_on_resize),
            Row("spec.overhead", _C, "done before the pod reaches a node"),
        ),
    ),
    (
        "Probes, life and death",
        (
            Row(f"{_CONTAINER}.livenessProbe", _X, f"{_PROBE}. When it fails, the container moves to another machine "
                "and its files are gone", parts=_PROBE_PARTS),
            Row(f"{_CONTAINER}.readinessProbe", _X, _PROBE, parts=_PROBE_PARTS),
            Row(f"{_CONTAINER}.startupProbe", _X, _PROBE, parts=_PROBE_PARTS),
            *(
                Row(f"{_CONTAINER}.{kind}.{field}", _R, "the cloud probes by HTTP/1.1 and by gRPC without TLS",
                    "probeProtocol", asks=asks)
                for kind in _PROBES
                for field, asks in (("httpGet.protocol", _is_newer_http), ("grpc.mode", _is_with_tls))
            ),
            *(Row(f"{_CONTAINER}.{kind}.terminationGracePeriodSeconds", _T, _NO_GRACE) for kind in _PROBES),
            Row("spec.terminationGracePeriodSeconds", _T, _NO_GRACE, unstated=(30,)),
            Row("spec.readinessGates", _H, "a pod is Ready when its container is and every gate is open",
                parts=("[].conditionType",)),
            Row("spec.restartPolicy", _H, "decides what follows an exit of the container"),
            Row(f"{_CONTAINER}.restartPolicy", _R, "a container has no restart policy besides the pod's",
                "containerRestartPolicy"),
            Row(f"{_CONTAINER}.restartPolicyRules", _R, "a container has no restart policy besides the pod's",
                "containerRestartPolicy"),
            Row("spec.activeDeadlineSeconds", _H, "the pod fails when it is over"),
            Row(f"{_CONTAINER}.lifecycle", _R, "there are no hooks around start and stop", "lifecycle"),
            Row(f"{_CONTAINER}.terminationMessagePath", _T, "no file is read after an exit",
                unstated=("/dev/termination-log",)),
            Row(f"{_CONTAINER}.terminationMessagePolicy", _T, "no file is read after an exit", unstated=("File",)),
        ),
    ),
    (
        "Volumes",
        (
            Row(SHARED_MEMORY_VOLUME, _X, "its sizeLimit, else the memory, is the size of /dev/shm"),
            Row(PLAIN_EMPTY_DIR, _T, "the container writes to its own ephemeral disk; the directory is not made",
                asks=_always, parts=("medium", "sizeLimit")),
            Row(f"{PLAIN_EMPTY_DIR}.mode", _T, "there is no directory whose mode could be set"),
            Row(MEMORY_EMPTY_DIR, _R, "a memory disk can only be mounted at /dev/shm", "volumes", asks=_always),
            Row(TOKEN_VOLUME, _T, f"{_NO_TOKEN}; not named in the Event", asks=_never),
            Row(OTHER_VOLUME, _R, "nothing can be mounted; put files into the image, pass them as environment, or "
                "fetch them", "volumes", asks=_always),
            Row(f"{_CONTAINER}.volumeMounts", _T, "decided with the volume; not named in the Event", asks=_never),
            Row(f"{_CONTAINER}.volumeDevices", _R, "there are no block devices", "volumes"),
        ),
    ),
    (
        "Rights and isolation",
        (
            Row("spec.hostNetwork", _R, _MACHINE, "hostNetwork", (False,)),
            Row("spec.hostPID", _R, _MACHINE, "hostPID", (False,)),
            Row("spec.hostIPC", _R, _MACHINE, "hostIPC", (False,)),
            Row(f"{_CONTAINER}.securityContext.privileged", _R, "no container is privileged here", "privileged",
                (False,)),
            Row(f"{_CONTAINER}.securityContext.capabilities.add", _R, "capabilities cannot be added", "capabilities"),
            Row(f"{_CONTAINER}.securityContext.procMount", _R, "/proc cannot be unmasked", "procMount", ("Default",)),
            Row("spec.securityContext.sysctls", _R, "kernel parameters cannot be set", "sysctls"),
            Row("spec.runtimeClassName", _R, "there is only one runtime; GPUs need no runtime class",
                "runtimeClassName"),
            Row("spec.os.name", _R, "only Linux containers run here", unstated=("linux",)),
            Row("spec.securityContext.runAsUser", _T, _USER),
            Row("spec.securityContext.runAsGroup", _T, _USER),
            Row("spec.securityContext.fsGroup", _T, _USER),
            Row("spec.securityContext.runAsNonRoot", _T, _USER, unstated=(False,)),
            Row(f"{_CONTAINER}.securityContext.runAsUser", _T, _USER),
            Row(f"{_CONTAINER}.securityContext.runAsGroup", _T, _USER),
            Row(f"{_CONTAINER}.securityContext.runAsNonRoot", _T, _USER, unstated=(False,)),
            Row(f"{_CONTAINER}.securityContext.readOnlyRootFilesystem", _T, "the disk can be written",
                unstated=(False,)),
            Row("spec.securityContext", _T, _ISOLATION),
            Row(f"{_CONTAINER}.securityContext", _T, _ISOLATION),
            Row(f"{_CONTAINER}.securityContext.allowPrivilegeEscalation", _T, _ISOLATION, unstated=(True,)),
            Row("spec.hostUsers", _T, _ISOLATION, unstated=(True,)),
            Row("spec.shareProcessNamespace", _T, "there is only one container", unstated=(False,)),
            Row("spec.serviceAccountName", _T, _NO_TOKEN, unstated=("default",)),
            Row("spec.serviceAccount", _T, f"{_NO_TOKEN}; not named in the Event", asks=_never),
            Row("spec.automountServiceAccountToken", _T, f"{_NO_TOKEN}; not named in the Event",
                unstated=(True, False)),
        ),
    ),
    (
        "Names and addresses",
        (
            Row("spec.dnsPolicy", _T, _OUTSIDE, unstated=("ClusterFirst", "Default")),
            Row("spec.dnsConfig", _T, _OUTSIDE),
            Row("spec.hostname", _T, _HOST_NAME),
            Row("spec.hostnameOverride", _T, _HOST_NAME),
            Row("spec.subdomain", _T, _HOST_NAME),
            Row("spec.setHostnameAsFQDN", _T, _HOST_NAME, unstated=(False,)),
            Row("spec.hostAliases", _T, "/etc/hosts is the cloud's"),
        ),
    ),
    (
        "Placement",
        (
            Row("spec.nodeName", _H, "places the pod on this node"),
            *(
                Row(f"spec.{field}", _C, "done before the pod reaches a node")
                for field in (
                    "affinity", "evictionResponders", "nodeSelector", "preemptionPolicy", "priority",
                    "priorityClassName", "schedulerName", "schedulingGates", "schedulingGroup", "tolerations",
                    "topologySpreadConstraints", "workloadRef",
                )
            ),
        ),
    ),
)

TABLE: tuple[Row, ...] = tuple(row for _, rows in SECTIONS for row in rows)
