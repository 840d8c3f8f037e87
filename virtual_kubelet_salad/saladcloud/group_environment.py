"""The environment of a container group: what the kubelet has resolved, within SaladCloud's limits, with the owner
record last so that it wins.

A value never appears in a message, only its variable's name. Pure. Source of the limits: SaladCloud's OpenAPI file,
`CreateContainer.environment_variables`.
"""

from __future__ import annotations

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet.provider import Inputs, Notice, Owner, Pod, UnfitSource
from virtual_kubelet_salad.saladcloud import owner as owner_record
from virtual_kubelet_salad.saladcloud import pod_fields
from virtual_kubelet_salad.saladcloud.text_limits import ITEM_LIMIT_IN_CHARS, has_line_break, problem_of

_REASON = "InvalidEnvironment"
_REFERENCE = "$("


def environment_variables(pod: Pod, inputs: Inputs, owner: Owner, tell: list[Notice]) -> dict[str, str]:
    """Names and values to send. Raises `Refused` for what the pod writes, `UnfitSource` for what may come from
    elsewhere.
    """
    check(pod)
    fault = UnfitSource if pod_fields.has_sources(pod) else Refused
    resolved = dict(inputs.environment)
    empty = [name for name, value in resolved.items() if not value]
    if empty:
        message = f"SaladCloud takes no empty environment variables; left out: {', '.join(empty)}"
        tell.append(Notice("Normal", "EmptyVariablesDropped", message))
    variables = {name: value for name, value in resolved.items() if value}
    if owner_record.SALAD_VK_OWNER in variables:
        raise fault(_REASON, _reserved_message())
    for name, value in variables.items():
        if problem_of(name):
            raise fault(_REASON, _name_message(name))
        problem = problem_of(value)
        if problem:
            raise fault(_REASON, _message(name, problem))
    variables[owner_record.SALAD_VK_OWNER] = owner_record.encode(owner)
    return variables


def check(pod: Pod) -> None:
    """Raises `Refused` for what the pod itself writes and no source of values can mend."""
    for entry in pod_fields.container(pod).get("env") or []:
        name = entry.get("name") or ""
        if name == owner_record.SALAD_VK_OWNER:
            raise Refused(_REASON, _reserved_message())
        if problem_of(name):
            raise Refused(_REASON, _name_message(name))
    for name, value in _literals(pod).items():
        if _REFERENCE in value:
            problem = "has a line break" if has_line_break(value) else ""
        else:
            problem = problem_of(value) if value else ""
        if problem:
            raise Refused(_REASON, _message(name, problem))


def _literals(pod: Pod) -> dict[str, str]:
    """The values that the pod writes out itself; of several of one name the last counts."""
    literals: dict[str, str] = {}
    for entry in pod_fields.container(pod).get("env") or []:
        name = entry.get("name", "")
        if entry.get("valueFrom"):
            literals.pop(name, None)
        else:
            literals[name] = entry.get("value") or ""
    return literals


def _message(name: str, problem: str) -> str:
    return (
        f"The environment variable {name} {problem}; SaladCloud takes values of 1 to {ITEM_LIMIT_IN_CHARS} characters "
        "without line breaks. Put a longer text into the image, or fetch it at start"
    )


def _name_message(name: str) -> str:
    return (
        f"The name of an environment variable {problem_of(name)}; SaladCloud takes names of 1 to {ITEM_LIMIT_IN_CHARS} "
        "characters without line breaks"
    )


def _reserved_message() -> str:
    return f"The environment variable {owner_record.SALAD_VK_OWNER} is the node's own; the pod must not set it"
