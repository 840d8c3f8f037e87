"""The manual's table of Events names every reason that the code can tell, and no other."""

from __future__ import annotations

import ast
import collections
import pathlib
import string

from tests.support.event_table import reasons
from tests.support.in_memory_provider import IDENTITY as OTHER_IDENTITY
from virtual_kubelet_salad.saladcloud.translation import IDENTITY

PACKAGE = pathlib.Path(__file__).parents[2] / "virtual_kubelet_salad"
# Which argument is the reason.
TELLING = {"Notice": 1, "event": 2, "_say": 1, "Blocked": 0, "Refused": 0, "UnfitSource": 0, "fault": 0, "invalid": 0}
# Made of parts in the code: "Mandatory" or "Optional", a kind, and what is wrong.
_NEEDS = ("Mandatory", "Optional")
_KINDS = ("Secret", "ConfigMap")
MADE_OF_PARTS = frozenset(
    {f"{need}{kind}{what}" for need in _NEEDS for kind in _KINDS for what in ("NotFound", "KeyNotFound")}
    | {f"FailedToRead{need}{kind}" for need in _NEEDS for kind in _KINDS}
    | {"InvalidEnvironmentVariableNames"}
)
# Only said by `render`.
NOT_EVENTS = {"CouldNotAsk"}


def _constants(tree: ast.Module) -> dict[str, object]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _in_code() -> set[str]:
    found: set[str] = set()
    trees = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py") if "sandbox" not in path.parts]
    # By name alone: what a module does not define itself, it has imported.
    everywhere = {name: value for tree in trees for name, value in _constants(tree).items()}
    for tree in trees:
        constants = everywhere | _constants(tree)
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call):
                continue
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            position = TELLING.get(name)
            if position is None or len(call.args) <= position:
                continue
            argument = call.args[position]
            value = constants.get(argument.id) if isinstance(argument, ast.Name) else getattr(argument, "value", None)
            if isinstance(value, str) and value[:1] in string.ascii_uppercase and value.isalnum():
                found.add(value)
    return found


def test_the_table_names_every_reason_that_the_code_tells() -> None:
    found = _in_code()
    assert {"Allocated", "Pulled", "Exited", "QuotaExceeded", "Brake", "CertificateWaits"} <= found
    assert found - NOT_EVENTS <= set(reasons())


def test_the_table_names_no_reason_that_the_code_cannot_tell() -> None:
    given = {IDENTITY.misplaced_reason, IDENTITY.not_found_reason, IDENTITY.stopped_by_cloud_reason}
    assert set(reasons()) <= _in_code() | MADE_OF_PARTS | given
    assert OTHER_IDENTITY.not_found_reason not in reasons()


def test_the_table_names_each_reason_once() -> None:
    assert [reason for reason, count in collections.Counter(reasons()).items() if count > 1] == []
