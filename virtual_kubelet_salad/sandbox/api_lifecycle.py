"""Create, update, patch and delete of one object: the write path of the minimal API server.

Every write makes a new object and stores it; an update that changes nothing is answered without a new resource
version, as a real server does.
"""

from __future__ import annotations

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox.api_deletion import DeleteOptions, decide_deletion
from virtual_kubelet_salad.sandbox.api_errors import (
    Json,
    already_exists,
    bad_request,
    conflict,
    namespace_terminates,
    undecodable_body,
    undecodable_patch,
    Undecodable,
    invalid,
    not_found,
)
from virtual_kubelet_salad.sandbox.api_metadata import (
    Identities,
    carry_over,
    check_metadata,
    check_metadata_update,
    check_same_object,
    set_up_metadata,
)
from virtual_kubelet_salad.sandbox.api_objects import copy_json, format_time
from virtual_kubelet_salad.sandbox.api_patch import APPLY_PATCH, apply_patch, media_type
from virtual_kubelet_salad.sandbox.api_resources import NAMESPACES, PODS, ResourceType, Target
from virtual_kubelet_salad.sandbox.api_registry import rules_of
from virtual_kubelet_salad.sandbox.api_shapes import check_shape
from virtual_kubelet_salad.sandbox.api_store import Key, Store


