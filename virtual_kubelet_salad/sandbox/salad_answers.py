"""The bodies that the SaladCloud API answers with, as JSON-schema data; members unknown here are allowed, as clients
must expect them.

Written from version 0.9.0-alpha.17 of the official description and compared with it by a contract test.
"""

from __future__ import annotations

from virtual_kubelet_salad.sandbox.salad_schemas import (
    BOOLEAN,
    COUNTRY_CODE,
    DISPLAY_NAME,
    GATEWAY_TIMEOUT_MS,
    INT32_MAX,
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

_COUNT = integer(0, INT32_MAX)
_ANY_NUMBER: Schema = {"type": "number", "format": "float", "minimum": 0}
_VERSION = integer(1, INT32_MAX)

PROBLEM_DETAILS = record(
    {
        "detail": text(1, 2000, None),
        "instance": {**text(1, 2048, None), "format": "url"},
        "status": integer(100, 599),
        "title": text(1, 2000, None),
        "type": {**text(1, 2048, None), "format": "url", "default": "about:blank"},
    }
)

_CONTAINER = record(
    {
        "command": listing(text(1, 2048), 0, 100, nullable=True),
        "environment_variables": mapping(text(0, 2048)),
        "hash": text(47, 135, "^sha\\d{1,3}:[a-fA-F0-9]{40,135}$"),
        "image": text(1, 2048),
        "image_caching": BOOLEAN,
        "logging": record(logging_sinks(headers_are_required=True, closed=False)),
        "resources": record(
            {
                "cpu": integer(1, 1024),
                "gpu_classes": listing(UUID, 0, 100),
                "memory": integer(1024, 1_073_741_824),
                "shm_size": integer(64, 1_073_741_824, default=64),
                "storage_amount": integer(2**30, 2**50, "int64"),
            },
            ("cpu", "memory", "gpu_classes"),
        ),
        "size": integer(0, 2**63 - 1, "int64"),
    },
    ("command", "image", "resources"),
)

_STATE = record(
    {
        "description": text(0, 1000, nullable=True),
        "finish_time": TIME,
        "instance_status_counts": record(
            {"allocating_count": _COUNT, "creating_count": _COUNT, "running_count": _COUNT, "stopping_count": _COUNT},
            ("allocating_count", "creating_count", "running_count", "stopping_count"),
        ),
        "start_time": TIME,
        "status": one_of("pending", "running", "stopped", "succeeded", "failed", "deploying"),
    },
    ("finish_time", "instance_status_counts", "start_time", "status"),
)

CONTAINER_GROUP = record(
    {
        "autostart_policy": BOOLEAN,
        "container": _CONTAINER,
        "country_codes": listing(COUNTRY_CODE, 0, 500),
        "create_time": TIME,
        "current_state": _STATE,
        "display_name": DISPLAY_NAME,
        "id": UUID,
        "name": NAME,
        "networking": record(
            {
                "auth": BOOLEAN,
                "client_request_timeout": GATEWAY_TIMEOUT_MS,
                "dns": {
                    **text(1, 253, "^([a-z][a-z0-9-]{0,61}[a-z0-9]\\.)*[a-z][a-z0-9-]{0,61}[a-z0-9]$"),
                    "format": "url",
                },
                "load_balancer": LOAD_BALANCER,
                "port": PORT,
                "protocol": PROTOCOL,
                "server_response_timeout": GATEWAY_TIMEOUT_MS,
                "single_connection_limit": SINGLE_CONNECTION_LIMIT,
            },
            ("auth", "dns", "load_balancer", "port", "protocol"),
        ),
        "organization_name": NAME,
        "pending_change": BOOLEAN,
        "priority": PRIORITY,
        **probes(closed=False),
        "project_name": NAME,
        "queue_autoscaler": queue_autoscaler(closed=False),
        "queue_connection": queue_connection(closed=False),
        "readme": text(2, 65_000, None),
        "replicas": REPLICAS,
        "restart_policy": RESTART_POLICY,
        **scaling(closed=False),
        "update_time": TIME,
        "version": _VERSION,
    },
    (
        "autostart_policy",
        "container",
        "country_codes",
        "create_time",
        "current_state",
        "display_name",
        "id",
        "name",
        "organization_name",
        "pending_change",
        "priority",
        "project_name",
        "replicas",
        "restart_policy",
        "update_time",
        "version",
        "scheduled-scaling-enabled",
        "scaling-actions",
    ),
)

CONTAINER_GROUP_COLLECTION = record({"items": listing(CONTAINER_GROUP, 0, 100)}, ("items",))

INSTANCE = record(
    {
        "cpu_percent": _ANY_NUMBER,
        "cpu_usage": integer(0, None, "int64"),
        "cpu_usage_total": integer(0, None, "int64"),
        "deletion_cost": integer(0, 100_000, None, default=0),
        "id": UUID,
        "machine_id": UUID,
        "memory_usage_mb": _ANY_NUMBER,
        "memory_usage_percent": _ANY_NUMBER,
        "pulling_progress": {**_ANY_NUMBER, "maximum": 100},
        "ready": BOOLEAN,
        "ssh_host_key_fingerprint": text(1, 256, None),
        "ssh_ip": {"type": "string", "format": "ipv4"},
        "ssh_port": integer(1, 65_535, default=22),
        "started": BOOLEAN,
        "state": one_of("allocating", "downloading", "creating", "running", "stopping"),
        "update_time": TIME,
        "version": _VERSION,
    },
    ("id", "machine_id", "state", "update_time", "version"),
)

INSTANCE_COLLECTION = record({"instances": listing(INSTANCE, 0, 1000)}, ("instances",))

SYSTEM_LOG_LIST = record(
    {
        "items": listing(
            record(
                {
                    "event_name": text(1, 255),
                    "event_time": TIME,
                    "instance_id": UUID,
                    "machine_id": UUID,
                    "resource_cpu": integer(1, 16, None, nullable=True),
                    "resource_gpu_class": {"type": "string"},
                    "resource_memory": integer(1024, 61_440, None, nullable=True),
                    "resource_storage_amount": integer(2**30, 268_435_456_000, "int64", nullable=True),
                    "version": {"type": "string"},
                },
                (
                    "event_name",
                    "event_time",
                    "resource_cpu",
                    "resource_gpu_class",
                    "resource_memory",
                    "resource_storage_amount",
                    "version",
                ),
            ),
            0,
            50,
        )
    },
    ("items",),
)

QUOTAS = record(
    {
        "container_groups_quotas": record(
            {
                "container_replicas_quota": _COUNT,
                "container_replicas_used": _COUNT,
                "max_container_group_reallocations_per_minute": _COUNT,
                "max_container_group_recreates_per_minute": _COUNT,
                "max_container_group_restarts_per_minute": _COUNT,
            },
            ("container_replicas_quota", "container_replicas_used"),
        ),
        "create_time": TIME,
        "update_time": TIME,
    },
    ("container_groups_quotas",),
)

GPU_CLASSES_LIST = record(
    {
        "items": listing(
            record(
                {
                    "gpu_class_type": one_of("community", "secure"),
                    "gpu_count": integer(1, 512),
                    "id": UUID,
                    "is_high_demand": BOOLEAN,
                    "max_ram": integer(0, None),
                    "max_storage": integer(0, None, "int64"),
                    "max_vcpu": integer(0, None),
                    "min_ram": integer(0, None),
                    "min_storage": integer(0, None, "int64"),
                    "min_vcpu": integer(0, None),
                    "name": text(2, 63, "^[ -~]{2,63}$"),
                    "prices": listing(
                        record({"price": text(1, 20), "priority": PRIORITY}, ("priority", "price")), 1, 100
                    ),
                },
                ("id", "name", "prices"),
            ),
            0,
            100,
        )
    },
    ("items",),
)

_LOG_ENTRY = record(
    {
        "json_log": {"type": "object", "additionalProperties": True},
        "parent_span_id": text(1, 1000, None),
        "receive_time": TIME,
        "resource": record(
            {"labels": mapping(text(1, 1000, None), 100), "type": text(1, 1000, None)}, ("labels", "type"), closed=True
        ),
        "severity": one_of("default", "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"),
        "span_Id": text(1, 1000, None),
        "text_log": text(0, 10_000, None),
        "time": TIME,
        "trace_Id": text(1, 1000, None),
    },
    ("receive_time", "resource", "severity", "time"),
)

LOG_ENTRY_COLLECTION = record(
    {"items": listing(_LOG_ENTRY, 0, 10_000), "organization_name": NAME, "page_max_time": TIME, "page_min_time": TIME},
    ("items", "organization_name", "page_max_time", "page_min_time"),
)

CPU_AVAILABILITY = record({name: integer(None, None) for name in ("available_cpu_batch", "on_call_cpu")})
GPU_AVAILABILITY = record(
    {
        name: integer(None, None)
        for name in (
            "available_gpu_batch",
            "available_gpu_high",
            "available_gpu_low",
            "available_gpu_medium",
            "on_call_gpu",
        )
    }
)
