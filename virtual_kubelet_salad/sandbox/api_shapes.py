"""The types of the fields that this server reads: what a typed server could not decode is refused here in the same way.

Only the fields in the tables are checked; unknown ones are stored as they come.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.sandbox.api_errors import Undecodable

_NAMES = {str: "string", int: "number", bool: "bool", dict: "object", list: "array", float: "number"}


class _Map:
    """Any keys, values of one type."""

    def __init__(self, *value_types: type) -> None:
        self.value_types = value_types


_STRINGS = _Map(str)
_QUANTITIES = _Map(str, int, float)

_METADATA = {
    "name": str,
    "generateName": str,
    "namespace": str,
    "uid": str,
    "resourceVersion": str,
    "labels": _STRINGS,
    "annotations": _STRINGS,
    "finalizers": [str],
    "ownerReferences": [{"uid": str, "name": str, "kind": str, "apiVersion": str, "controller": bool}],
}
_PROBE = {
    "initialDelaySeconds": int,
    "timeoutSeconds": int,
    "periodSeconds": int,
    "successThreshold": int,
    "failureThreshold": int,
    "httpGet": {"path": str, "scheme": str, "host": str},
    "exec": {"command": [str]},
}
_CONTAINER = {
    "name": str,
    "image": str,
    "command": [str],
    "args": [str],
    "env": [{"name": str, "value": str, "valueFrom": {"fieldRef": {"fieldPath": str}}}],
    "envFrom": [dict],
    "resources": {"limits": _QUANTITIES, "requests": _QUANTITIES},
    "ports": [{"containerPort": int, "name": str}],
    "volumeMounts": [{"name": str, "mountPath": str, "readOnly": bool}],
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "startupProbe": _PROBE,
}
_POD_SPEC = {
    "containers": [_CONTAINER],
    "initContainers": [_CONTAINER],
    "volumes": [{"name": str}],
    "restartPolicy": str,
    "terminationGracePeriodSeconds": int,
    "activeDeadlineSeconds": int,
    "nodeName": str,
    "nodeSelector": _STRINGS,
    "tolerations": [{"key": str, "operator": str, "value": str, "effect": str, "tolerationSeconds": int}],
    "serviceAccountName": str,
    "automountServiceAccountToken": bool,
    "imagePullSecrets": [{"name": str}],
    "schedulerName": str,
    "priorityClassName": str,
}
_STATE = {
    "waiting": {"reason": str, "message": str},
    "running": {"startedAt": str},
    "terminated": {
        "exitCode": int,
        "signal": int,
        "reason": str,
        "message": str,
        "startedAt": str,
        "finishedAt": str,
        "containerID": str,
    },
}
_CONTAINER_STATUS = {
    "name": str,
    "image": str,
    "imageID": str,
    "containerID": str,
    "ready": bool,
    "started": bool,
    "restartCount": int,
    "state": _STATE,
    "lastState": _STATE,
}
_CONDITION = {
    "type": str,
    "status": str,
    "reason": str,
    "message": str,
    "lastTransitionTime": str,
    "lastProbeTime": str,
    "lastHeartbeatTime": str,
    "observedGeneration": int,
}
_POD_STATUS = {
    "phase": str,
    "reason": str,
    "message": str,
    "hostIP": str,
    "podIP": str,
    "podIPs": [{"ip": str}],
    "startTime": str,
    "qosClass": str,
    "observedGeneration": int,
    "conditions": [_CONDITION],
    "containerStatuses": [_CONTAINER_STATUS],
    "initContainerStatuses": [_CONTAINER_STATUS],
}
_NODE_SPEC = {"providerID": str, "unschedulable": bool, "taints": [{"key": str, "value": str, "effect": str}]}
_NODE_STATUS = {
    "capacity": _QUANTITIES,
    "allocatable": _QUANTITIES,
    "conditions": [_CONDITION],
    "addresses": [{"type": str, "address": str}],
    "daemonEndpoints": {"kubeletEndpoint": {"Port": int}},
    "nodeInfo": _STRINGS,
}
_LEASE_SPEC = {
    "holderIdentity": str,
    "leaseDurationSeconds": int,
    "leaseTransitions": int,
    "renewTime": str,
    "acquireTime": str,
}
_REFERENCE = {"kind": str, "namespace": str, "name": str, "uid": str, "fieldPath": str, "resourceVersion": str}

_SHAPES: dict[str, dict[str, Any]] = {
    "Pod": {"metadata": _METADATA, "spec": _POD_SPEC, "status": _POD_STATUS},
    "Node": {"metadata": _METADATA, "spec": _NODE_SPEC, "status": _NODE_STATUS},
    "Lease": {"metadata": _METADATA, "spec": _LEASE_SPEC},
    "Event": {
        "metadata": _METADATA,
        "involvedObject": _REFERENCE,
        "reason": str,
        "message": str,
        "type": str,
        "count": int,
        "source": {"component": str, "host": str},
        "firstTimestamp": str,
        "lastTimestamp": str,
        "eventTime": str,
        "reportingComponent": str,
        "reportingInstance": str,
    },
    "Secret": {"metadata": _METADATA, "data": _STRINGS, "stringData": _STRINGS, "type": str},
    "ConfigMap": {"metadata": _METADATA, "data": _STRINGS, "binaryData": _STRINGS},
}
_ANY_KIND: dict[str, Any] = {"metadata": _METADATA, "spec": dict, "status": dict}


def check_shape(item: dict[str, Any], kind: str) -> None:
    """Raises Undecodable for the first field of a wrong type."""
    _check(item, _SHAPES.get(kind, _ANY_KIND), kind)


def _check(value: Any, shape: Any, path: str) -> None:
    if isinstance(shape, dict):
        _require(value, (dict,), path)
        for name, inner in shape.items():
            found = value.get(name)
            if found is not None:
                _check(found, inner, f"{path}.{name}")
    elif isinstance(shape, list):
        _require(value, (list,), path)
        for item in value:
            _check(item, shape[0], path)
    elif isinstance(shape, _Map):
        _require(value, (dict,), path)
        for item in value.values():
            _require(item, shape.value_types, path)
    else:
        _require(value, (shape,), path)


def _require(value: Any, types: tuple[type, ...], path: str) -> None:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        given = _NAMES.get(type(value), "null")
        raise Undecodable(f"json: cannot unmarshal {given} into Go struct field {path} of type {types[0].__name__}")
