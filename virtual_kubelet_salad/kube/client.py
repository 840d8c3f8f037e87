"""The API server as the kubelet uses it: one method per call, plain dicts in and out, typed errors.

Every method raises `errors.CouldNotAsk` (also Unauthorized) when there is no answer to believe, and `errors.Forbidden`
or another `errors.Rejected` for a definite refusal; what else it raises stands beside it. Nothing is retried here. An
instance may be used by any number of threads.

Who must never wait for others' calls (the lease) gets an instance with a transport, and so a connection, of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube import resources
from virtual_kubelet_salad.kube.configuration import ConfigurationError, load_configuration
from virtual_kubelet_salad.kube.outcomes import ApiAnswer, body_of
from virtual_kubelet_salad.kube.transport import JSON, ApiTransport, OfficialTransport
from virtual_kubelet_salad.runtime.clock import Clock, SystemClock

__all__ = [
    "JSON_PATCH",
    "MERGE",
    "STRATEGIC",
    "ApiAnswer",
    "ApiServer",
    "ApiTransport",
    "ConfigurationError",
    "OfficialTransport",
    "load_configuration",
]

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"

# The API server answers in milliseconds and gives up itself after 60 s; a worker waits no longer than this for it.
DEFAULT_TIMEOUT_SECONDS = 15.0
# Written into managedFields, so that others see who set a field.
FIELD_MANAGER = "virtual-kubelet-salad"

Object = dict[str, Any]
# (verb, resource, code, seconds): code is the HTTP status, or "none" when there was no answer.
Observer = Callable[[str, str, str, float], None]

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NO_QUERY: Mapping[str, str] = {}


class ApiServer:
    """Calls to the API server.

    `observe` is told of every call. `before_write` is called right before every write of an object and may raise
    (errors.NotLeader) to prevent it.
    """

    def __init__(
        self,
        transport: ApiTransport,
        observe: Observer | None = None,
        *,
        clock: Clock | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        before_write: Callable[[], None] | None = None,
    ) -> None:
        self._transport = transport
        self._observe = observe
        self._clock = clock if clock is not None else SystemClock()
        self._timeout = timeout
        self._before_write = before_write

    # -- any object ---------------------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, str] = _NO_QUERY) -> Object:
        """Raises NotFound."""
        return self._call("GET", path, query=query)

    def create(self, path: str, body: Object) -> Object:
        """Raises Conflict when the name is taken."""
        return self._write("POST", path, body)

    def update(self, path: str, body: Object) -> Object:
        """Replace the object. Raises NotFound; Conflict when it has changed since the resourceVersion in `body`."""
        return self._write("PUT", path, body)

    def patch(self, path: str, body: object, content_type: str = STRATEGIC) -> Object:
        """Raises NotFound, Conflict, Invalid."""
        return self._write("PATCH", path, body, content_type)

    def delete(self, path: str, body: Object | None = None) -> Object:
        """`body` holds delete options. Raises NotFound, Conflict."""
        self._check_before_write()
        return self._call("DELETE", path, body=body)

    # -- pods ---------------------------------------------------------------------------------------------------------

    def get_pod(self, namespace: str, name: str) -> Object:
        return self.get(resources.pod(namespace, name))

    def patch_pod_status(self, namespace: str, name: str, uid: str, patch: Object) -> Object:
        """Strategic merge of `patch` into the status subresource of this very pod; metadata.finalizers and annotations
        may be set as well.

        Returns the pod after the write. Raises AnotherPod when the pod of this UID is gone, BeingDeleted when the patch
        adds a finalizer to a pod that is being deleted, Invalid for any other rule it breaks.
        """
        guarded = {**patch, "metadata": {**patch.get("metadata", {}), "uid": uid}}
        try:
            return self.patch(resources.pod_status(namespace, name), guarded)
        except errors.NotFound as error:
            raise errors.AnotherPod(f"pod {namespace}/{name} is gone") from error
        except errors.Conflict as error:
            raise _conflict_on_pod(error, namespace, name) from error
        except errors.Invalid as error:
            if any(field == "metadata.uid" for field, _ in error.causes):
                raise errors.AnotherPod(f"pod {namespace}/{name} has another UID") from error
            if _says(error, "no new finalizers can be added"):
                raise errors.BeingDeleted(f"pod {namespace}/{name} is being deleted") from error
            raise

    def delete_pod(self, namespace: str, name: str, uid: str, grace_seconds: int = 0) -> None:
        """Delete this very pod. Returns in order as well when it is gone already or its name belongs to another pod
        now.
        """
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": grace_seconds,
            "preconditions": {"uid": uid},
        }
        try:
            self.delete(resources.pod(namespace, name), options)
        except errors.NotFound:
            return
        except errors.Conflict as error:
            outcome = _conflict_on_pod(error, namespace, name)
            if not isinstance(outcome, errors.AnotherPod):
                raise outcome from error

    # -- what pods refer to -------------------------------------------------------------------------------------------

    def get_secret(self, namespace: str, name: str) -> Object:
        return self.get(resources.secret(namespace, name))

    def get_config_map(self, namespace: str, name: str) -> Object:
        return self.get(resources.config_map(namespace, name))

    # -- the node and its lease ---------------------------------------------------------------------------------------

    def get_node(self, name: str) -> Object:
        return self.get(resources.node(name))

    def create_node(self, node: Object) -> Object:
        return self.create(resources.NODES, node)

    def patch_node(self, name: str, patch: Object) -> Object:
        return self.patch(resources.node(name), patch)

    def patch_node_status(self, name: str, patch: Object) -> Object:
        return self.patch(resources.node_status(name), patch)

    def get_lease(self, namespace: str, name: str) -> Object:
        return self.get(resources.lease(namespace, name))

    def create_lease(self, namespace: str, lease: Object) -> Object:
        return self.create(resources.leases(namespace), lease)

    def update_lease(self, namespace: str, name: str, lease: Object) -> Object:
        return self.update(resources.lease(namespace, name), lease)

    def patch_lease(self, namespace: str, name: str, patch: Object) -> Object:
        """JSON merge patch; with metadata.resourceVersion in `patch` it raises Conflict when somebody else wrote
        meanwhile.
        """
        return self.patch(resources.lease(namespace, name), patch, MERGE)

    # -- events -------------------------------------------------------------------------------------------------------

    def create_event(self, namespace: str, event: Object) -> Object:
        return self.create(resources.events(namespace), event)

    def patch_event(self, namespace: str, name: str, patch: Object) -> Object:
        return self.patch(resources.event(namespace, name), patch)

    # -- the server itself --------------------------------------------------------------------------------------------

    def version(self) -> Object:
        """The answer of /version, e.g. {"gitVersion": "v1.34.4", …}."""
        return self.get(resources.VERSION)

    def cluster_uid(self) -> str:
        """The UID of the namespace kube-system, which lives as long as the cluster does."""
        uid = self.get(resources.namespace("kube-system")).get("metadata", {}).get("uid")
        if not isinstance(uid, str) or not uid:
            raise errors.CouldNotAsk("the namespace kube-system came without a UID")
        return uid

    def self_subject_access_review(self, attributes: Mapping[str, str]) -> bool:
        """Whether our own credentials allow it; `attributes` are resourceAttributes, e.g. verb, group, resource,
        subresource, namespace.

        It stores nothing, so `before_write` is not asked.
        """
        review: Object = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": dict(attributes)},
        }
        answer = self._call("POST", resources.SELF_SUBJECT_ACCESS_REVIEWS, body=review)
        return answer.get("status", {}).get("allowed") is True

    def create_certificate_signing_request(self, request: Object) -> Object:
        return self.create(resources.CERTIFICATE_SIGNING_REQUESTS, request)

    def get_certificate_signing_request(self, name: str) -> Object:
        """Raises NotFound."""
        return self.get(resources.certificate_signing_request(name))

    def token_review(self, token: str) -> Object:
        """What the API server says of somebody's bearer token: `authenticated`, and then `user`. Stores nothing."""
        review: Object = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status: Object = self._call("POST", resources.TOKEN_REVIEWS, body=review).get("status") or {}
        return status

    def subject_access_review(self, spec: Object) -> bool:
        """Whether somebody may do something; `spec` has user, groups and attributes. Stores nothing."""
        review: Object = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = self._call("POST", resources.SUBJECT_ACCESS_REVIEWS, body=review)
        return (answer.get("status") or {}).get("allowed") is True

    # -----------------------------------------------------------------------------------------------------------------

    def _write(self, method: str, path: str, body: object, content_type: str = JSON) -> Object:
        self._check_before_write()
        return self._call(method, path, query={"fieldManager": FIELD_MANAGER}, body=body, content_type=content_type)

    def _check_before_write(self) -> None:
        if self._before_write is not None:
            self._before_write()

    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NO_QUERY,
        body: object = None,
        content_type: str | None = None,
    ) -> Object:
        started = self._clock.monotonic()
        code = "none"
        try:
            answer = self._transport.request(
                method, path, query=query, body=body, content_type=content_type, timeout=self._timeout
            )
            code = str(answer.status)
        finally:
            if self._observe is not None:
                self._observe(_VERBS[method], resources.resource_of(path), code, self._clock.monotonic() - started)
        return body_of(answer, is_write=method != "GET")


def _conflict_on_pod(error: errors.Conflict, namespace: str, name: str) -> errors.Error:
    """A 409 on a pod is about its UID, unless the API server says that it gave up after concurrent writes."""
    if _says(error, "object has been modified"):
        return errors.CouldNotAsk(f"pod {namespace}/{name} is being written by others at the same time")
    return errors.AnotherPod(f"pod {namespace}/{name} has another UID")


def _says(error: errors.Error, words: str) -> bool:
    causes = error.causes if isinstance(error, errors.Invalid) else ()
    return words in str(error) or any(words in text for _, text in causes)
