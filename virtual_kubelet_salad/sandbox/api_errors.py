"""The refusals of the API server, each as the `Status` object that a real one sends.

Texts, reasons and codes are those of k8s.io/apimachinery `api/errors`, because clients (kubectl, the official Python
client, controllers) decide by them.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet_salad.sandbox.api_resources import ResourceType

Json = dict[str, Any]

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A request that is not carried out; `status()` is the body of the answer."""

    def __init__(self, code: int, message: str, *, reason: str | None = None, details: Json | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = _REASONS.get(code, "Unknown") if reason is None else reason
        self.message = message
        self.details = details

    def status(self) -> Json:
        """The `Status` object of kind Failure."""
        body: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


class Undecodable(Exception):
    """A field has a value that its type cannot hold; becomes a 400 for a whole object and a 422 for a patch."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def undecodable_body(resource: ResourceType, error: Undecodable) -> ApiError:
    """A sent object cannot be read as its kind."""
    kind = resource.kind
    return ApiError(400, f'{kind} in version "{resource.version}" cannot be handled as a {kind}: {error.message}')


def undecodable_patch(error: Undecodable) -> ApiError:
    """A patch makes an object that cannot be read as its kind."""
    cause = field_invalid("patch", "the patched object", error.message)
    message = f' "" is invalid: patch: {cause["message"]}'
    return ApiError(422, message, details={"causes": [cause]})


def _details(resource: ResourceType, name: str, kind: str) -> Json:
    details: Json = {"name": name, "kind": kind}
    if resource.group:
        details["group"] = resource.group
    return details


def success(resource: ResourceType, name: str, uid: str) -> Json:
    """The `Status` object that answers a DELETE of a kind whose last state is not sent back."""
    details = _details(resource, name, resource.plural)
    details["uid"] = uid
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def bad_request(message: str) -> ApiError:
    """The request cannot be understood."""
    return ApiError(400, message)


def no_such_route() -> ApiError:
    """The path names no resource."""
    return ApiError(404, "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiError:
    """The path exists, the verb does not."""
    return ApiError(405, "the server does not allow this method on the requested resource", details={})


def not_found(resource: ResourceType, name: str) -> ApiError:
    """There is no object of this name."""
    return ApiError(404, f'{resource.qualified} "{name}" not found', details=_details(resource, name, resource.plural))


def already_exists(resource: ResourceType, name: str) -> ApiError:
    """A create met an object of this name."""
    return ApiError(
        409,
        f'{resource.qualified} "{name}" already exists',
        reason="AlreadyExists",
        details=_details(resource, name, resource.plural),
    )


def conflict(resource: ResourceType, name: str, why: str) -> ApiError:
    """The object is not in the state that the request asks for."""
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, message, details=_details(resource, name, resource.plural))


def precondition_failed(resource: ResourceType, name: str, why: str) -> ApiError:
    """A precondition of a DELETE does not hold; a real server names the kind instead of the resource here."""
    message = f'Operation cannot be fulfilled on {resource.kind} "{name}": {why}'
    return ApiError(409, message, details=_details(resource, name, resource.kind))


def modified(resource: ResourceType, name: str) -> ApiError:
    """The resourceVersion of an update is not the stored one."""
    return conflict(
        resource, name, "the object has been modified; please apply your changes to the latest version and try again"
    )


def namespace_terminates(resource: ResourceType, name: str, namespace: str) -> ApiError:
    """A create in a namespace that is being deleted."""
    details = _details(resource, name, resource.plural)
    why = f"namespace {namespace} is being terminated"
    details["causes"] = [{"reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace"}]
    message = (
        f'{resource.qualified} "{name}" is forbidden: '
        f"unable to create new content in namespace {namespace} because it is being terminated"
    )
    return ApiError(403, message, details=details)


def expired(message: str) -> ApiError:
    """A resourceVersion or continue token lies before the last compaction."""
    return ApiError(410, message)


def too_old(requested: int, oldest: int) -> ApiError:
    """A watch starts before what the server still knows."""
    return expired(f"too old resource version: {requested} ({oldest})")


def unsupported_media_type() -> ApiError:
    """The body has a content type that this verb does not take."""
    return ApiError(415, "415: Unsupported Media Type", details={})


def _quoted(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def field_invalid(field: str, value: object, why: str) -> Json:
    """One cause of a 422: the value is wrong."""
    return {"reason": "FieldValueInvalid", "message": f"Invalid value: {_quoted(value)}: {why}", "field": field}


def field_forbidden(field: str, why: str) -> Json:
    """One cause of a 422: the field may not be set or changed like this."""
    return {"reason": "FieldValueForbidden", "message": f"Forbidden: {why}", "field": field}


def field_required(field: str, why: str = "") -> Json:
    """One cause of a 422: the field is missing."""
    return {"reason": "FieldValueRequired", "message": "Required value" + (f": {why}" if why else ""), "field": field}


def field_duplicate(field: str, value: object) -> Json:
    """One cause of a 422: the value appears twice."""
    return {"reason": "FieldValueDuplicate", "message": f"Duplicate value: {_quoted(value)}", "field": field}


def field_not_found(field: str, value: object) -> Json:
    """One cause of a 422: the field refers to something that is not there."""
    return {"reason": "FieldValueNotFound", "message": f"Not found: {_quoted(value)}", "field": field}


def field_unsupported(field: str, value: object, supported: list[str]) -> Json:
    """One cause of a 422: the value is none of the enumeration."""
    values = ", ".join(f'"{item}"' for item in supported)
    return {
        "reason": "FieldValueNotSupported",
        "message": f"Unsupported value: {_quoted(value)}: supported values: {values}",
        "field": field,
    }


def invalid(resource: ResourceType, name: str, causes: list[Json]) -> ApiError:
    """422 with all causes at once."""
    kind = resource.kind + (f".{resource.group}" if resource.group else "")
    texts = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(resource, name, resource.kind)
    details["causes"] = causes
    return ApiError(422, f'{kind} "{name}" is invalid: {text}', details=details)
