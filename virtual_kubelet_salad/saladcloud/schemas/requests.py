"""Requests to SaladCloud, held strictly against the API's own limits before they are sent.

A violation is told by place and rule, never by value. Pure. Source: SaladCloud's OpenAPI file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import marshmallow
from marshmallow import fields, validate

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.saladcloud import names

PRIORITIES = ("high", "medium", "low", "batch")


def check_prototype(request: Mapping[str, Any]) -> None:
    """Raises `Refused` when the API would not take this as a new group."""
    _check(_PROTOTYPE, request)


def check_patch(request: Mapping[str, Any]) -> None:
    """Raises `Refused` when the API would not take this as a change of a group."""
    _check(_PATCH, request)


def _check(schema: marshmallow.Schema, request: Mapping[str, Any]) -> None:
    violations = schema.validate(request)
    if violations:
        text = "; ".join(f"{place}: {rule}" for place, rule in _places(violations))
        raise Refused("InvalidRequest", f"SaladCloud would not take the container group: {text}")


def _places(violations: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Marshmallow's tree of messages, as lines."""
    if isinstance(violations, Mapping):
        for key, inner in violations.items():
            yield from _places(inner, f"{place}.{key}" if place else str(key))
    else:
        for rule in violations:
            yield place, str(rule)


def _string(least: int, most: int, **more: Any) -> fields.String:
    rules = [validate.Length(least, most), validate.Regexp(r"[^\r\n]*\Z", error="Must be one line.")]
    return fields.String(validate=rules, **more)


def _number(least: int, most: int, **more: Any) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(least, most), **more)


def _choice(*words: str, **more: Any) -> fields.String:
    return fields.String(validate=validate.OneOf(words), **more)


def _boolean(**more: Any) -> fields.Boolean:
    return fields.Boolean(truthy={True}, falsy={False}, **more)


def _one_of_kinds(allow_none: bool = False, **kinds: fields.Field[Any]) -> fields.Nested:
    return fields.Nested(_writer(**kinds), validate=validate.Length(1, 1), allow_none=allow_none)


def _writer(**members: fields.Field[Any]) -> marshmallow.Schema:
    return marshmallow.Schema.from_dict(dict(members))(unknown=marshmallow.RAISE)


def _members(**members: fields.Field[Any]) -> fields.Nested:
    return fields.Nested(_writer(**members))


def _environment() -> fields.Dict:
    return fields.Dict(keys=_string(1, 1000), values=_string(1, 1000))


def _registry_authentication() -> fields.Nested:
    secret = {"required": True}
    return _one_of_kinds(
        aws_ecr=_members(access_key_id=_string(1, 10_000, **secret), secret_access_key=_string(1, 10_000, **secret)),
        basic=_members(username=_string(1, 10_000, **secret), password=_string(1, 10_000, **secret)),
        docker_hub=_members(username=_string(1, 10_000, **secret), personal_access_token=_string(1, 10_000, **secret)),
        gcp_gar=_members(service_key=fields.String(validate=validate.Length(1, 10_000), required=True)),
        gcp_gcr=_members(service_key=fields.String(validate=validate.Length(1, 10_000), required=True)),
    )


def _probe() -> fields.Nested:
    header = _writer(name=_string(1, 256, required=True), value=_string(1, 1024, required=True))
    return _members(
        initial_delay_seconds=_number(0, 1200, required=True),
        period_seconds=_number(1, 120, required=True),
        timeout_seconds=_number(1, 60, required=True),
        success_threshold=_number(1, 10, required=True),
        failure_threshold=_number(1, 20, required=True),
        exec=_members(command=fields.List(_string(1, 2048), required=True, validate=validate.Length(1, 100))),
        grpc=_members(port=_number(0, 65_536, required=True), service=_string(0, 1024, required=True)),
        http=_members(
            headers=fields.List(fields.Nested(header), required=True, validate=validate.Length(1, 50)),
            path=_string(1, 2048, required=True),
            port=_number(0, 65_536, required=True),
            scheme=_choice("http", "https", required=True, allow_none=True),
        ),
        tcp=_members(port=_number(0, 65_535, required=True)),
    )


def _anything() -> fields.Field[Any]:
    """Checked where it is made."""
    return fields.Raw()


_PROTOTYPE = _writer(
    name=fields.String(required=True, validate=validate.Regexp(names.PATTERN.pattern + r"\Z")),
    display_name=fields.String(validate=validate.Regexp(r"[ ,\-.0-9A-Za-z]{2,63}\Z")),
    autostart_policy=_boolean(required=True),
    replicas=_number(0, 500, required=True),
    restart_policy=_choice("always", "on_failure", "never", required=True),
    country_codes=fields.List(fields.String(validate=validate.Regexp(r"[a-z]{2}\Z")), validate=validate.Length(1, 500)),
    networking=_members(
        protocol=_choice("http", required=True),
        port=_number(1, 65_535, required=True),
        auth=_boolean(required=True),
        load_balancer=_choice("round_robin", "least_number_of_connections"),
        client_request_timeout=_number(1, 100_000),
        server_response_timeout=_number(1, 100_000),
        single_connection_limit=_boolean(),
    ),
    liveness_probe=_probe(),
    readiness_probe=_probe(),
    startup_probe=_probe(),
    container=fields.Nested(
        _writer(
            image=_string(1, 2048, required=True),
            command=fields.List(_string(1, 1000), validate=validate.Length(0, 100)),
            environment_variables=_environment(),
            logging=_one_of_kinds(
                axiom=_anything(),
                datadog=_anything(),
                http=_anything(),
                new_relic=_anything(),
                splunk=_anything(),
                tcp=_anything(),
            ),
            priority=_choice(*PRIORITIES),
            registry_authentication=_registry_authentication(),
            resources=fields.Nested(
                _writer(
                    cpu=_number(1, 1024, required=True),
                    memory=_number(1024, 1_073_741_824, required=True),
                    gpu_classes=fields.List(fields.UUID(), validate=validate.Length(0, 100)),
                    storage_amount=_number(2**30, 2**50),
                    shm_size=_number(64, 1_073_741_824),
                ),
                required=True,
            ),
        ),
        required=True,
    ),
)
_PATCH = _writer(
    container=fields.Nested(
        _writer(
            image=_string(1, 1024, required=True),
            environment_variables=_environment(),
            registry_authentication=_registry_authentication(),
        ),
        required=True,
    )
)