class Lifecycle:
    """The writes of all kinds on one store. Not safe for several threads at once."""

    def __init__(self, store: Store, clock: Clock, identities: Identities) -> None:
        self._store = store
        self._clock = clock
        self._identities = identities

    def _now(self) -> str:
        return format_time(self._clock.now())

    def existing(self, target: Target) -> Json:
        """The stored object; 404."""
        item = self._store.get(target.resource, (target.namespace, target.name))
        if item is None:
            raise not_found(target.resource, target.name)
        return item

    def create(self, resource: ResourceType, namespace: str, body: object, *, is_dry_run: bool = False) -> Json:
        """A new object; 400, 403, 404 (no such namespace), 409, 422."""
        if not isinstance(body, dict):
            raise bad_request("the body of the request is not a JSON object")
        item: Json = copy_json(body)
        rules = rules_of(resource)
        _check_body(item, resource)
        if item.get("metadata", {}).get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        set_up_metadata(item, resource, namespace, self._identities, self._now())
        metadata = item["metadata"]
        name = metadata.get("name", "")
        if resource.namespaced:
            self._check_namespace(resource, namespace, name)
        if rules.counts_generations:
            metadata["generation"] = 1
        try:
            rules.prepare_create(item, self._identities.suffix)
        except Undecodable as error:
            raise undecodable_body(resource, error) from None
        causes = check_metadata(metadata) + rules.check_create(item)
        if causes:
            raise invalid(resource, name or metadata.get("generateName", ""), causes)
        key: Key = (namespace, name)
        if self._store.get(resource, key) is not None:
            raise already_exists(resource, name)
        return item if is_dry_run else self._store.put(resource, key, item)

    def _check_namespace(self, resource: ResourceType, namespace: str, name: str) -> None:
        home = self._store.get(NAMESPACES, ("", namespace))
        if home is None:
            raise not_found(NAMESPACES, namespace)
        if "deletionTimestamp" in home["metadata"]:
            raise namespace_terminates(resource, name, namespace)

    def replace(self, target: Target, body: object, *, is_dry_run: bool = False) -> tuple[Json, bool]:
        """PUT: the object as it is now, and whether it was created by this (a few kinds allow that)."""
        if not isinstance(body, dict):
            raise bad_request("the body of the request is not a JSON object")
        new: Json = copy_json(body)
        _check_body(new, target.resource)
        if new.get("metadata", {}).get("name", target.name) != target.name:
            raise bad_request(
                f"the name of the object ({new['metadata']['name']}) "
                f"does not match the name on the URL ({target.name})"
            )
        old = self._store.get(target.resource, (target.namespace, target.name))
        if old is None and rules_of(target.resource).allows_create_on_update and not target.subresource:
            return self.create(target.resource, target.namespace, body, is_dry_run=is_dry_run), True
        if old is None:
            raise not_found(target.resource, target.name)
        new.setdefault("metadata", {}).setdefault("name", target.name)
        try:
            return self._update(target, new, old, is_put=True, is_dry_run=is_dry_run), False
        except Undecodable as error:
            raise undecodable_body(target.resource, error) from None

    def patch(
        self, target: Target, body: object, content_type: str | None, *, is_dry_run: bool = False
    ) -> tuple[Json, bool]:
        """PATCH of any kind: the object as it is now, and whether it was created by this (server-side apply only)."""
        old = self._store.get(target.resource, (target.namespace, target.name))
        if (
            old is None
            and media_type(content_type) == APPLY_PATCH
            and isinstance(body, dict)
            and not target.subresource
        ):
            named = {**body, "metadata": {**body.get("metadata", {}), "name": target.name}}
            return self.create(target.resource, target.namespace, named, is_dry_run=is_dry_run), True
        if old is None:
            raise not_found(target.resource, target.name)
        new = apply_patch(old, body, content_type)
        try:
            check_shape(new, target.resource.kind)
            return self._update(target, new, old, is_put=False, is_dry_run=is_dry_run), False
        except Undecodable as error:
            raise undecodable_patch(error) from None

    def _update(self, target: Target, new: Json, old: Json, *, is_put: bool, is_dry_run: bool) -> Json:
        resource, rules = target.resource, rules_of(target.resource)
        for name, expected in (("kind", resource.kind), ("apiVersion", resource.api_version)):
            if new.setdefault(name, expected) != expected:
                raise bad_request(
                    f"the {name} of the object ({new[name]}) does not match the expected {name} ({expected})"
                )
        metadata = new["metadata"]
        if resource.namespaced:
            metadata.setdefault("namespace", target.namespace)
        causes = check_same_object(
            resource, new, old, is_put=is_put, allows_unconditional_update=rules.allows_unconditional_update
        )
        carry_over(metadata, old["metadata"])
        causes += check_metadata_update(metadata, old["metadata"])
        if not causes:
            rules.prepare_update(new, old, target.subresource)
            causes = check_metadata(metadata) + rules.check_update(new, old, target.subresource)
        if causes:
            raise invalid(resource, target.name, causes)
        if new == old:
            return old
        if rules.counts_generations and new.get("spec") != old.get("spec"):
            metadata["generation"] = old["metadata"].get("generation", 0) + 1
        if is_dry_run:
            return new
        key = (target.namespace, target.name)
        is_let_go = (
            "deletionTimestamp" in metadata
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
        )
        if is_let_go and resource is not NAMESPACES:
            # The last finalizer has gone: the update and the removal are one step, and the watch sees only the removal.
            self._store.remove_as(resource, key, new)
            return new
        return self._store.put(resource, key, new)

    def delete(self, target: Target, options: DeleteOptions) -> tuple[Json, bool]:
        """DELETE: the last state of the object, and whether it is gone now."""
        old = self.existing(target)
        key = (target.namespace, target.name)
        decision = decide_deletion(target.resource, rules_of(target.resource), old, options, self._clock.now())
        if options.is_dry_run:
            return (old if decision.marked is None else decision.marked), decision.is_removed
        item = old if decision.marked is None else self._store.put(target.resource, key, decision.marked)
        if decision.is_removed:
            item = self._store.remove(target.resource, key)
        return item, decision.is_removed

    def bind(self, target: Target, body: object) -> None:
        """POST of pods/binding: the pod gets its node; 409 when it has one."""
        node = body.get("target", {}).get("name") if isinstance(body, dict) else None
        if not node:
            raise bad_request("target.name is required in a binding")
        pod = self.existing(target)
        if pod["spec"].get("nodeName"):
            raise conflict(
                PODS, target.name, f"pod {target.name} is already assigned to node \"{pod['spec']['nodeName']}\""
            )
        if "deletionTimestamp" in pod["metadata"]:
            raise conflict(PODS, target.name, f"pod {target.name} is being deleted, cannot be assigned to a host")
        self.assign(pod, str(node))

    def assign(self, pod: Json, node: str) -> None:
        """Store the pod with its node and the condition PodScheduled=True."""
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": self._now()}
        self._store_condition({**pod, "spec": {**pod["spec"], "nodeName": node}}, condition)

    def report_unschedulable(self, pod: Json, message: str) -> None:
        """Store the condition PodScheduled=False, unless it says so already."""
        now = self._now()
        for condition in pod["status"].get("conditions", []):
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                if condition.get("message") == message:
                    return
                now = condition.get("lastTransitionTime", now)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": now,
            "reason": "Unschedulable",
            "message": message,
        }
        self._store_condition(pod, condition)

    def _store_condition(self, pod: Json, condition: Json) -> None:
        others = [item for item in pod["status"].get("conditions", []) if item.get("type") != condition["type"]]
        status = {**pod["status"], "conditions": [*others, condition]}
        metadata = pod["metadata"]
        self._store.put(PODS, (metadata["namespace"], metadata["name"]), {**pod, "status": status})


def _check_body(item: Json, resource: ResourceType) -> None:
    try:
        check_shape(item, resource.kind)
    except Undecodable as error:
        raise undecodable_body(resource, error) from None
