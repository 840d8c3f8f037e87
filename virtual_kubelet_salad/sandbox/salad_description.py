"""The routes of the SaladCloud API that the virtual kubelet uses: paths, methods, what is sent and what is answered,
as plain data.

Written from version 0.9.0-alpha.17 of the official description and compared with it, field by field, by a contract
test. The simulator validates every request with it. Every route may also answer 429, and any other status with
problem details ("default").
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from virtual_kubelet_salad.sandbox import salad_answers as answers
from virtual_kubelet_salad.sandbox import salad_requests as requests
from virtual_kubelet_salad.sandbox.salad_schemas import NAME, UUID, Schema

VERSION = "0.9.0-alpha.17"
BASE_PATH = "/api/public"
KEY_HEADER = "Salad-Api-Key"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

PATH_PARAMETERS: Mapping[str, Schema] = {
    "organization_name": NAME,
    "project_name": NAME,
    "container_group_name": NAME,
    "container_group_instance_id": UUID,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Body:
    """What a request or an answer carries."""

    schema: Schema
    content_type: str = JSON


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """One operation. `sends` None: a request without body. An answer of None: a status without body."""

    operation: str
    method: str
    path: str
    sends: Body | None
    answers: Mapping[int, Body | None]


_PROBLEM = Body(answers.PROBLEM_DETAILS)
_ORGANIZATION = "/organizations/{organization_name}"
_GROUPS = _ORGANIZATION + "/projects/{project_name}/containers"
_GROUP = _GROUPS + "/{container_group_name}"
_INSTANCES = _GROUP + "/instances"
_INSTANCE = _INSTANCES + "/{container_group_instance_id}"
_ACCEPTED: Mapping[int, Body | None] = {202: None}


def _route(
    operation: str, method: str, path: str, sends: Body | None, success: Mapping[int, Body | None], *problems: int
) -> Route:
    return Route(operation, method, path, sends, {**success, **{status: _PROBLEM for status in (*problems, 429)}})


def _json(status: int, schema: Schema) -> Mapping[int, Body | None]:
    return {status: Body(schema)}


ROUTES: tuple[Route, ...] = (
    _route("list_container_groups", "GET", _GROUPS, None, _json(200, answers.CONTAINER_GROUP_COLLECTION)),
    _route(
        "create_container_group",
        "POST",
        _GROUPS,
        Body(requests.CONTAINER_GROUP_PROTOTYPE),
        _json(201, answers.CONTAINER_GROUP),
        400,
        403,
    ),
    _route("get_container_group", "GET", _GROUP, None, _json(200, answers.CONTAINER_GROUP), 404),
    _route(
        "update_container_group",
        "PATCH",
        _GROUP,
        Body(requests.CONTAINER_GROUP_PATCH, MERGE_PATCH),
        {200: Body(answers.CONTAINER_GROUP, MERGE_PATCH)},
        400,
        403,
        404,
    ),
    _route("delete_container_group", "DELETE", _GROUP, None, _ACCEPTED, 403, 404),
    _route("start_container_group", "POST", _GROUP + "/start", None, _ACCEPTED, 400, 403),
    _route("stop_container_group", "POST", _GROUP + "/stop", None, _ACCEPTED, 400, 403),
    _route("get_system_logs", "GET", _GROUP + "/system-logs", None, _json(200, answers.SYSTEM_LOG_LIST), 404),
    _route("list_container_group_instances", "GET", _INSTANCES, None, _json(200, answers.INSTANCE_COLLECTION), 404),
    _route("get_container_group_instance", "GET", _INSTANCE, None, _json(202, answers.INSTANCE), 404),
    _route(
        "update_container_group_instance",
        "PATCH",
        _INSTANCE,
        Body(requests.INSTANCE_PATCH, MERGE_PATCH),
        _json(200, answers.INSTANCE),
        400,
        403,
        404,
    ),
    _route("reallocate_container_group_instance", "POST", _INSTANCE + "/reallocate", None, _ACCEPTED, 404),
    _route("recreate_container_group_instance", "POST", _INSTANCE + "/recreate", None, _ACCEPTED, 404),
    _route("restart_container_group_instance", "POST", _INSTANCE + "/restart", None, _ACCEPTED, 404),
    _route("get_quotas", "GET", _ORGANIZATION + "/quotas", None, _json(200, answers.QUOTAS), 404),
    _route("list_gpu_classes", "GET", _ORGANIZATION + "/gpu-classes", None, _json(200, answers.GPU_CLASSES_LIST), 404),
    _route(
        "query_log_entries",
        "POST",
        _ORGANIZATION + "/log-entries",
        Body(requests.LOG_ENTRY_QUERY),
        _json(200, answers.LOG_ENTRY_COLLECTION),
        400,
        401,
        403,
        404,
    ),
    _route(
        "get_cpu_availability",
        "POST",
        _ORGANIZATION + "/availability/sce-cpu-availability",
        Body(requests.CPU_AVAILABILITY_PROTOTYPE),
        _json(200, answers.CPU_AVAILABILITY),
        400,
        401,
        403,
        404,
    ),
    _route(
        "get_gpu_availability",
        "POST",
        _ORGANIZATION + "/availability/sce-gpu-availability",
        Body(requests.GPU_AVAILABILITY_PROTOTYPE),
        _json(200, answers.GPU_AVAILABILITY),
        400,
        401,
        403,
        404,
    ),
)
