"""From a method, a path and a body to the operation that is meant, and to what is wrong with them according to the
description.

Compiled when the module is loaded, and remembered per path: the simulator is driven at thousands of requests per
second.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

from virtual_kubelet_salad.sandbox.salad_description import PATH_PARAMETERS, ROUTES, Route
from virtual_kubelet_salad.sandbox.salad_validation import compile_schema

Parameters = Mapping[str, str]

_PATTERNS = [(route, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]*)", route.path))) for route in ROUTES]
_BODY_CHECKS = {route.operation: compile_schema(route.sends.schema) for route in ROUTES if route.sends is not None}
_PARAMETER_CHECKS = {name: compile_schema(schema) for name, schema in PATH_PARAMETERS.items()}


class Call(NamedTuple):
    """What a method and a path mean. `complaints` is about the names in the path."""

    route: Route | None
    parameters: Parameters
    complaints: list[str]

    def group_name(self, body: object) -> str:
        """The group that a request with this body is about; empty when it is about none."""
        if self.route is not None and self.route.operation == "create_container_group" and isinstance(body, dict):
            return str(body.get("name", ""))
        return self.parameters.get("container_group_name", "")


@functools.lru_cache(maxsize=8192)
def find_route(method: str, path: str) -> Call:
    for route, pattern in _PATTERNS:
        match = pattern.fullmatch(path) if route.method == method else None
        if match is not None:
            parameters = match.groupdict()
            complaints = [
                f"{name}: {complaint.partition(': ')[2]}"
                for name, value in parameters.items()
                for complaint in _PARAMETER_CHECKS[name](value)
            ]
            return Call(route, parameters, complaints)
    return Call(None, {}, [])


def body_complaints(route: Route, body: object) -> list[str]:
    """What is wrong with the body of a request; an empty list when it conforms."""
    if route.sends is None:
        return [] if body is None else ["$: this request has no body"]
    return _BODY_CHECKS[route.operation](body)
