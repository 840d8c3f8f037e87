"""Our description of the SaladCloud API says the same as the official file, wherever the environment variable
SALADCLOUD_OPENAPI names that file.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.official_api import OFFICIAL_FILE, official_document
from virtual_kubelet_salad.sandbox import salad_description
from virtual_kubelet_salad.sandbox.salad_description import ROUTES, Route
from virtual_kubelet_salad.sandbox.salad_validation import KEYWORDS

pytestmark = pytest.mark.skipif(
    not OFFICIAL_FILE, reason="SALADCLOUD_OPENAPI does not name the official API description (openapi.yaml)"
)

PROSE = {"title", "description", "summary", "example", "examples", "$comment", "x-internal"}


@pytest.fixture(scope="module")
def official() -> dict[str, Any]:
    return official_document()


def follow(document: dict[str, Any], value: Any) -> Any:
    """The value, or what it refers to."""
    while isinstance(value, dict) and "$ref" in value:
        target: Any = document
        for part in value["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def plain(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    """A schema with its references resolved and without prose. A keyword that we could not compare is an error."""
    schema = follow(document, schema)
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in PROSE:
            continue
        if key == "nullable":  # the manner of OpenAPI 3.0, used by the availability requests
            continue
        assert key in KEYWORDS, f"the official description uses {key!r}, which ours cannot say"
        if key == "properties":
            value = {name: plain(document, part) for name, part in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            value = plain(document, value)
        elif key == "type":
            value = {value} if isinstance(value, str) else set(value)
        elif key in ("enum", "required"):
            value = set(value)
        result[key] = value
    if schema.get("nullable"):
        result["type"] = result["type"] | {"null"}
    return result


def differences(official: dict[str, Any], ours: dict[str, Any], place: str) -> list[str]:
    found = []
    for key in sorted(set(official) | set(ours)):
        left, right = official.get(key), ours.get(key)
        if key == "additionalProperties" and left is None and right is False:
            continue  # we forbid unknown members of requests, where the official description is silent
        if key == "properties" and left is not None and right is not None:
            for name in sorted(set(left) | set(right)):
                if name not in left or name not in right:
                    found.append(f"{place}.{name}: only in {'ours' if name in right else 'the official description'}")
                else:
                    found += differences(left[name], right[name], f"{place}.{name}")
        elif isinstance(left, dict) and isinstance(right, dict):
            found += differences(left, right, f"{place}[{key}]")
        elif left != right:
            found.append(f"{place}: {key} is officially {left!r}, ours says {right!r}")
    return found


def test_country_no_is_a_string(official: dict[str, Any]) -> None:
    assert "no" in official["components"]["schemas"]["CountryCode"]["enum"]
    assert all(isinstance(code, str) for code in official["components"]["schemas"]["CountryCode"]["enum"])


def test_version_server_and_key_are_the_official_ones(official: dict[str, Any]) -> None:
    assert official["info"]["version"] == salad_description.VERSION
    assert official["servers"][0]["url"].endswith(salad_description.BASE_PATH)
    scheme = official["components"]["securitySchemes"]["ApiKeyAuth"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", salad_description.KEY_HEADER)


def test_no_operation_is_described_twice() -> None:
    assert (
        len({route.operation for route in ROUTES})
        == len({(route.method, route.path) for route in ROUTES})
        == len(ROUTES)
    )


def test_every_container_group_operation_of_the_official_file_is_described(official: dict[str, Any]) -> None:
    known = {(route.method, route.path) for route in ROUTES}
    for path, item in official["paths"].items():
        if "/containers" in path:
            assert {
                (method.upper(), path) for method in item if method in ("get", "post", "put", "patch", "delete")
            } <= known


@pytest.mark.parametrize("route", ROUTES, ids=[route.operation for route in ROUTES])
def test_path_and_parameters_are_the_official_ones(official: dict[str, Any], route: Route) -> None:
    item = official["paths"][route.path]
    operation = item[route.method.lower()]
    assert operation["operationId"] == route.operation
    parameters = [
        follow(official, parameter) for parameter in [*item.get("parameters", []), *operation.get("parameters", [])]
    ]
    assert {parameter["in"] for parameter in parameters} == {"path"}
    assert {parameter["name"] for parameter in parameters} == set(re.findall(r"{(\w+)}", route.path))
    for parameter in parameters:
        ours = plain(official, salad_description.PATH_PARAMETERS[parameter["name"]])
        assert differences(plain(official, parameter["schema"]), ours, parameter["name"]) == []


@pytest.mark.parametrize("route", ROUTES, ids=[route.operation for route in ROUTES])
def test_the_request_is_the_official_one(official: dict[str, Any], route: Route) -> None:
    written = follow(official, official["paths"][route.path][route.method.lower()].get("requestBody"))
    if route.sends is None:
        assert written is None
        return
    assert written["required"] is True
    assert list(written["content"]) == [route.sends.content_type]
    theirs = plain(official, written["content"][route.sends.content_type]["schema"])
    assert differences(theirs, plain(official, route.sends.schema), "$") == []


@pytest.mark.parametrize("route", ROUTES, ids=[route.operation for route in ROUTES])
def test_the_answers_are_the_official_ones(official: dict[str, Any], route: Route) -> None:
    written = official["paths"][route.path][route.method.lower()]["responses"]
    assert {status for status in written if status != "default"} == {str(status) for status in route.answers}
    for status, ours in route.answers.items():
        content = follow(official, written[str(status)]).get("content")
        if ours is None:
            assert content is None
            continue
        assert list(content) == [ours.content_type]
        theirs = plain(official, content[ours.content_type]["schema"])
        assert differences(theirs, plain(official, ours.schema), "$") == []


def test_a_difference_is_found() -> None:
    theirs = {"type": {"object"}, "properties": {"a": {"type": {"string"}, "maxLength": 5}}, "required": {"a"}}
    ours = {
        "type": {"object"},
        "properties": {"a": {"type": {"string"}, "maxLength": 6}},
        "required": set(),
        "additionalProperties": False,
    }
    assert len(differences(theirs, ours, "$")) == 2
