"""What `render` prints: for people, or as JSON or YAML for programs. Pure; the order is that of the manifests."""

from __future__ import annotations

import collections
import dataclasses
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from virtual_kubelet_salad.commands.manifests import Document
from virtual_kubelet_salad.commands.pod_templates import Candidate
from virtual_kubelet_salad.commands.rendering import Rendered
from virtual_kubelet_salad.kubelet.provider import Notice

_WIDTH_IN_CHARS = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """A pod and what becomes of it."""

    candidate: Candidate
    rendered: Rendered
    notes: tuple[str, ...]
    """What the reader should know beside it."""
    made_up: tuple[str, ...]
    """What has a placeholder."""


def as_text(shown: Sequence[Shown], others: Sequence[Document]) -> str:
    """For people."""
    parts = [_paragraph(one) for one in shown]
    parts += ["".join(f"{_title(one, None)}: makes no pods\n" for one in others)] if others else []
    counts = collections.Counter(one.rendered.outcome for one in shown)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    return "\n".join([*parts, f"{len(shown)} pod{'s' if len(shown) > 1 else ''}: {told}\n"])


def as_json(shown: Sequence[Shown], others: Sequence[Document]) -> str:
    """For programs."""
    return json.dumps(_data(shown), indent=2, ensure_ascii=False) + "\n"


def as_yaml(shown: Sequence[Shown], others: Sequence[Document]) -> str:
    """The same as JSON."""
    return yaml.safe_dump(_data(shown), sort_keys=False, allow_unicode=True, width=_WIDTH_IN_CHARS)


FORMATS: Mapping[str, Callable[[Sequence[Shown], Sequence[Document]], str]] = {
    "text": as_text,
    "json": as_json,
    "yaml": as_yaml,
}


def _title(document: Document, namespace: str | None) -> str:
    return f"{document.kind} {f'{namespace}/' if namespace else ''}{document.name} ({document.place})"


def _paragraph(one: Shown) -> str:
    rendered = one.rendered
    namespace = one.candidate.pod["metadata"]["namespace"]
    lines = [f"{_title(one.candidate.document, namespace)}: {rendered.outcome}"]
    lines += [f"  {notice.reason}: {notice.message}" for notice in rendered.reasons]
    if rendered.request is not None:
        lines.append(textwrap.indent(json.dumps(rendered.request, indent=2, ensure_ascii=False), "  "))
    lines += [f"  Event {notice.type} {notice.reason}: {notice.message}" for notice in rendered.events]
    if rendered.request is not None:
        lines.append(f"  Price: {rendered.price or 'not known'}")
        lines += [f"  Made up: {', '.join(one.made_up)}"] if one.made_up else []
    lines += [f"  Note: {note}" for note in one.notes]
    return "".join(f"{line}\n" for line in lines)


def _data(shown: Sequence[Shown]) -> dict[str, Any]:
    return {"pods": [_pod_data(one) for one in shown]}


def _pod_data(one: Shown) -> dict[str, Any]:
    document, rendered = one.candidate.document, one.rendered
    metadata = one.candidate.pod["metadata"]
    source: dict[str, Any] = {"file": document.file, "document": document.number}
    if document.item is not None:
        source["item"] = document.item
    data: dict[str, Any] = {
        "source": {**source, "kind": document.kind, "name": document.name},
        "pod": {"namespace": metadata["namespace"], "name": metadata["name"]},
        "outcome": rendered.outcome,
    }
    if rendered.request is None:
        return data | {"reasons": _notices(rendered.reasons), "notes": list(one.notes)}
    price = rendered.price
    return data | {
        "request": rendered.request,
        "events": _notices(rendered.events),
        "dollars_per_hour": (
            None
            if price is None
            else {"lowest": f"{price.lowest:f}", "highest": f"{price.highest:f}", "priority": price.priority}
        ),
        "made_up": list(one.made_up),
        "notes": list(one.notes),
    }


def _notices(notices: Sequence[Notice]) -> list[dict[str, str]]:
    return [dataclasses.asdict(notice) for notice in notices]
