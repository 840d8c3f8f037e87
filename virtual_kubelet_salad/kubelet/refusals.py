"""Judges a pod's spec field by field before anything is spent: refused, ignored out loud, or fine.

Guarantees: a field that asks for something and is not acted upon is either among the refusals or among the ignored
ones; unknown fields are ignored out loud. A pod as the API server stores it, with all its defaults, gives neither.
Pure; any thread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from virtual_kubelet_salad.kubelet import refusal_table
from virtual_kubelet_salad.kubelet.provider import Identity, Notice, Pod
from virtual_kubelet_salad.kubelet.refusal_table import TABLE, Row, Treatment

REFUSED_REASON = "UnsupportedField"
IGNORED_REASON = "FieldsIgnored"

_EMPTY: tuple[object, ...] = (None, "", [], {})
_UNKNOWN = Row("", Treatment.TOLERATED, "unknown to this version")


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What a pod asks for and does not get."""

    refusals: list[Notice]
    """Empty: it can run."""
    ignored: list[str]
    """Fields that are ignored, those of one reason together, with the reason in brackets."""

    def notices(self) -> tuple[Notice, ...]:
        """One notice that names the ignored fields; none when there are none."""
        if not self.ignored:
            return ()
        return (Notice("Normal", IGNORED_REASON, f"Ignored: {'; '.join(self.ignored)}"),)


def examine(pod: Pod, identity: Identity) -> Verdict:
    """Judges a whole pod."""
    opted_out = _opted_out(pod, identity.ignore_annotation)
    refused: dict[Row, list[str]] = {}
    ignored: dict[str, list[str]] = {}
    for row, place, value in _fields(pod):
        if not _asks(row, value):
            continue
        is_opted_out = bool(row.opt_out) and row.opt_out.casefold() in opted_out
        if row.treatment is Treatment.REFUSED and not is_opted_out:
            refused.setdefault(row, []).append(place)
        elif row.treatment in (Treatment.REFUSED, Treatment.TOLERATED):
            ignored.setdefault("as the pod wishes" if is_opted_out else row.text, []).append(place)
    return Verdict(
        [_refusal(row, places, identity) for row, places in refused.items()],
        [f"{', '.join(places)} ({reason})" for reason, places in ignored.items()],
    )


def pod_table_markdown() -> str:
    """The table of pod support as the manual prints it."""
    lines = ["| field | treatment | what happens | opt-out |", "|---|---|---|---|"]
    for row in TABLE:
        opt_out = f"`{row.opt_out}`" if row.opt_out else ""
        lines.append(f"| `{row.path.removeprefix('spec.')}` | {row.treatment.value} | {row.text} | {opt_out} |")
    return "\n".join(lines) + "\n"


def _opted_out(pod: Pod, annotation: str) -> frozenset[str]:
    metadata: Mapping[str, Any] = pod.get("metadata") or {}
    written = str((metadata.get("annotations") or {}).get(annotation, ""))
    return frozenset(word.strip().casefold() for word in written.split(",") if word.strip())


def _refusal(row: Row, places: list[str], identity: Identity) -> Notice:
    message = f"{', '.join(places)}: {row.text}"
    if row.opt_out:
        message += f'. To run the pod without it, annotate it with {identity.ignore_annotation}: "{row.opt_out}"'
    return Notice("Warning", REFUSED_REASON, message)


def _asks(row: Row, value: object) -> bool:
    if row.asks is not None:
        return row.asks(value)
    # By type too, for in Python False equals 0 and True equals 1.
    return not any(type(value) is type(nothing) and value == nothing for nothing in (*_EMPTY, *row.unstated))


_ROWS = {row.path: row for row in TABLE}


def _prefixes(path: str) -> Iterator[str]:
    """All the places that one passes on the way to a field."""
    parts = path.replace("[]", ".[]").split(".")
    for length in range(1, len(parts)):
        yield ".".join(parts[:length]).replace(".[]", "[]")


_ON_THE_WAY = frozenset(prefix for row in TABLE for prefix in _prefixes(row.path))


def _fields(pod: Pod) -> Iterator[tuple[Row, str, object]]:
    """Each field of the spec with the row that judges it and its place in the pod."""
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
    if path in _ON_THE_WAY and isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _walk(f"{path}.{name}", f"{place}.{name}", inner, row)
    elif path in _ON_THE_WAY and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _walk(f"{path}[]", f"{place}[{index}]", inner, row)
    else:
        yield row or _UNKNOWN, place, value


def _volumes(volumes: list[Mapping[str, Any]], pod: Pod) -> Iterator[tuple[Row, str, object]]:
    containers: list[Mapping[str, Any]] = (pod.get("spec") or {}).get("containers") or []
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
        yield _ROWS[_volume_row(kind, volume, mounts)], f"the volume {name} ({kind})", volume


def _volume_row(kind: str, volume: Mapping[str, Any], mounts: list[str]) -> str:
    if kind == "emptyDir":
        if mounts and all(path == "/dev/shm" for path in mounts):
            return refusal_table.SHARED_MEMORY_VOLUME
        medium = (volume.get("emptyDir") or {}).get("medium")
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
