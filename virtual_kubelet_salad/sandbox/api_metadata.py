"""The metadata rules that hold for every kind: what is set at create, what may not change at update, which finalizers
are allowed.

Follows k8s.io/apiserver `registry/rest` and k8s.io/apimachinery `api/validation`
(`ValidateObjectMetaAccessorUpdate`).
"""

from __future__ import annotations

import random
import re
import uuid

from virtual_kubelet_salad.sandbox.api_errors import (
    Json,
    bad_request,
    conflict,
    field_forbidden,
    field_invalid,
    field_required,
    modified,
)
from virtual_kubelet_salad.sandbox.api_objects import is_dns_subdomain
from virtual_kubelet_salad.sandbox.api_resources import ResourceType

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5
_NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character "
    "(e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_STANDARD_FINALIZERS = {"kubernetes", "orphan", "foregroundDeletion"}
_ONLY_BY_DELETION = "field is immutable; may only be changed via deletion"
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character "
    "(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


class Identities:
    """UIDs and random name suffixes, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def suffix(self) -> str:
        return "".join(self._random.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LENGTH))


def set_up_metadata(item: Json, resource: ResourceType, namespace: str, identities: Identities, now: str) -> None:
    """Fill the metadata of a fresh object in place; 400 when it contradicts the route."""
    for name, expected in (("kind", resource.kind), ("apiVersion", resource.api_version)):
        given = item.setdefault(name, expected)
        if given != expected:
            raise bad_request(
                f"{item['kind']} in version \"{resource.version}\" cannot be handled as a {resource.kind}"
            )
    metadata = item.setdefault("metadata", {})
    if metadata.get("namespace", namespace) != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if resource.namespaced:
        metadata["namespace"] = namespace
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + identities.suffix()
    for name in (
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "generation",
        "selfLink",
    ):
        metadata.pop(name, None)
    _drop_empty_collections(metadata)
    metadata["uid"] = identities.uid()
    metadata["creationTimestamp"] = now


def check_metadata(metadata: Json) -> list[Json]:
    """What is wrong with names, labels and finalizers."""
    causes: list[Json] = []
    if not metadata.get("name"):
        causes.append(field_required("metadata.name", "name or generateName is required"))
    elif not is_dns_subdomain(metadata["name"]):
        causes.append(field_invalid("metadata.name", metadata["name"], _NAME_RULE))
    for key, value in metadata.get("labels", {}).items():
        if not _LABEL_KEY.fullmatch(key):
            causes.append(
                field_invalid(
                    "metadata.labels", key, "name part must consist of alphanumeric characters, '-', '_' or '.'"
                )
            )
        if len(value) > 63:
            causes.append(field_invalid("metadata.labels", value, "must be no more than 63 characters"))
        elif not _LABEL_VALUE.fullmatch(value):
            causes.append(field_invalid("metadata.labels", value, _LABEL_VALUE_RULE))
    for index, finalizer in enumerate(metadata.get("finalizers", [])):
        if "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS:
            causes.append(
                field_invalid(
                    f"metadata.finalizers[{index}]",
                    finalizer,
                    "name is neither a standard finalizer name nor is it fully qualified",
                )
            )
    return causes


def check_same_object(
    resource: ResourceType, new: Json, old: Json, *, is_put: bool, allows_unconditional_update: bool
) -> list[Json]:
    """The preconditions inside the sent metadata: 409 when the object has changed, causes of a 422 when a version is
    required.
    """
    before = old["metadata"]
    name, sent = before["name"], new["metadata"]
    if is_put and sent.get("uid") and sent["uid"] != before["uid"]:
        raise conflict(
            resource,
            name,
            f"Precondition failed: UID in precondition: {sent['uid']}, UID in object meta: {before['uid']}",
        )
    version = sent.get("resourceVersion")
    if version and version != before["resourceVersion"]:
        raise modified(resource, name)
    if is_put and not version and not allows_unconditional_update:
        return [field_invalid("metadata.resourceVersion", 0, "must be specified for an update")]
    return []


def carry_over(sent: Json, before: Json) -> None:
    """Put back, in fresh metadata, what an update cannot change without an error being raised for it."""
    sent.setdefault("uid", before["uid"])
    for name in ("creationTimestamp", "resourceVersion", "generation", "deletionTimestamp"):
        if name in before:
            sent[name] = before[name]
        elif name != "deletionTimestamp":
            sent.pop(name, None)
    if "deletionGracePeriodSeconds" in before:
        sent.setdefault("deletionGracePeriodSeconds", before["deletionGracePeriodSeconds"])
    sent.pop("managedFields", None)
    _drop_empty_collections(sent)


def _drop_empty_collections(metadata: Json) -> None:
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        if not metadata.get(name):
            metadata.pop(name, None)


def check_metadata_update(sent: Json, before: Json) -> list[Json]:
    """What may not change in the metadata of an object that exists."""
    causes: list[Json] = []
    for name in ("name", "namespace", "uid"):
        if sent.get(name) != before.get(name):
            causes.append(field_invalid(f"metadata.{name}", sent.get(name, ""), "field is immutable"))
    for name in ("deletionGracePeriodSeconds", "deletionTimestamp"):
        if sent.get(name) != before.get(name):
            causes.append(field_invalid(f"metadata.{name}", sent.get(name, ""), _ONLY_BY_DELETION))
    if "deletionTimestamp" in before:
        added = [item for item in sent.get("finalizers", []) if item not in before.get("finalizers", [])]
        if added:
            listed = ", ".join(f'"{item}"' for item in sorted(added))
            why = (
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{"
                + listed
                + "}"
            )
            causes.append(field_forbidden("metadata.finalizers", why))
    return causes
