"""Judges a pod's spec field by field before anything is spent: refused, ignored out loud, or fine.

Guarantees: a field that asks for something and is not acted upon is either among the refusals or among the ignored
ones; unknown fields are ignored out loud, at any depth. A pod as the API server stores it, with all its defaults, gives
neither. Which fields the published table says are acted upon, and whether they are, is for the tests. Pure; any thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from virtual_kubelet_salad.kubelet import environment, refusal_table
from virtual_kubelet_salad.kubelet.provider import Identity, Notice, Pod
from virtual_kubelet_salad.kubelet.refusal_table import SECTIONS, TABLE, Row, Treatment

REFUSED_REASON = "UnsupportedField"
IGNORED_REASON = "FieldsIgnored"

# An Event's message is clipped at 1024 bytes; what is ignored is told in as many Events as it takes.
_LINE_LENGTH = 900
_EMPTY: tuple[object, ...] = (None, "", [], {})
_UNKNOWN = Row("", Treatment.TOLERATED, "unknown to this version")
_AS_WISHED = "as the pod wishes"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What a pod asks for and does not get."""

    refusals: list[Notice]
    """Empty: it can run."""
    ignored: list[str]
    """Fields that are ignored, those of one reason together, with the reason in brackets."""

    def notices(self) -> tuple[Notice, ...]:
        """Notices that name the ignored fields, seldom more than one; none when there are none."""
        return tuple(Notice("Normal", IGNORED_REASON, f"Ignored: {line}") for line in _lines(self.ignored, "; "))


def examine(pod: Pod, identity: Identity) -> Verdict:
    """Judges a whole pod."""
    opted_out = _opted_out(pod, identity.ignore_annotation)
    refused: dict[tuple[str, str], list[str]] = {}
    ignored: dict[str, list[str]] = {}
    for row, place, value in sorted(judged_fields(pod), key=_order):
        if not _asks(row, value):
            continue
        is_opted_out = bool(row.opt_out) and row.opt_out.casefold() in opted_out
        if row.treatment is Treatment.REFUSED and not is_opted_out:
            refused.setdefault((row.text, row.opt_out), []).append(place)
        elif row.treatment in (Treatment.REFUSED, Treatment.TOLERATED):
            ignored.setdefault(_AS_WISHED if is_opted_out else row.text, []).append(place)
    variables = environment.refusals(pod)
    if leaves_out_variables(pod, identity):
        for problem in variables:
            ignored.setdefault(_AS_WISHED, []).append(problem.message.partition(":")[0])
        variables = []
    return Verdict(
        [_refusal(text, opt_out, places, identity) for (text, opt_out), places in refused.items()]
        + [_with_opt_out(problem, refusal_table.ENVIRONMENT_OPT_OUT, identity) for problem in variables],
        [f"{line} ({reason})" for reason, places in ignored.items() for line in _lines(places, ", ")],
    )


def leaves_out_variables(pod: Pod, identity: Identity) -> bool:
    """Whether the pod's author wants to run without the variables that can never be had."""
    return refusal_table.ENVIRONMENT_OPT_OUT in _opted_out(pod, identity.ignore_annotation)


def pod_table_markdown() -> str:
    """The tables of pod support as the manual prints them; fields with the same fate share a line."""
    lines: list[str] = []
    for title, rows in SECTIONS:
        lines += [f"#### {title}", "", "| field | treatment | what happens | opt-out |", "|---|---|---|---|"]
        for (treatment, text, opt_out), alike in groupby(rows, lambda row: (row.treatment, row.text, row.opt_out)):
            fields = ", ".join(f"`{row.path.removeprefix('spec.')}`" for row in alike)
            word = f"`{opt_out}`" if opt_out else ""
            lines.append(f"| {fields} | {treatment.value} | {text} | {word} |")
        lines.append("")
    return "\n".join(lines)


