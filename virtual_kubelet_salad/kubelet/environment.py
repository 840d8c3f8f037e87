"""Resolves a container's environment as the kubelet does, from env, envFrom and the sources they name.

The kubelet's rules: envFrom in its order, later over earlier, then env over envFrom; `$(VAR)` in a value (not in what
comes from a source) sees envFrom and the variables before it, `$$` is a `$`, a reference to nothing stays as written;
of a ConfigMap only `data` counts, never `binaryData`. Different on purpose: there are no service variables, and keys
that are not variable names are skipped with a notice, as older kubelets do.

Pure but for the two reading functions it is given; runs on a worker's thread. Everything that can be refused from the
pod alone is refused before anything is read. Values are in `Environment.variables` only: never in a notice, an error
or a repr.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from virtual_kubelet_salad.errors import Blocked, Forbidden, NotFound, Refused
from virtual_kubelet_salad.kubelet import downward, pods
from virtual_kubelet_salad.kubelet.provider import SOURCE_RETRY_SECONDS, SOURCE_THEN, Notice, Pod
from virtual_kubelet_salad.runtime.expansion import expand

# Shown as the waiting reason, as the kubelet does.
CONFIG_ERROR = "CreateContainerConfigError"

Read = Callable[[str], Mapping[str, Any]]
"""Reads one Secret or ConfigMap of the pod's namespace by name. Raises NotFound, Forbidden, CouldNotAsk."""

_VARIABLE_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


@dataclasses.dataclass(frozen=True, slots=True)
class Environment:
    """The variables in order, and what the pod's author should read about them."""

    variables: tuple[tuple[str, str], ...] = dataclasses.field(repr=False)
    notices: tuple[Notice, ...] = ()


class SourcesMissing(Blocked):
    """Mandatory Secrets, ConfigMaps or keys are missing; `notices` names each of them."""

    def __init__(self, message: str, notices: tuple[Notice, ...]) -> None:
        super().__init__(CONFIG_ERROR, message, retry_after=SOURCE_RETRY_SECONDS, then=SOURCE_THEN)
        self.notices = notices


def refusals(pod: Pod) -> list[Notice]:
    """Everything in the environment of container 0 that can never be honoured, decided from the pod alone."""
    container = pods.container(pod)
    found: list[Notice] = []
    for variable in container.get("env") or []:
        try:
            _value_in_pod(pod, container, variable, node_name="", host_ip="")
        except Refused as error:
            found.append(Notice("Warning", error.reason, f"variable {variable.get('name')}: {error}"))
    for entry in container.get("envFrom") or []:
        if not entry.get("configMapRef") and not entry.get("secretRef"):
            found.append(Notice("Warning", "UnsupportedEnvFrom", "envFrom: only configMapRef and secretRef are known"))
    return found


def resolve(
    pod: Pod,
    *,
    read_secret: Read,
    read_config_map: Read,
    node_name: str,
    host_ip: str,
    leaves_out_the_refused: bool = False,
) -> Environment:
    """The environment of container 0. `leaves_out_the_refused`: the pod's author wants to run without the variables
    that can never be had.

    Raises `Refused` (never possible), `SourcesMissing` (all that is missing, at once) and whatever else the reading
    functions raise, `CouldNotAsk` above all: a source that could not be asked for is not missing, optional or not.
    """
    refused = refusals(pod)
    if refused and not leaves_out_the_refused:
        raise Refused(refused[0].reason, "; ".join(notice.message for notice in refused))
    container = pods.container(pod)
    sources = _Sources(pods.namespace(pod), read_secret, read_config_map)
    values: dict[str, str] = {}
    for entry in container.get("envFrom") or []:
        if entry.get("configMapRef") or entry.get("secretRef"):
            values.update(sources.all_of(entry))
    for variable in container.get("env") or []:
        try:
            value = _value_in_pod(pod, container, variable, node_name=node_name, host_ip=host_ip)
        except Refused:
            continue
        if value is not None:
            value = expand(value, values) if variable.get("value") else value
        else:
            value = sources.one_of(variable["valueFrom"])
        if value is not None:
            values[str(variable["name"])] = value
    sources.raise_if_missing()
    return Environment(tuple(values.items()), tuple(sources.notices))


def _value_in_pod(
    pod: Pod, container: Mapping[str, Any], variable: Mapping[str, Any], *, node_name: str, host_ip: str
) -> str | None:
    """The value as far as the pod itself tells it, not yet expanded; None: a Secret or ConfigMap has it."""
    source = variable.get("valueFrom")
    if variable.get("value") or not source:
        return str(variable.get("value") or "")
    if source.get("fieldRef"):
        return downward.field_value(pod, source["fieldRef"], node_name=node_name, host_ip=host_ip)
    if source.get("resourceFieldRef"):
        return downward.resource_value(pod, container, source["resourceFieldRef"])
    if source.get("secretKeyRef") or source.get("configMapKeyRef"):
        return None
    kinds = ", ".join(sorted(source))
    raise Refused("UnsupportedEnvSource", f"valueFrom {kinds} is not known here; use a Secret or a ConfigMap")


