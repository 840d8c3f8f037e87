"""The rules of a Kubernetes API server without sockets or threads: requests in, answers and watch events out.

Guarantees what the conformance suite checks against a real control plane: metadata rules, status subresources, the
PATCH kinds, graceful deletion, preconditions, finalizers, selectors, paging, watches with history. It authenticates
and authorises nobody. Not safe for several threads at once: the HTTP face serialises with its own lock, the explorer
has one thread.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.api_controllers import Controllers
from virtual_kubelet_salad.sandbox.api_deletion import read_delete_options
from virtual_kubelet_salad.sandbox.api_discovery import discovery_document
from virtual_kubelet_salad.sandbox.api_errors import (
    ApiError,
    Json,
    bad_request,
    expired,
    method_not_allowed,
    no_such_route,
    success,
)
from virtual_kubelet_salad.sandbox.api_lifecycle import Lifecycle
from virtual_kubelet_salad.sandbox.api_metadata import Identities
from virtual_kubelet_salad.sandbox.api_objects import clone_json
from virtual_kubelet_salad.sandbox.api_patch import MERGE_PATCH, apply_patch
from virtual_kubelet_salad.sandbox.api_resources import (
    NAMESPACES,
    RESOURCES,
    SERVICE_ACCOUNTS,
    ResourceType,
    Target,
    parse_path,
)
from virtual_kubelet_salad.sandbox.api_reviews import is_review, review
from virtual_kubelet_salad.sandbox.api_registry import rules_of
from virtual_kubelet_salad.sandbox.api_scale import scale_of, wanted_replicas
from virtual_kubelet_salad.sandbox.api_selectors import (
    Matcher,
    combined,
    field_matcher,
    label_matcher,
    namespace_matcher,
)
from virtual_kubelet_salad.sandbox.api_store import Store, watch_event

_NAMESPACES_AT_START = ("default", "kube-node-lease", "kube-public", "kube-system")
_KEPT_LISTS = 64

_PLURALS = {resource.plural: resource for resource in RESOURCES}


@dataclass(frozen=True)
class ApiResponse:
    """What the server answers; `body` is JSON."""

    status: int
    body: Json


@dataclass(frozen=True)
class WatchStart:
    """Where a watch begins: what it sends first, and the version after which it goes on."""

    resource: ResourceType
    matcher: Matcher | None
    first_events: list[Json]
    version: int


class ApiServerModel:
    """The whole state of a small cluster. `seed` decides UIDs and generated names."""

    def __init__(self, clock: Clock, *, seed: int = 0, history_limit: int = 10_000) -> None:
        self._store = Store(history_limit)
        self._lifecycle = Lifecycle(self._store, clock, Identities(seed))
        self._kept_lists: dict[int, list[Json]] = {}
        self._last_list_number = 0
        self._controllers = Controllers(self._store, self._lifecycle, clock)
        for name in _NAMESPACES_AT_START:
            self._create_namespace({"metadata": {"name": name}}, is_dry_run=False)

    # Requests

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str | None = None,
    ) -> ApiResponse:
        """Carry out one request. The caller may keep and change the answer's body."""
        answer = self.serve(method, path, query, body, content_type)
        return ApiResponse(answer.status, clone_json(answer.body))

    def serve(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str | None = None,
    ) -> ApiResponse:
        """As `handle`, but the body shares parts with the stored objects: for callers that only read it."""
        try:
            return self._route(method.upper(), path, query or {}, body, content_type)
        except ApiError as error:
            return ApiResponse(error.code, error.status())

    def _route(
        self, method: str, path: str, query: Mapping[str, str], body: object, content_type: str | None
    ) -> ApiResponse:
        target = parse_path(path)
        if target is None and method == "POST" and is_review(path):
            return ApiResponse(201, review(path, body))
        if target is None:
            document = discovery_document(path) if method == "GET" else None
            if document is None:
                raise no_such_route()
            return ApiResponse(200, document)
        is_dry_run = query.get("dryRun", "") == "All"
        if target.subresource in ("binding", "eviction"):
            return self._pod_action(method, target, body, is_dry_run)
        if target.subresource == "scale":
            return ApiResponse(200, self._scale(method, target, body, content_type, is_dry_run))
        if method == "GET":
            return ApiResponse(200, self._lifecycle.existing(target) if target.name else self._list(target, query))
        if method == "POST" and not target.name and (target.namespace or not target.resource.namespaced):
            return ApiResponse(201, self._create(target, body, is_dry_run))
        if method == "PUT" and target.name:
            item, is_new = self._lifecycle.replace(target, body, is_dry_run=is_dry_run)
            return ApiResponse(201 if is_new else 200, item)
        if method == "PATCH" and target.name:
            item, is_new = self._lifecycle.patch(target, body, content_type, is_dry_run=is_dry_run)
            return ApiResponse(201 if is_new else 200, item)
        if method == "DELETE" and not target.subresource:
            return self._delete(target, query, body, is_dry_run)
        raise method_not_allowed()

    def _pod_action(self, method: str, target: Target, body: object, is_dry_run: bool) -> ApiResponse:
        if method != "POST":
            raise method_not_allowed()
        if target.subresource == "binding":
            self._lifecycle.bind(target, body)
        else:
            options = body.get("deleteOptions") if isinstance(body, dict) else None
            self._lifecycle.delete(target, read_delete_options(options, None, is_dry_run))
        return ApiResponse(
            201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        )

    def _scale(self, method: str, target: Target, body: object, content_type: str | None, is_dry_run: bool) -> Json:
        whole = Target(target.resource, target.namespace, target.name, "")
        scale = scale_of(self._lifecycle.existing(whole))
        if method == "GET":
            return scale
        if method == "PATCH":
            body = apply_patch(scale, body, content_type)
        elif method != "PUT":
            raise method_not_allowed()
        change = {"spec": {"replicas": wanted_replicas(body)}}
        return scale_of(self._lifecycle.patch(whole, change, MERGE_PATCH, is_dry_run=is_dry_run)[0])

    def _create(self, target: Target, body: object, is_dry_run: bool) -> Json:
        if target.resource is NAMESPACES:
            return self._create_namespace(body, is_dry_run=is_dry_run)
        return self._lifecycle.create(target.resource, target.namespace, body, is_dry_run=is_dry_run)

    def _create_namespace(self, body: object, *, is_dry_run: bool) -> Json:
        item = self._lifecycle.create(NAMESPACES, "", body, is_dry_run=is_dry_run)
        if not is_dry_run:
            self._lifecycle.create(SERVICE_ACCOUNTS, item["metadata"]["name"], {"metadata": {"name": "default"}})
        return item

    def _delete(self, target: Target, query: Mapping[str, str], body: object, is_dry_run: bool) -> ApiResponse:
        options = read_delete_options(body, query.get("gracePeriodSeconds"), is_dry_run)
        if not target.name:
            items = list(self._matching(target.resource, self._matcher(target, query)))
            for item in items:
                metadata = item["metadata"]
                self._lifecycle.delete(
                    Target(target.resource, metadata.get("namespace", ""), metadata["name"], ""), options
                )
            return ApiResponse(
                200, self._list_body(target.resource, items, {"resourceVersion": str(self._store.version)})
            )
        if target.resource is NAMESPACES:
            return ApiResponse(200, self._controllers.terminate_namespace(target, options))
        item, is_gone = self._lifecycle.delete(target, options)
        if is_gone and not rules_of(target.resource).returns_deleted_object:
            return ApiResponse(200, success(target.resource, target.name, item["metadata"]["uid"]))
        return ApiResponse(200, item)

    # Lists

    @staticmethod
    def _matcher(target: Target, query: Mapping[str, str]) -> Matcher | None:
        by_name = field_matcher(target.resource, f"metadata.name={target.name}") if target.name else None
        return combined(
            namespace_matcher(target.namespace),
            field_matcher(target.resource, query.get("fieldSelector", "")),
            label_matcher(query.get("labelSelector", "")),
            by_name,
        )

    def _matching(self, resource: ResourceType, matcher: Matcher | None) -> Iterator[Json]:
        items = self._store.items(resource)
        return items if matcher is None else filter(matcher, items)

    @staticmethod
    def _list_body(resource: ResourceType, items: list[Json], metadata: Json) -> Json:
        # As from a typed server: the items of a list do not repeat the kind.
        bare = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in items]
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata, "items": bare}

    def _list(self, target: Target, query: Mapping[str, str]) -> Json:
        limit = _whole_number(query, "limit")
        matcher = self._matcher(target, query)
        metadata: Json = {"resourceVersion": str(self._store.version)}
        if query.get("continue"):
            items, metadata["resourceVersion"] = self._rest_of_list(query["continue"])
        else:
            items = list(self._matching(target.resource, matcher))
        if limit and len(items) > limit:
            self._last_list_number += 1
            self._kept_lists[self._last_list_number] = items[limit:]
            self._kept_lists.pop(self._last_list_number - _KEPT_LISTS, None)
            token = {"v": "meta.k8s.io/v1", "rv": int(metadata["resourceVersion"]), "list": self._last_list_number}
            metadata["continue"] = base64.urlsafe_b64encode(json.dumps(token).encode()).decode()
            if not query.get("fieldSelector") and not query.get("labelSelector"):
                metadata["remainingItemCount"] = len(items) - limit
            items = items[:limit]
        return self._list_body(target.resource, items, metadata)

    def _rest_of_list(self, token: str) -> tuple[list[Json], str]:
        try:
            fields = json.loads(base64.urlsafe_b64decode(token))
            number, version = int(fields["list"]), int(fields["rv"])
        except (ValueError, KeyError, TypeError):
            raise bad_request("continue key is not valid: the token cannot be read") from None
        items = self._kept_lists.get(number)
        if items is None:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter."
            )
        return items, str(version)

    # Watches

    def watch_start(self, path: str, query: Mapping[str, str]) -> WatchStart:
        """Where the watch of this request begins; raises ApiError (410, 400, 404)."""
        target = parse_path(path)
        if target is None or target.subresource:
            raise no_such_route()
        matcher = self._matcher(target, query)
        version = _whole_number(query, "resourceVersion")
        if version == 0 or query.get("sendInitialEvents") == "true":
            events = [{"type": "ADDED", "object": item} for item in self._matching(target.resource, matcher)]
            return WatchStart(target.resource, matcher, events, self._store.version)
        self._store.changes_after(target.resource, version)
        return WatchStart(target.resource, matcher, [], version)

    def watch_events(self, resource: ResourceType, matcher: Matcher | None, version: int) -> tuple[list[Json], int]:
        """The events after a version, and the version up to which they reach; the objects are shared. Raises ApiError
        (410).
        """
        changes = self._store.changes_after(resource, version)
        events = [event for change in changes if (event := watch_event(change, matcher)) is not None]
        return events, self._store.version

    def events_after(
        self,
        plural: str,
        resource_version: str | int,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
    ) -> list[Json]:
        """Watch events without a socket: what a watcher from this version would have received by now. The caller may
        keep and change them.

        A version before the last compaction gives one event of type ERROR with the Status 410.
        """
        resource = _PLURALS[plural]
        try:
            matcher = combined(
                namespace_matcher(namespace), field_matcher(resource, field_selector), label_matcher(label_selector)
            )
            events, _ = self.watch_events(resource, matcher, int(resource_version))
        except ApiError as error:
            return [{"type": "ERROR", "object": error.status()}]
        result: list[Json] = clone_json(events)
        return result

    @property
    def version(self) -> int:
        """The resource version of the last change."""
        return self._store.version

    # What happens by itself

    def tick(self) -> None:
        """One round of binding pods, finishing namespaces and forgetting old events."""
        self._controllers.tick()

    def bind_pods(self) -> int:
        """Give a node to each waiting pod that fits one, say on the others why not; how many were bound."""
        return self._controllers.bind_pods()

    # Control

    def compact(self) -> None:
        """Forget the history: watches from an earlier version and begun lists get 410."""
        self._store.compact()
        self._kept_lists.clear()

    def look_up(self, plural: str, namespace: str, name: str) -> Json | None:
        """The stored object, to be read only; None when it is not there."""
        return self._store.get(_PLURALS[plural], (namespace, name))

    def all_of(self, plural: str) -> list[Json]:
        """All stored objects of a kind, to be read only."""
        return list(self._store.items(_PLURALS[plural]))


def _whole_number(query: Mapping[str, Any], name: str) -> int:
    text = str(query.get(name) or "0")
    if not text.isdigit():
        raise bad_request(f"{name}: Invalid value: {text!r}: must be a number")
    return int(text)
