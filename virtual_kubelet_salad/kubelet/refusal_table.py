"""The published table of pod support: what becomes of every field of a pod's spec.

One row serves a field and everything below it that has no row of its own. Pods are judged by this table and the
manual's table is printed from it, so the two cannot differ. Pure data.
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
    CLUSTER = "done by the cluster"
    """The scheduler or a controller acts on it before or beside the node."""
    TOLERATED = "ignored, named in an Event"
    REFUSED = "refused"


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


SERVICE_ACCOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_VOLUME = "spec.volumes[].projected (service account token)"
SHARED_MEMORY_VOLUME = "spec.volumes[].emptyDir (at /dev/shm)"
PLAIN_EMPTY_DIR = "spec.volumes[].emptyDir"
MEMORY_EMPTY_DIR = "spec.volumes[].emptyDir (medium elsewhere)"
OTHER_VOLUME = "spec.volumes[].*"
OTHER_CONTAINERS = "spec.containers[1…]"


def _restarts_on_resize(value: Any) -> bool:
    return any(policy.get("restartPolicy") != "NotRequired" for policy in value or [])


def _always(value: Any) -> bool:
    return True


def _never(value: Any) -> bool:
    return False


# Refused where the environment is resolved, which knows the variable's name.
_with_the_environment = _never

_H, _C, _T, _R = Treatment.HONORED, Treatment.CLUSTER, Treatment.TOLERATED, Treatment.REFUSED
_CONTAINER = "spec.containers[]"
_INJECTORS = (
    "sidecar injectors leave a pod alone that says so, for example by the annotations"
    ' sidecar.istio.io/inject: "false" or linkerd.io/inject: disabled'
)
_USER = "the user of the image runs"
_MACHINE = "a pod has no part in the machine that it runs on"

TABLE: tuple[Row, ...] = (
    # What runs
    Row(f"{_CONTAINER}.name", _H, "the name of the container"),
    Row(f"{_CONTAINER}.image", _H, "the image that runs"),
    Row("spec.imagePullSecrets", _H, "the entry that matches the image's registry is used for the pull"),
    Row(f"{_CONTAINER}.command", _H, "replaces the entrypoint of the image"),
    Row(f"{_CONTAINER}.args", _H, "follow the command; without one they need the entrypoint annotation of the cloud"),
    Row(f"{_CONTAINER}.env", _H, "resolved as a kubelet does"),
    Row(f"{_CONTAINER}.env[].valueFrom.fieldRef.fieldPath", _R,
        "status.podIP and status.podIPs: a pod on this node has no address", asks=_with_the_environment),
    Row(f"{_CONTAINER}.env[].valueFrom.fileKeyRef", _R, "there are no volumes to read files of",
        asks=_with_the_environment),
    Row(f"{_CONTAINER}.envFrom", _H, "resolved as a kubelet does"),
    Row(f"{_CONTAINER}.resources", _H, "requests, else limits, rounded up to what the cloud offers"),
    Row(f"{_CONTAINER}.resources.claims", _R, "asks for devices of the cluster's own", "resourceClaims"),
    Row("spec.resources", _H, "used where the container states nothing"),
    Row("spec.resources.claims", _R, "asks for devices of the cluster's own", "resourceClaims"),
    Row(f"{_CONTAINER}.ports", _H, "their names serve probes and the gateway annotations; they open nothing"),
    Row(f"{_CONTAINER}.ports[].hostPort", _R, f"opens a port of the machine, and {_MACHINE}", "hostPort"),
    Row(f"{_CONTAINER}.ports[].hostIP", _T, "there is no port of a machine to bind"),
    *(
        row
        for kind in ("livenessProbe", "readinessProbe", "startupProbe")
        for row in (
            Row(f"{_CONTAINER}.{kind}", _H, "fitted to the ranges of the cloud, with an Event"),
            Row(f"{_CONTAINER}.{kind}.terminationGracePeriodSeconds", _T, "the cloud grants no grace"),
        )
    ),
    Row("spec.restartPolicy", _H, "decides what follows an exit of the container"),
    Row("spec.activeDeadlineSeconds", _H, "the pod fails when it is over"),
    Row("spec.nodeName", _H, "places the pod on this node"),
    # What cannot run
    Row(OTHER_CONTAINERS, _R, f"a pod can have only one container here; {_INJECTORS}", "sidecars"),
    Row("spec.initContainers", _R, f"a pod can have only one container here; {_INJECTORS}", "initContainers"),
    Row("spec.ephemeralContainers", _R, "a pod can have only one container here", "ephemeralContainers"),
    Row(f"{_CONTAINER}.workingDir", _R,
        "the working directory of the image cannot be changed; set it in the image or in the command", "workingDir"),
    Row(f"{_CONTAINER}.lifecycle", _R, "there are no hooks around start and stop", "lifecycle"),
    Row(f"{_CONTAINER}.restartPolicy", _R, "a container has no restart policy besides the pod's",
        "containerRestartPolicy"),
    Row(f"{_CONTAINER}.restartPolicyRules", _R, "a container has no restart policy besides the pod's",
        "containerRestartPolicy"),
    Row(f"{_CONTAINER}.stdin", _R, "nobody can write to the container's input", "stdin", (False,)),
    Row(f"{_CONTAINER}.stdinOnce", _R, "nobody can write to the container's input", "stdin", (False,)),
    Row(f"{_CONTAINER}.tty", _R, "there is no terminal", "tty", (False,)),
    Row(f"{_CONTAINER}.volumeDevices", _R, "there are no block devices", "volumes"),
    Row("spec.hostNetwork", _R, _MACHINE, "hostNetwork", (False,)),
    Row("spec.hostPID", _R, _MACHINE, "hostPID", (False,)),
    Row("spec.hostIPC", _R, _MACHINE, "hostIPC", (False,)),
    Row("spec.runtimeClassName", _R, "there is only one runtime; GPUs need no runtime class", "runtimeClassName"),
    Row("spec.resourceClaims", _R, "asks for devices of the cluster's own", "resourceClaims"),
    Row("spec.os.name", _R, "only Linux containers run here", unstated=("linux",)),
    Row("spec.securityContext.sysctls", _R, "kernel parameters cannot be set", "sysctls"),
    Row(f"{_CONTAINER}.securityContext.privileged", _R, "no container is privileged here", "privileged", (False,)),
    Row(f"{_CONTAINER}.securityContext.capabilities.add", _R, "capabilities cannot be added", "capabilities"),
    Row(f"{_CONTAINER}.securityContext.procMount", _R, "/proc cannot be unmasked", "procMount", ("Default",)),
    # Volumes
    Row(TOKEN_VOLUME, _T, "no token is mounted; not named in the Event", asks=_never),
    Row(SHARED_MEMORY_VOLUME, _H, "its sizeLimit, else the memory, is the size of /dev/shm"),
    Row(PLAIN_EMPTY_DIR, _T, "the container writes to its own ephemeral disk; the directory is not made", asks=_always),
    Row(MEMORY_EMPTY_DIR, _R, "a memory disk can only be mounted at /dev/shm", "volumes", asks=_always),
    Row(OTHER_VOLUME, _R, "nothing can be mounted; put files into the image, pass them as environment, or fetch them",
        "volumes", asks=_always),
    Row(f"{_CONTAINER}.volumeMounts", _T, "decided with the volume", asks=_never),
    # Restrictions and identity
    Row("spec.securityContext", _T, "the cloud's own isolation holds"),
    Row("spec.securityContext.runAsUser", _T, _USER),
    Row("spec.securityContext.runAsGroup", _T, _USER),
    Row("spec.securityContext.fsGroup", _T, _USER),
    Row("spec.securityContext.runAsNonRoot", _T, _USER, unstated=(False,)),
    Row(f"{_CONTAINER}.securityContext", _T, "the cloud's own isolation holds"),
    Row(f"{_CONTAINER}.securityContext.runAsUser", _T, _USER),
    Row(f"{_CONTAINER}.securityContext.runAsGroup", _T, _USER),
    Row(f"{_CONTAINER}.securityContext.runAsNonRoot", _T, _USER, unstated=(False,)),
    Row(f"{_CONTAINER}.securityContext.allowPrivilegeEscalation", _T, "the cloud's own isolation holds",
        unstated=(True,)),
    Row(f"{_CONTAINER}.securityContext.readOnlyRootFilesystem", _T, "the disk can be written", unstated=(False,)),
    Row("spec.hostUsers", _T, "the cloud's own isolation holds", unstated=(True,)),
    Row("spec.shareProcessNamespace", _T, "there is only one container", unstated=(False,)),
    Row("spec.serviceAccountName", _T, "no token is mounted", unstated=("default",)),
    Row("spec.serviceAccount", _T, "no token is mounted; not named in the Event", asks=_never),
    Row("spec.automountServiceAccountToken", _T, "no token is mounted", unstated=(True, False)),
    # Names and addresses
    Row("spec.dnsPolicy", _T, "names are resolved outside the cluster", unstated=("ClusterFirst", "Default")),
    Row("spec.dnsConfig", _T, "names are resolved outside the cluster"),
    Row("spec.hostname", _T, "the cloud names the machine"),
    Row("spec.hostnameOverride", _T, "the cloud names the machine"),
    Row("spec.subdomain", _T, "the cloud names the machine"),
    Row("spec.setHostnameAsFQDN", _T, "the cloud names the machine", unstated=(False,)),
    Row("spec.hostAliases", _T, "/etc/hosts is the cloud's"),
    Row("spec.enableServiceLinks", _T, "the variables of Services are never set", unstated=(True, False)),
    # Life and death
    Row(f"{_CONTAINER}.imagePullPolicy", _T, "the cloud keeps its own copies of images",
        unstated=("Always", "IfNotPresent")),
    Row(f"{_CONTAINER}.resizePolicy", _T, "sizes never change in place", asks=_restarts_on_resize),
    Row(f"{_CONTAINER}.terminationMessagePath", _T, "no file is read after an exit",
        unstated=("/dev/termination-log",)),
    Row(f"{_CONTAINER}.terminationMessagePolicy", _T, "no file is read after an exit", unstated=("File",)),
    Row("spec.terminationGracePeriodSeconds", _T, "the cloud grants no grace", unstated=(30,)),
    Row("spec.readinessGates", _H, "a pod is Ready when its container is and every gate is open"),
    # Placement
    *(
        Row(f"spec.{field}", _C, "done before the pod reaches a node")
        for field in (
            "affinity", "evictionResponders", "nodeSelector", "overhead", "preemptionPolicy", "priority",
            "priorityClassName", "schedulerName", "schedulingGates", "schedulingGroup", "tolerations",
            "topologySpreadConstraints", "workloadRef",
        )
    ),
)
