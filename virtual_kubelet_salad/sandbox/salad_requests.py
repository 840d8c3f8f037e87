"""The bodies that the SaladCloud API takes, as JSON-schema data; unknown members are forbidden here, although the
official description is silent on them.

Written from version 0.9.0-alpha.17 of the official description and compared with it by a contract test.
"""

from __future__ import annotations

from virtual_kubelet_salad.sandbox.salad_schemas import (
    BOOLEAN,
    COUNTRY_CODE,
    DISPLAY_NAME_PATTERN,
    GATEWAY_TIMEOUT_MS,
    LOAD_BALANCER,
    NAME,
    PORT,
    PRIORITY,
    PROTOCOL,
    REPLICAS,
    RESTART_POLICY,
    SINGLE_CONNECTION_LIMIT,
    TIME,
    UUID,
    Schema,
    integer,
    listing,
    logging_sinks,
    mapping,
    one_of,
    probes,
    queue_autoscaler,
    queue_connection,
    record,
    scaling,
    text,
)

_CREDENTIAL = text(1, 10_000)
_SERVICE_KEY = record({"service_key": text(1, 10_000, None)}, ("service_key",), closed=True)
_DISPLAY_NAME = text(2, 63, DISPLAY_NAME_PATTERN)

REGISTRY_AUTHENTICATION = record(
    {
        "aws_ecr": record(
            {"access_key_id": _CREDENTIAL, "secret_access_key": _CREDENTIAL},
            ("access_key_id", "secret_access_key"),
            nullable=True,
            closed=True,
        ),
        "basic": record({"password": _CREDENTIAL, "username": _CREDENTIAL}, ("username", "password"), closed=True),
        "docker_hub": record(
            {"personal_access_token": _CREDENTIAL, "username": _CREDENTIAL},
            ("username", "personal_access_token"),
            closed=True,
        ),
        "gcp_gar": _SERVICE_KEY,
        "gcp_gcr": _SERVICE_KEY,
    },
    closed=True,
)

_ENVIRONMENT = mapping(text(1, 1000))

_CREATE_CONTAINER = record(
    {
        "command": listing(text(1, 1000), 0, 100, nullable=True),
        "environment_variables": _ENVIRONMENT,
        "image": text(1, 2048),
        "image_caching": BOOLEAN,
        "logging": record(logging_sinks(headers_are_required=False, closed=True), closed=True),
        "priority": PRIORITY,
        "registry_authentication": REGISTRY_AUTHENTICATION,
        "resources": record(
            {
                "cpu": integer(1, 1024),
                "gpu_classes": listing(UUID, 0, 100),
                "memory": integer(1024, 1_073_741_824),  # MB
                "shm_size": integer(64, 1_073_741_824, default=64),  # MB
                "storage_amount": integer(2**30, 2**50, "int64"),  # bytes
            },
            ("cpu", "memory"),
            closed=True,
        ),
    },
    ("image", "resources"),
    closed=True,
)

CONTAINER_GROUP_PROTOTYPE = record(
    {
        "autostart_policy": BOOLEAN,
        "container": _CREATE_CONTAINER,
        "country_codes": listing(COUNTRY_CODE, 1, 500),
        "display_name": _DISPLAY_NAME,
        "name": NAME,
        "networking": record(
            {
                "auth": BOOLEAN,
                "client_request_timeout": GATEWAY_TIMEOUT_MS,
                "load_balancer": LOAD_BALANCER,
                "port": PORT,
                "protocol": PROTOCOL,
                "server_response_timeout": GATEWAY_TIMEOUT_MS,
                "single_connection_limit": SINGLE_CONNECTION_LIMIT,
            },
            ("auth", "port", "protocol"),
            closed=True,
        ),
        **probes(closed=True),
        "queue_autoscaler": queue_autoscaler(closed=True),
        "queue_connection": queue_connection(closed=True),
        "replicas": REPLICAS,
        "restart_policy": RESTART_POLICY,
        **scaling(closed=True),
    },
    ("autostart_policy", "container", "name", "replicas", "restart_policy"),
    closed=True,
)

_UPDATE_CONTAINER = record(
    {
        "command": listing(text(1, 1024), 0, 100, nullable=True),
        "environment_variables": _ENVIRONMENT,
        "image": text(1, 1024, nullable=True),
        "image_caching": BOOLEAN,
        "logging": record(logging_sinks(headers_are_required=True, closed=True), nullable=True, closed=True),
        "priority": PRIORITY,
        "registry_authentication": REGISTRY_AUTHENTICATION,
        "resources": record(
            {
                "cpu": integer(1, 1024, None, nullable=True),
                "gpu_classes": listing(UUID, 0, 100, nullable=True),
                "memory": integer(1024, 1_073_741_824, None, nullable=True),
                "shm_size": integer(64, 1_073_741_824, nullable=True, default=64),
                "storage_amount": integer(2**30, 2**50, "int64", nullable=True),
            },
            nullable=True,
            closed=True,
        ),
    },
    nullable=True,
    closed=True,
)

CONTAINER_GROUP_PATCH = record(
    {
        "container": _UPDATE_CONTAINER,
        "country_codes": listing(COUNTRY_CODE, 1, 500, nullable=True),
        "display_name": text(2, 63, DISPLAY_NAME_PATTERN, nullable=True),
        "networking": record({"port": integer(1, 65_535, None, nullable=True)}, closed=True),
        **probes(closed=True),
        "queue_autoscaler": queue_autoscaler(closed=True),
        "replicas": integer(0, 500, None, nullable=True),
        **scaling(closed=True),
    },
    closed=True,
)

INSTANCE_PATCH = record({"deletion_cost": integer(0, 100_000, None, nullable=True)}, closed=True)

LOG_ENTRY_QUERY = record(
    {
        "end_time": TIME,
        "page_size": integer(1, 100),
        "query": text(0, 20_000, None),
        "sort_order": one_of("desc", "asc", default="desc"),
        "start_time": TIME,
    },
    ("end_time", "query", "start_time"),
    closed=True,
)

# The official description marks these three as nullable in the manner of OpenAPI 3.0.
_WANTED: dict[str, Schema] = {
    "country_codes": listing(COUNTRY_CODE, None, None),
    "cpu": integer(None, None, nullable=True),
    "memory": integer(None, None, "int64", nullable=True),
    "storage_amount": integer(None, None, "int64", nullable=True),
}
CPU_AVAILABILITY_PROTOTYPE = record(_WANTED, closed=True)
GPU_AVAILABILITY_PROTOTYPE = record({**_WANTED, "gpu_classes": listing(UUID, 1, None)}, ("gpu_classes",), closed=True)
