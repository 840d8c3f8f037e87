"""Paths of the API objects that the kubelet touches, safely quoted.

Every name goes through one check, because some of them (Secrets and ConfigMaps named in a pod) are written by pod
authors: a name with a slash is quoted, and a name that is a path step of its own ("." or "..") never reaches the HTTP
library, which would resolve it to another path.
"""

from __future__ import annotations

from urllib.parse import quote

from virtual_kubelet_salad import errors

PODS = "/api/v1/pods"
NODES = "/api/v1/nodes"
VERSION = "/version"
SELF_SUBJECT_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
SUBJECT_ACCESS_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
TOKEN_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
CERTIFICATE_SIGNING_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

_PATH_STEPS = frozenset({"", ".", ".."})


def segment(name: str) -> str:
    """One quoted path segment. Raises NotFound for a name that no object can have."""
    if name in _PATH_STEPS:
        raise errors.NotFound(f"{name!r} is not a name that an object can have")
    return quote(name, safe="")


def namespaced(resource: str, namespace: str, name: str | None = None, *, base: str = "/api/v1") -> str:
    """The path of one object, or of the collection when `name` is None."""
    collection = f"{base}/namespaces/{segment(namespace)}/{resource}"
    return collection if name is None else f"{collection}/{segment(name)}"


def pod(namespace: str, name: str) -> str:
    return namespaced("pods", namespace, name)


def pod_status(namespace: str, name: str) -> str:
    return pod(namespace, name) + "/status"


def secret(namespace: str, name: str) -> str:
    return namespaced("secrets", namespace, name)


def config_map(namespace: str, name: str) -> str:
    return namespaced("configmaps", namespace, name)


def events(namespace: str) -> str:
    return namespaced("events", namespace)


def event(namespace: str, name: str) -> str:
    return namespaced("events", namespace, name)


def leases(namespace: str) -> str:
    return namespaced("leases", namespace, base="/apis/coordination.k8s.io/v1")


def lease(namespace: str, name: str) -> str:
    return namespaced("leases", namespace, name, base="/apis/coordination.k8s.io/v1")


def node(name: str) -> str:
    return f"{NODES}/{segment(name)}"


def node_status(name: str) -> str:
    return node(name) + "/status"


def certificate_signing_request(name: str) -> str:
    return f"{CERTIFICATE_SIGNING_REQUESTS}/{segment(name)}"


def namespace(name: str) -> str:
    return f"/api/v1/namespaces/{segment(name)}"


def resource_of(path: str) -> str:
    """The resource of a path for metrics, without any object's name: "pods", "pods/status", "leases", "version"."""
    steps = path.strip("/").split("/")
    if steps[0] == "api":
        steps = steps[2:]
    elif steps[0] == "apis":
        steps = steps[3:]
    if len(steps) > 2 and steps[0] == "namespaces":
        steps = steps[2:]
    if not steps:
        return "discovery"
    return f"{steps[0]}/{steps[2]}" if len(steps) > 2 else steps[0]
