"""The command of a container group: one list that replaces both the image's entrypoint and its arguments.

The kubelet has expanded `$(VAR)` before; what an expansion brought in may come from a Secret, so messages name items
by index, never by text. Pure. Source of the bounds: SaladCloud's OpenAPI file, `CreateContainer.command`.
"""

from __future__ import annotations

import json

from virtual_kubelet_salad.errors import Refused
from virtual_kubelet_salad.kubelet.provider import Inputs, Pod, UnfitSource
from virtual_kubelet_salad.saladcloud import pod_annotations, pod_fields
from virtual_kubelet_salad.saladcloud.text_limits import ITEM_LIMIT_IN_CHARS, has_line_break, problem_of

GREATEST_ITEM_COUNT = 100

_REASON = "InvalidCommand"
_REFERENCE = "$("
_EXAMPLE = '\'["python3", "-m", "server"]\''


def command(pod: Pod, inputs: Inputs) -> list[str] | None:
    """The whole command, or None to run the image as it is. Raises `Refused`; `UnfitSource` where a variable may be to
    blame that comes from elsewhere.
    """
    check(pod)
    entrypoint = _entrypoint(pod) if inputs.args and not inputs.command else []
    whole = [*entrypoint, *inputs.command, *inputs.args]
    for index, item in enumerate(whole):
        problem = problem_of(item)
        if problem:
            fault = UnfitSource if pod_fields.has_sources(pod) else Refused
            raise fault(_REASON, _message(index, problem))
    return whole or None


def check(pod: Pod) -> None:
    """Raises `Refused` for what no expansion of variables can mend."""
    written = _written(pod)
    if len(written) > GREATEST_ITEM_COUNT:
        raise Refused(
            _REASON, f"The command has {len(written)} items with its arguments; SaladCloud takes {GREATEST_ITEM_COUNT}"
        )
    for index, item in enumerate(written):
        if _REFERENCE in item:
            problem = "has a line break" if has_line_break(item) else ""
        else:
            problem = problem_of(item)
        if problem:
            raise Refused(_REASON, _message(index, problem))


def _written(pod: Pod) -> list[str]:
    """The command as the pod has it, after the entrypoint that the pod names when it states arguments alone."""
    container = pod_fields.container(pod)
    stated = list(container.get("command") or [])
    args = list(container.get("args") or [])
    return (_entrypoint(pod) if args and not stated else []) + stated + args


def _message(index: int, problem: str) -> str:
    return (
        f"Item {index} of the command (arguments included) {problem}; SaladCloud takes items of 1 to "
        f"{ITEM_LIMIT_IN_CHARS} characters without line breaks. Put a long script into the image, or fetch it at start"
    )


def _entrypoint(pod: Pod) -> list[str]:
    """The image's entrypoint, which arguments alone need."""
    value = pod_annotations.text(pod, pod_annotations.ENTRYPOINT)
    if value is None:
        raise Refused(
            _REASON,
            "The container has args but no command. SaladCloud would run the args in place of the image's entrypoint. "
            "State the command, or name the image's entrypoint in an annotation, for example: "
            f"{pod_annotations.ENTRYPOINT}: {_EXAMPLE}",
        )
    try:
        entrypoint = json.loads(value)
    except (ValueError, RecursionError):
        entrypoint = None
    if not isinstance(entrypoint, list) or not entrypoint or not all(isinstance(item, str) for item in entrypoint):
        raise pod_annotations.invalid(
            pod_annotations.ENTRYPOINT, f"must be a JSON array of texts, for example {_EXAMPLE}"
        )
    return entrypoint
