"""What a DELETE makes of an object: gone at once, marked as being deleted, or left as it is.

Follows `BeforeDelete` and `updateForGracefulDeletionAndFinalizers` of k8s.io/apiserver: pods get their grace period,
finalizers keep an object, a second DELETE can only shorten the time.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from virtual_kubelet_salad.sandbox.api_errors import Json, bad_request, precondition_failed
from virtual_kubelet_salad.sandbox.api_objects import format_time, parse_time
from virtual_kubelet_salad.sandbox.api_resources import ResourceType
from virtual_kubelet_salad.sandbox.api_rules import Rules


@dataclass(frozen=True)
class DeleteOptions:
    """The options that matter here; propagation is ignored because nothing is collected by owner."""

    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    is_dry_run: bool = False


@dataclass(frozen=True)
class Deletion:
    """What to do: store `marked` first when it is given, then remove the object when `is_removed`."""

    marked: Json | None
    is_removed: bool


def read_delete_options(body: object, query_grace: str | None, is_dry_run: bool) -> DeleteOptions:
    """The options of a DELETE from its body, or from the query when the body says nothing."""
    options = body if isinstance(body, dict) else {}
    grace = options.get("gracePeriodSeconds")
    if grace is None and query_grace not in (None, ""):
        try:
            grace = int(str(query_grace))
        except ValueError:
            raise bad_request(f"invalid gracePeriodSeconds: {query_grace}") from None
    if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
        raise bad_request("json: cannot unmarshal into Go struct field DeleteOptions.gracePeriodSeconds of type int64")
    if grace is not None and grace < 0:
        grace = 1
    preconditions = options.get("preconditions") or {}
    return DeleteOptions(
        grace, preconditions.get("uid"), preconditions.get("resourceVersion"), is_dry_run or bool(options.get("dryRun"))
    )


def decide_deletion(
    resource: ResourceType, rules: Rules, item: Json, options: DeleteOptions, now: datetime.datetime
) -> Deletion:
    """What this DELETE does to this object; 409 when a precondition does not hold."""
    metadata = item["metadata"]
    _check_preconditions(resource, metadata, options)
    has_finalizers = bool(metadata.get("finalizers"))
    grace = (
        _first_grace(rules, item, options) if "deletionTimestamp" not in metadata else _shorter_grace(metadata, options)
    )
    if grace is None:
        # Either no graceful deletion for this kind, or the time is over already.
        if not has_finalizers:
            return Deletion(None, True)
        return Deletion(_marked(item, 0, now), False)
    if grace < 0:
        return Deletion(None, False)
    start = now
    if "deletionTimestamp" in metadata:
        start = parse_time(metadata["deletionTimestamp"]) - datetime.timedelta(
            seconds=metadata["deletionGracePeriodSeconds"]
        )
    marked = _marked(item, grace, start + datetime.timedelta(seconds=grace), is_replaced=True)
    return Deletion(marked, grace == 0 and not has_finalizers)


def _check_preconditions(resource: ResourceType, metadata: Json, options: DeleteOptions) -> None:
    if options.uid is not None and options.uid != metadata["uid"]:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise precondition_failed(resource, metadata["name"], why)
    if options.resource_version is not None and options.resource_version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
            f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise precondition_failed(resource, metadata["name"], why)


def _first_grace(rules: Rules, item: Json, options: DeleteOptions) -> int | None:
    return rules.grace_seconds(item, options.grace_seconds)


def _shorter_grace(metadata: Json, options: DeleteOptions) -> int | None:
    """The new grace of an object that is being deleted; -1 when nothing changes, None when its time is over."""
    present = metadata.get("deletionGracePeriodSeconds")
    if not present:
        return None
    if options.grace_seconds is None or options.grace_seconds >= present:
        return -1
    return options.grace_seconds


def _marked(item: Json, grace_seconds: int, until: datetime.datetime, *, is_replaced: bool = False) -> Json | None:
    """The object with its deletion time; None when it would stay as it is."""
    metadata = dict(item["metadata"])
    if "deletionTimestamp" not in metadata:
        if "generation" in metadata:
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = format_time(until)
    elif is_replaced:
        metadata["deletionTimestamp"] = format_time(until)
    metadata["deletionGracePeriodSeconds"] = grace_seconds
    return {**item, "metadata": metadata} if metadata != item["metadata"] else None
