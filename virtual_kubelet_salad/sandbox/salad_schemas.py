"""What the SaladCloud API description says about the values that several requests and answers share, as JSON-schema
data.

Written from version 0.9.0-alpha.17 of the official description; a contract test compares every field, type, bound,
pattern and list with that file. The functions only shorten the writing: each returns the plain schema.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

ONE_LINE = "^.*$"
NAME_PATTERN = "^[a-z][a-z0-9-]{0,61}[a-z0-9]$"
DISPLAY_NAME_PATTERN = "^[ ,-.0-9A-Za-z]+$"
INT32_MAX = 2**31 - 1


def text(least: int, most: int, pattern: str | None = ONE_LINE, *, nullable: bool = False) -> Schema:
    schema: Schema = {"type": ["string", "null"] if nullable else "string", "minLength": least, "maxLength": most}
    return schema if pattern is None else {**schema, "pattern": pattern}


def integer(
    least: int | None,
    most: int | None,
    form: str | None = "int32",
    *,
    nullable: bool = False,
    default: int | None = None,
) -> Schema:
    schema: Schema = {"type": ["integer", "null"] if nullable else "integer"}
    for key, value in (("format", form), ("minimum", least), ("maximum", most), ("default", default)):
        if value is not None:
            schema[key] = value
    return schema


def listing(items: Schema, least: int | None, most: int | None, *, nullable: bool = False) -> Schema:
    schema: Schema = {"type": ["array", "null"] if nullable else "array", "items": items}
    for key, value in (("minItems", least), ("maxItems", most)):
        if value is not None:
            schema[key] = value
    return schema


def one_of(*values: str, nullable: bool = False, default: str | None = None) -> Schema:
    schema: Schema = {"type": ["string", "null"] if nullable else "string", "enum": list(values)}
    return schema if default is None else {**schema, "default": default}


def record(
    properties: dict[str, Schema], required: tuple[str, ...] = (), *, nullable: bool = False, closed: bool = False
) -> Schema:
    schema: Schema = {"type": ["object", "null"] if nullable else "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return {**schema, "additionalProperties": False} if closed else schema


def mapping(values: Schema, most: int | None = None) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": values}
    return schema if most is None else {**schema, "minProperties": 0, "maxProperties": most}


BOOLEAN: Schema = {"type": "boolean"}
UUID: Schema = {"type": "string", "format": "uuid"}
TIME: Schema = {"type": "string", "format": "date-time"}
NAME = text(2, 63, NAME_PATTERN)
DISPLAY_NAME = text(2, 63, DISPLAY_NAME_PATTERN)
REPLICAS = integer(0, 500)
PORT = integer(1, 65_535)

COUNTRY_CODE: Schema = {
    "type": "string",
    "enum": (
        "af al dz as ad ao ai aq ag ar am aw au at az bs bh bd bb by be bz bj bm bt bo bq ba bw bv br io bn bg bf "
        "bi cv kh cm ca ky cf td cl cn cx cc co km cd cg ck cr hr cu cw cy cz ci dk dj dm do ec eg sv gq er ee sz "
        "et fk fo fj fi fr gf pf tf ga gm ge de gh gi gr gl gd gp gu gt gg gn gw gy ht hm va hn hk hu is in id ir "
        "iq ie im il it jm jp je jo kz ke ki kp kr kw kg la lv lb ls lr ly li lt lu mo mg mw my mv ml mt mh mq mr "
        "mu yt mx fm md mc mn me ms ma mz mm na nr np nl nc nz ni ne ng nu nf mp no om pk pw ps pa pg py pe ph pn "
        "pl pt pr qa mk ro ru rw re bl sh kn lc mf pm vc ws sm st sa sn rs sc sl sg sx sk si sb so za gs ss es lk "
        "sd sr sj se ch sy tw tj tz th tl tg tk to tt tn tr tm tc tv ug ua ae gb um us uy uz vu ve vn vg vi wf eh "
        "ye zm zw ax"
    ).split(),
}

RESTART_POLICY = one_of("always", "on_failure", "never")
PRIORITY = one_of("high", "medium", "low", "batch", nullable=True)
PROTOCOL = one_of("http")
LOAD_BALANCER = one_of("round_robin", "least_number_of_connections", default="round_robin")
GATEWAY_TIMEOUT_MS = integer(1, 100_000, default=100_000)
SINGLE_CONNECTION_LIMIT: Schema = {"type": "boolean", "default": False}


def probe(*, period: int, timeout: int, success: int, failure: int, closed: bool) -> Schema:
    """A liveness, readiness or startup probe; the numbers are the defaults that the description names."""
    header = record({"name": text(1, 256), "value": text(1, 1024)}, ("name", "value"), closed=closed)
    handlers = {
        "exec": record({"command": listing(text(1, 2048), 1, 100)}, ("command",), closed=closed),
        "grpc": record({"port": integer(0, 65_536), "service": text(0, 1024)}, ("port", "service"), closed=closed),
        "http": record(
            {
                "headers": listing(header, 1, 50),
                "path": text(1, 2048),
                "port": integer(0, 65_536),
                "scheme": one_of("http", "https", nullable=True),
            },
            ("headers", "path", "port", "scheme"),
            closed=closed,
        ),
        "tcp": record({"port": integer(0, 65_535)}, ("port",), closed=closed),
    }
    return record(
        {
            **handlers,
            "failure_threshold": integer(1, 20, default=failure),
            "initial_delay_seconds": integer(0, 1200, default=0),
            "period_seconds": integer(1, 120, default=period),
            "success_threshold": integer(1, 10, default=success),
            "timeout_seconds": integer(1, 60, default=timeout),
        },
        ("failure_threshold", "initial_delay_seconds", "period_seconds", "success_threshold", "timeout_seconds"),
        nullable=True,
        closed=closed,
    )


def probes(*, closed: bool) -> dict[str, Schema]:
    return {
        "liveness_probe": probe(period=10, timeout=30, success=1, failure=3, closed=closed),
        "readiness_probe": probe(period=1, timeout=1, success=1, failure=3, closed=closed),
        "startup_probe": probe(period=3, timeout=10, success=2, failure=15, closed=closed),
    }


def queue_autoscaler(*, closed: bool) -> Schema:
    return record(
        {
            "desired_queue_length": integer(1, 100),
            "max_downscale_per_minute": integer(1, 100),
            "max_replicas": integer(1, 500),
            "max_upscale_per_minute": integer(1, 100),
            "min_replicas": integer(0, 100),
            "polling_period": integer(15, 1800),
        },
        ("desired_queue_length", "max_replicas", "min_replicas"),
        closed=closed,
    )


def queue_connection(*, closed: bool) -> Schema:
    return record(
        {"path": text(1, 1024), "port": PORT, "queue_name": NAME}, ("path", "port", "queue_name"), closed=closed
    )


def scaling(*, closed: bool) -> dict[str, Schema]:
    schedule: Schema = {"type": "string", "pattern": "^([0-9A-Za-z*/,-]+)([\\t ]+[0-9A-Za-z*/,-]+){4}$"}
    action = record({"replicas": REPLICAS, "schedule": schedule}, ("schedule", "replicas"), closed=closed)
    return {"scaling-actions": listing(action, 0, 100), "scheduled-scaling-enabled": BOOLEAN}


def logging_sinks(*, headers_are_required: bool, closed: bool) -> dict[str, Schema]:
    """The six places a container's output can be sent to. Creating a group allows an http sink without headers; every
    other schema requires them.
    """
    word, pair = text(1, 1000), record(
        {"name": text(1, 1000), "value": text(1, 1000)}, ("name", "value"), closed=closed
    )
    optional_word = text(1, 1000, nullable=True)
    http_required = ("host", "port", "format", "compression")
    return {
        "axiom": record(
            {"api_token": word, "dataset": word, "host": word}, ("host", "api_token", "dataset"), closed=closed
        ),
        "datadog": record(
            {"api_key": word, "host": word, "tags": listing(pair, 0, 1000, nullable=True)},
            ("host", "api_key", "tags"),
            closed=closed,
        ),
        "http": record(
            {
                "compression": one_of("none", "gzip"),
                "format": one_of("json", "json_lines"),
                "headers": listing(pair, 0, 1000, nullable=headers_are_required),
                "host": word,
                "password": optional_word,
                "path": optional_word,
                "port": PORT,
                "user": optional_word,
            },
            (("headers",) if headers_are_required else ()) + http_required,
            closed=closed,
        ),
        "new_relic": record({"host": word, "ingestion_key": word}, ("host", "ingestion_key"), closed=closed),
        "splunk": record({"host": word, "token": word}, ("host", "token"), closed=closed),
        "tcp": record({"host": word, "port": PORT}, ("host", "port"), closed=closed),
    }