class _Sources:
    """The Secrets and ConfigMaps of one resolution: each is read once, and whatever is missing is collected."""

    def __init__(self, namespace: str, read_secret: Read, read_config_map: Read) -> None:
        self._namespace = namespace
        self._read = {"Secret": read_secret, "ConfigMap": read_config_map}
        # The decoded data by kind and name, or the error of the read.
        self._data: dict[tuple[str, str], Mapping[str, str | None] | NotFound | Forbidden] = {}
        self._missing: list[Notice] = []
        self.notices: list[Notice] = []

    def raise_if_missing(self) -> None:
        if self._missing:
            message = "; ".join(notice.message for notice in self._missing)
            raise SourcesMissing(message, (*self.notices, *self._missing))

    def all_of(self, entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Names and values of one envFrom entry."""
        kind = "ConfigMap" if entry.get("configMapRef") else "Secret"
        reference = entry.get("configMapRef") or entry["secretRef"]
        data = self._look_up(kind, reference) or {}
        prefix = str(entry.get("prefix") or "")
        invalid = []
        for key in sorted(data):
            if not _is_variable_name(prefix + key):
                invalid.append(prefix + key)
                continue
            value = self._text(kind, reference, key, data[key])
            if value is not None:
                yield prefix + key, value
        if invalid:
            text = f"keys {', '.join(invalid)} of {self._title(kind, reference)} are not variable names; skipped"
            self._note(self.notices, "InvalidEnvironmentVariableNames", text)

    def one_of(self, source: Mapping[str, Any]) -> str | None:
        """The value of a secretKeyRef or configMapKeyRef; None when there is none."""
        kind = "Secret" if source.get("secretKeyRef") else "ConfigMap"
        reference = source.get("secretKeyRef") or source["configMapKeyRef"]
        data, key = self._look_up(kind, reference), str(reference.get("key") or "")
        if data is None:
            return None
        if key in data:
            return self._text(kind, reference, key, data[key])
        text = f"couldn't find key {key} in {self._title(kind, reference)}"
        self._note_absence(reference, f"{kind}KeyNotFound", text)
        return None

    def _look_up(self, kind: str, reference: Mapping[str, Any]) -> Mapping[str, str | None] | None:
        """The data of a source; None, and noted, when there is none."""
        data = self._read_once(kind, str(reference.get("name") or ""))
        if isinstance(data, NotFound):
            self._note_absence(reference, f"{kind}NotFound", f"{self._title(kind, reference)} not found")
            return None
        if isinstance(data, Forbidden):
            # It may be there: leaving an optional variable out would weaken the pod silently, so this blocks as well.
            self._note_failure(kind, reference, f"{self._title(kind, reference)} cannot be read: {data}")
            return None
        return data

    def _read_once(self, kind: str, name: str) -> Mapping[str, str | None] | NotFound | Forbidden:
        if (kind, name) not in self._data:
            try:
                data = self._read[kind](name).get("data") or {}
                self._data[kind, name] = {key: _decoded(kind, value) for key, value in data.items()}
            except (NotFound, Forbidden) as error:
                self._data[kind, name] = error
        return self._data[kind, name]

    def _text(self, kind: str, reference: Mapping[str, Any], key: str, value: str | None) -> str | None:
        if value is None:
            text = f"key {key} of {self._title(kind, reference)} is not text (UTF-8) and cannot be a variable"
            self._note_failure(kind, reference, text)
        return value

    def _note_absence(self, reference: Mapping[str, Any], what: str, text: str) -> None:
        if reference.get("optional") is True:
            self._note(self.notices, f"Optional{what}", text)
        else:
            self._note(self._missing, f"Mandatory{what}", text)

    def _note_failure(self, kind: str, reference: Mapping[str, Any], text: str) -> None:
        necessity = "Optional" if reference.get("optional") is True else "Mandatory"
        self._note(self._missing, f"FailedToRead{necessity}{kind}", text)

    def _title(self, kind: str, reference: Mapping[str, Any]) -> str:
        return f"{kind} {self._namespace}/{reference.get('name') or ''}"

    def _note(self, notices: list[Notice], reason: str, message: str) -> None:
        notice = Notice("Warning", reason, message)
        if notice not in notices:
            notices.append(notice)


def _is_variable_name(name: str) -> bool:
    return _VARIABLE_NAME.fullmatch(name) is not None and name != "." and not name.startswith("..")


def _decoded(kind: str, value: str | None) -> str | None:
    """A value as text; None when it is not text. An empty one may come as null."""
    if kind == "ConfigMap" or not value:
        return value or ""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