def _lines(texts: Iterable[str], separator: str) -> list[str]:
    """The texts joined, in as few lines as fit."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + len(separator) + len(text) <= _LINE_LENGTH:
            lines[-1] += separator + text
        else:
            lines.append(text)
    return lines


def _opted_out(pod: Pod, annotation: str) -> frozenset[str]:
    metadata: Mapping[str, Any] = pod.get("metadata") or {}
    written = str((metadata.get("annotations") or {}).get(annotation, ""))
    return frozenset(word.strip().casefold() for word in written.split(",") if word.strip())


def _refusal(text: str, opt_out: str, places: list[str], identity: Identity) -> Notice:
    refusal = Notice("Warning", REFUSED_REASON, f"{', '.join(places)}: {text}")
    return _with_opt_out(refusal, opt_out, identity) if opt_out else refusal


def _with_opt_out(refusal: Notice, word: str, identity: Identity) -> Notice:
    hint = f'. To run the pod without it, annotate it with {identity.ignore_annotation}: "{word}"'
    return dataclasses.replace(refusal, message=refusal.message + hint)


def _asks(row: Row, value: object) -> bool:
    if row.asks is not None:
        return row.asks(value)
    # By type too, for in Python False equals 0 and True equals 1.
    return not any(type(value) is type(nothing) and value == nothing for nothing in (*_EMPTY, *row.unstated))


_ROWS = {path: row for row in TABLE for path in row.paths()}


def _prefixes(path: str) -> Iterator[str]:
    """All the places that one passes on the way to a field."""
    parts = path.replace("[]", ".[]").split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length]).replace(".[]", "[]")


_POSITIONS = {row: position for position, row in enumerate(TABLE)}


def _order(found: tuple[Row, str, object]) -> tuple[int, str]:
    """That of the table, so that a pod is told the same however its fields are ordered."""
    row, place, _ = found
    return _POSITIONS.get(row, len(_POSITIONS)), place


_ON_THE_WAY = frozenset(prefix for path in _ROWS for prefix in _prefixes(path))


def judged_fields(pod: Pod) -> Iterator[tuple[Row, str, object]]:
    """Each field of the spec with the row that judges it, its place in the pod and its value."""
    for name, value in (pod.get("spec") or {}).items():
        if name == "volumes":
            yield from _volumes(value or [], pod)
        elif name == "containers":
            yield from _walk(f"spec.{name}[]", f"{name}[0]", (value or [{}])[0], None)
            for other in (value or [])[1:]:
                yield _ROWS[refusal_table.OTHER_CONTAINERS], f"the container {other.get('name')}", other
        else:
            yield from _walk(f"spec.{name}", name, value, None)


def _walk(path: str, place: str, value: object, inherited: Row | None) -> Iterator[tuple[Row, str, object]]:
    row = _ROWS.get(path, inherited)
    # What a row with parts does not list among them has no row.
    below = None if row is not None and row.parts else row
    if path in _ON_THE_WAY and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(f"{path}.{name}", f"{place}.{name}", inner, below)
    elif path in _ON_THE_WAY and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(f"{path}[]", f"{place}[{index}]", inner, below)
    else:
        yield row or _UNKNOWN, place, value


def _volumes(volumes: list[Mapping[str, Any]], pod: Pod) -> Iterator[tuple[Row, str, object]]:
    containers: list[Mapping[str, Any]] = (pod.get("spec") or {}).get("containers") or []
    known = _ROWS[refusal_table.PLAIN_EMPTY_DIR].parts
    for volume in volumes:
        name = str(volume.get("name"))
        mounts = [
            str(mount.get("mountPath", "")).rstrip("/")
            for container in containers
            for mount in container.get("volumeMounts") or []
            if mount.get("name") == name
        ]
        kinds = [key for key in volume if key != "name"]
        # A volume of no kind is an emptyDir; the API server writes it so.
        kind = kinds[0] if kinds else "emptyDir"
        title = f"the volume {name} ({kind})"
        yield _ROWS[_volume_row(kind, volume, mounts)], title, volume
        more = {other: volume[other] for other in kinds[1:]}
        if kind == "emptyDir":
            more |= {key: value for key, value in (volume.get(kind) or {}).items() if key not in known}
        for key, value in more.items():
            yield _ROWS.get(f"{refusal_table.PLAIN_EMPTY_DIR}.{key}", _UNKNOWN), f"{key} of {title}", value


def _volume_row(kind: str, volume: Mapping[str, Any], mounts: list[str]) -> str:
    if kind == "emptyDir":
        medium = (volume.get("emptyDir") or {}).get("medium") or ""
        if medium in ("", "Memory") and mounts and all(path == "/dev/shm" for path in mounts):
            return refusal_table.SHARED_MEMORY_VOLUME
        return refusal_table.MEMORY_EMPTY_DIR if medium else refusal_table.PLAIN_EMPTY_DIR
    if kind == "projected" and _is_token(volume["projected"], mounts):
        return refusal_table.TOKEN_VOLUME
    return refusal_table.OTHER_VOLUME


def _is_token(projected: Mapping[str, Any], mounts: list[str]) -> bool:
    """Whether it is what the API server adds to every pod: a token with the cluster's CA, at its usual place."""
    sources: list[Mapping[str, Any]] = (projected or {}).get("sources") or []
    return any("serviceAccountToken" in source for source in sources) and all(
        path == refusal_table.SERVICE_ACCOUNT_PATH for path in mounts
    )
