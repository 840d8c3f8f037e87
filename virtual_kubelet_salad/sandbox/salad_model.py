"""The simulated SaladCloud: requests in, answers out, time as a collaborator.

Pure: no thread, no socket, no waiting; the same seed, clock and requests give the same answers. Not safe for several
threads: the HTTP face has one lock around it, the explorer drives it from one thread. Every request is checked
against `salad_description`; what does not conform is refused and counted. Written from the official description and
from what is known about the live service, never from the client's own schemas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from virtual_kubelet_salad.runtime.clock import Clock
from virtual_kubelet_salad.sandbox import salad_wire as wire
from virtual_kubelet_salad.sandbox.salad_control import SaladControls
from virtual_kubelet_salad.sandbox.salad_description import JSON, MERGE_PATCH, ROUTES
from virtual_kubelet_salad.sandbox.salad_groups import apply_patch, new_group
from virtual_kubelet_salad.sandbox.salad_logs import BadQuery
from virtual_kubelet_salad.sandbox.salad_routing import Call, Parameters, body_complaints, find_route
from virtual_kubelet_salad.sandbox.salad_settings import DEFAULT, SaladSettings
from virtual_kubelet_salad.sandbox.salad_traffic import suffer
from virtual_kubelet_salad.sandbox.salad_wire import ConnectionDropped, Request, Response, json_answer, problem
from virtual_kubelet_salad.sandbox.salad_world import Group, Replica

_STOCK_AGENTS = ("python-urllib",)
_UNKNOWN_OPERATION = "unknown"
_ACCEPTED = Response(202)

Operation = Callable[[Parameters, Any], Response]


class SaladCloudModel(SaladControls):
    """`handle` is the public API; what is inherited is for tests and for the curious."""

    def __init__(self, clock: Clock, settings: SaladSettings = DEFAULT, seed: int = 0) -> None:
        super().__init__(clock, settings, seed)
        self._created = self._world.wall(self._world.now)
        self._operations: dict[str, Operation] = {
            route.operation: getattr(self, "_" + route.operation) for route in ROUTES
        }

    def handle(self, request: Request) -> Response:
        """Answer one request. Raises ConnectionDropped when the client gets no answer."""
        self._world.advance()
        self._traffic.arrived(self._world.now)
        call = find_route(request.method, request.path)
        operation = call.route.operation if call.route is not None else _UNKNOWN_OPERATION
        try:
            response = self._admit(request, call, operation)
        except ConnectionDropped:
            self._traffic.answered(operation, "dropped")
            raise
        self._traffic.answered(operation, str(response.status))
        return response

    def _admit(self, request: Request, call: Call, operation: str) -> Response:
        """The checks that do not depend on the operation, in the order of the live service: proxy, key, rate."""
        settings = self._world.settings
        headers = {name.lower(): value for name, value in request.headers.items()}
        if settings.user_agent_is_checked:
            agent = headers.get("user-agent", "").lower()
            if not agent or agent.startswith(_STOCK_AGENTS):
                return wire.BANNED_AGENT
        key = headers.get("salad-api-key", "")
        if not key or self._keys_are_refused or (settings.api_key is not None and key != settings.api_key):
            return wire.UNAUTHORIZED
        if settings.rate_limit_per_minute is not None:
            wait = self._traffic.seconds_to_wait(key, self._world.now, settings.rate_limit_per_minute)
            if wait:
                return self._too_many(wait)
        fault = self._traffic.next_fault(operation, call.group_name(request.body))
        if fault is not None:
            if fault.applied:
                self._perform(request, call, headers)
            return wire.echo(fault.kind, request) if fault.kind in wire.ECHOES else suffer(fault)
        return self._perform(request, call, headers)

    def _perform(self, request: Request, call: Call, headers: Mapping[str, str]) -> Response:
        route, parameters = call.route, call.parameters
        if route is None:
            self._traffic.violated(_UNKNOWN_OPERATION, ["no such route and method"])
            return wire.NOT_FOUND
        complaints = call.complaints or body_complaints(route, request.body)
        if complaints:
            self._traffic.violated(route.operation, complaints)
            return wire.invalid(complaints)
        if route.sends is not None:
            content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            is_lenient = (
                route.sends.content_type == MERGE_PATCH and not self._world.settings.merge_patch_type_is_required
            )
            if content_type != route.sends.content_type and not (is_lenient and content_type == JSON):
                self._traffic.violated(route.operation, [f"content type must be {route.sends.content_type}"])
                return problem(415, None, "Unsupported Media Type")
        settings = self._world.settings
        if (
            parameters["organization_name"] != settings.organization
            or parameters.get("project_name", settings.projects[0]) not in settings.projects
        ):
            return wire.ORGANIZATION_NOT_FOUND
        return self._operations[route.operation](parameters, request.body)

    def _too_many(self, wait_seconds: float) -> Response:
        headers = {"Retry-After": str(math.ceil(wait_seconds))} if self._world.settings.retry_after_is_sent else {}
        return json_answer(
            429, {"type": "too_many_requests", "title": "Too Many Requests", "status": 429}, headers=headers
        )

    # Container groups

    def _list_container_groups(self, parameters: Parameters, _body: Any) -> Response:
        return Response(200, self._world.list_text(parameters["project_name"]))

    def _create_container_group(self, parameters: Parameters, body: Any) -> Response:
        world, project, name = self._world, parameters["project_name"], body["name"]
        if world.is_out_of_credit:
            return self._no_credits()
        if (project, name) in world.used_names:
            return problem(
                400, "name_conflict", "Name conflict", "A container group with this name exists or has existed"
            )
        if set(body["container"]["resources"].get("gpu_classes", ())) - self._offer.ids:
            return wire.invalid(["$.container.resources.gpu_classes: unknown GPU class"])
        if self._used_replicas() + body["replicas"] > world.settings.replica_quota:
            return problem(
                400,
                "created_replicas_quota_exceeded",
                "Quota exceeded",
                "The replica quota of the organization is used up",
            )
        group = new_group(world, project, body)
        world.groups[project, name] = group
        world.used_names.add((project, name))
        self._life.begin(group)
        self._note_owner(group)
        self._note_request(body)
        location = f"/organizations/{world.settings.organization}/projects/{project}/containers/{name}"
        return Response(201, world.group_text(group), JSON, {"Location": location})

    def _get_container_group(self, parameters: Parameters, _body: Any) -> Response:
        group = self._find(parameters)
        return wire.GROUP_NOT_FOUND if group is None else Response(200, self._world.group_text(group))

    def _update_container_group(self, parameters: Parameters, body: Any) -> Response:
        group, world = self._find(parameters), self._world
        if group is None or group.is_deleting:
            return wire.GROUP_NOT_FOUND
        if group.status == "pending" or group.pending_change:
            return problem(
                400,
                "pending_update_in_progress",
                "An update is in progress",
                "Wait until the previous change has been applied",
            )
        resources = (body.get("container") or {}).get("resources") or {}
        if set(resources.get("gpu_classes") or ()) - self._offer.ids:
            return wire.invalid(["$.container.resources.gpu_classes: unknown GPU class"])
        more = (body.get("replicas") or 0) - group.wanted_replicas
        if more > 0 and self._used_replicas() + more > world.settings.replica_quota:
            return problem(
                400, "replicas_quota_exceeded", "Quota exceeded", "The replica quota of the organization is used up"
            )
        if body.get("networking") and "networking" not in group.spec:
            return problem(400, "container_group_update_exception", "Bad Request")
        before = group.wanted_replicas
        has_new_image, is_versioned = apply_patch(group, body)
        group.updated_at = world.now
        self._note_owner(group)
        if is_versioned:
            self._life.update(group, has_new_image)
        if group.wanted_replicas != before:
            self._logs.group_event(
                group, f"Container Group Desired Replica Count Updated from {before} to {group.wanted_replicas}"
            )
            self._life.fill(group)
        world.changed(group)
        return Response(200, world.group_text(group), MERGE_PATCH)

    def _delete_container_group(self, parameters: Parameters, _body: Any) -> Response:
        group = self._find(parameters)
        if group is None:
            return wire.GROUP_NOT_FOUND
        if group.owner_uid is None:
            self._foreign_deletions.append(group.name)
        self._life.delete(group)
        return _ACCEPTED

    def _start_container_group(self, parameters: Parameters, _body: Any) -> Response:
        group = self._find(parameters)
        if group is None or group.is_deleting:
            return wire.GROUP_NOT_FOUND
        if self._world.is_out_of_credit:
            return self._no_credits()
        if group.status != "stopped":
            return problem(
                400,
                "cannot_start_container_group_with_current_status",
                "Bad Request",
                f"The container group cannot be started in {group.status} status",
            )
        if self._used_replicas() > self._world.settings.replica_quota:
            return problem(
                400, "replicas_quota_exceeded", "Quota exceeded", "The replica quota of the organization is used up"
            )
        self._life.start(group)
        return _ACCEPTED

    def _stop_container_group(self, parameters: Parameters, _body: Any) -> Response:
        group = self._find(parameters)
        if group is None or group.is_deleting:
            return wire.GROUP_NOT_FOUND
        self._life.stop(group)
        return _ACCEPTED

    def _get_system_logs(self, parameters: Parameters, _body: Any) -> Response:
        group = self._find(parameters)
        return wire.GROUP_NOT_FOUND if group is None else json_answer(200, self._logs.system_logs(group))

    # Instances

    def _list_container_group_instances(self, parameters: Parameters, _body: Any) -> Response:
        group, world = self._find(parameters), self._world
        if group is None:
            return wire.GROUP_NOT_FOUND
        return json_answer(200, {"instances": [world.instance_answer(replica) for replica in world.rows(group)]})

    def _get_container_group_instance(self, parameters: Parameters, _body: Any) -> Response:
        found = self._find_instance(parameters)
        if isinstance(found, Response):
            return found
        return json_answer(self._world.settings.instance_read_status, self._world.instance_answer(found[1]))

    def _update_container_group_instance(self, parameters: Parameters, body: Any) -> Response:
        found = self._find_instance(parameters)
        if isinstance(found, Response):
            return found
        if "deletion_cost" in body:
            found[1].deletion_cost = body["deletion_cost"] or 0
        return json_answer(200, self._world.instance_answer(found[1]))

    def _reallocate_container_group_instance(self, parameters: Parameters, _body: Any) -> Response:
        return self._act(
            parameters,
            "reallocate",
            lambda group, replica: self._life.interrupt(group, replica, "Instance Reallocated by User"),
        )

    def _recreate_container_group_instance(self, parameters: Parameters, _body: Any) -> Response:
        return self._act(
            parameters, "recreate", lambda group, replica: self._life.renew(group, replica, "Instance Recreated")
        )

    def _restart_container_group_instance(self, parameters: Parameters, _body: Any) -> Response:
        return self._act(
            parameters, "restart", lambda group, replica: self._life.renew(group, replica, "Instance Restarted")
        )

    def _act(self, parameters: Parameters, kind: str, action: Callable[[Group, Replica], None]) -> Response:
        found = self._find_instance(parameters)
        if isinstance(found, Response):
            return found
        wait = self._traffic.seconds_to_wait(
            f"instance action {kind}", self._world.now, self._world.settings.instance_actions_per_minute
        )
        if wait:
            return self._too_many(wait)
        group, replica = found
        # The others have nothing to restart yet, or are on their way out: accepted, without effect.
        if replica.state == "running" or (kind == "reallocate" and replica in group.replicas):
            action(group, replica)
        return _ACCEPTED

    # The organization

    def _get_quotas(self, _parameters: Parameters, _body: Any) -> Response:
        settings = self._world.settings
        return json_answer(
            200,
            {
                "container_groups_quotas": {
                    "container_replicas_quota": settings.replica_quota,
                    "container_replicas_used": self._used_replicas(),
                    "max_container_group_reallocations_per_minute": settings.instance_actions_per_minute,
                    "max_container_group_recreates_per_minute": settings.instance_actions_per_minute,
                    "max_container_group_restarts_per_minute": settings.instance_actions_per_minute,
                },
                "create_time": self._created,
                "update_time": self._created,
            },
        )

    def _list_gpu_classes(self, _parameters: Parameters, _body: Any) -> Response:
        return Response(200, self._offer.text)

    def _query_log_entries(self, _parameters: Parameters, body: Any) -> Response:
        try:
            return json_answer(200, self._logs.query(body))
        except BadQuery as error:
            return problem(400, None, "Bad Request", str(error))

    def _get_cpu_availability(self, _parameters: Parameters, _body: Any) -> Response:
        return json_answer(
            200,
            {
                "available_cpu_batch": self._world.random.randrange(1_000),
                "on_call_cpu": self._world.random.randrange(1_000),
            },
        )

    def _get_gpu_availability(self, _parameters: Parameters, body: Any) -> Response:
        if set(body["gpu_classes"]) - self._offer.ids:
            return wire.invalid(["$.gpu_classes: unknown GPU class"])
        names = (
            "available_gpu_high",
            "available_gpu_medium",
            "available_gpu_low",
            "available_gpu_batch",
            "on_call_gpu",
        )
        return json_answer(200, {name: self._world.random.randrange(200) for name in names})

    # What the operations share

    def _find(self, parameters: Parameters) -> Group | None:
        return self._world.groups.get((parameters["project_name"], parameters["container_group_name"]))

    def _find_instance(self, parameters: Parameters) -> tuple[Group, Replica] | Response:
        group = self._find(parameters)
        if group is None:
            return wire.GROUP_NOT_FOUND
        for replica in self._world.rows(group):
            if replica.instance_id == parameters["container_group_instance_id"]:
                return group, replica
        return wire.INSTANCE_NOT_FOUND

    def _used_replicas(self) -> int:
        """All groups count, stopped ones too."""
        return sum(group.wanted_replicas for group in self._world.groups.values())

    def _no_credits(self) -> Response:
        return problem(
            self._world.settings.no_credits_status, "no_credits_available", wire.NO_CREDITS_TITLE, wire.NO_CREDITS_TITLE
        )
