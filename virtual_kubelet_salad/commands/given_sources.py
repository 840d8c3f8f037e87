"""Where `render` finds Secrets, ConfigMaps and ServiceAccounts: in files, on the command line, in a cluster.

What the command line says wins over files, files over the cluster. Each object of the cluster is read once, so that all
that is rendered comes from the same values. Values are held and handed out, never shown. One thread.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from virtual_kubelet_salad.commands.manifests import Document
from virtual_kubelet_salad.config_values import SecretValue
from virtual_kubelet_salad.errors import Error, NotFound
from virtual_kubelet_salad.kube import resources, shapes

Object = dict[str, Any]

KINDS = ("Secret", "ConfigMap", "ServiceAccount")
MASK = "********"


class Cluster(Protocol):
    """What is asked of `kube.client.ApiServer`."""

    def get(self, path: str) -> Object: ...


class GivenSources:
    """Implements `kubelet.planning.SourceReader`."""

    def __init__(self, cluster: Cluster | None = None) -> None:
        self._cluster = cluster
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._values: dict[tuple[str, str], dict[str, str]] = {}
        self._asked: dict[str, Object | Error] = {}

    def add(self, documents: Sequence[Document], default_namespace: str, problems: list[str]) -> None:
        """Takes the Secrets, ConfigMaps and ServiceAccounts among the documents; what is wrong with them goes to
        `problems`.
        """
        for document in documents:
            if document.kind in KINDS and document.api_version == "v1":
                found = shapes.examine(document.kind, document.manifest).wrong or _bad_values(document)
                problems += [f"{document.place} ({document.kind} {document.name}): {problem}" for problem in found]
                namespace = document.manifest["metadata"].get("namespace") or default_namespace
                if not found:
                    self._objects[document.kind, namespace, document.name] = _as_stored(document)

    def set_values(self, values: Sequence[SecretValue]) -> None:
        """Adds single keys to Secrets, or makes such Secrets."""
        for one in values:
            data = self._values.setdefault((one.namespace, one.name), {})
            data[one.key] = _encoded(one.value)

    def secret(self, namespace: str, name: str, *, not_before: float) -> Object:
        values = self._values.get((namespace, name), {})
        try:
            found = self._find("Secret", namespace, name, resources.secret)
        except NotFound:
            if not values:
                raise
            found = {"kind": "Secret", "metadata": {"namespace": namespace, "name": name}}
        return {**found, "data": {**(found.get("data") or {}), **values}}

    def config_map(self, namespace: str, name: str, *, not_before: float) -> Object:
        return self._find("ConfigMap", namespace, name, resources.config_map)

    def pull_secrets_of(self, namespace: str, service_account: str) -> list[Object]:
        """The pull secrets that the API server gives to pods of the account that name none; an account that nobody
        knows has none. Raises CouldNotAsk, Forbidden.
        """

        def path(namespace: str, name: str) -> str:
            return resources.namespaced("serviceaccounts", namespace, name)

        try:
            account = self._find("ServiceAccount", namespace, service_account, path)
        except NotFound:
            return []
        return list(account.get("imagePullSecrets") or [])

    def _find(self, kind: str, namespace: str, name: str, path: Callable[[str, str], str]) -> Object:
        given = self._objects.get((kind, namespace, name))
        if given is not None:
            return given
        if self._cluster is None:
            raise NotFound(f"{kind} {namespace}/{name}")
        place = path(namespace, name)
        if place not in self._asked:
            try:
                self._asked[place] = self._cluster.get(place)
            except Error as error:
                self._asked[place] = error
        answer = self._asked[place]
        if isinstance(answer, Error):
            raise answer
        return answer


class MaskedSources:
    """The same sources with asterisks in place of every value of a Secret: a value that is made with them shows where
    a Secret's value stands in the real one. An empty value stays empty.
    """

    def __init__(self, sources: GivenSources, *, never_lengthens: bool = False) -> None:
        """`never_lengthens`: a mask is no longer than its value, so that no limit is broken that the value keeps."""
        self._sources = sources
        self._never_lengthens = never_lengthens

    def secret(self, namespace: str, name: str, *, not_before: float) -> Object:
        secret = self._sources.secret(namespace, name, not_before=not_before)
        return {**secret, "data": {key: self._masked(value) for key, value in (secret.get("data") or {}).items()}}

    def config_map(self, namespace: str, name: str, *, not_before: float) -> Object:
        return self._sources.config_map(namespace, name, not_before=not_before)

    def _masked(self, encoded: str | None) -> str:
        try:
            length = len(base64.b64decode(encoded or "", validate=True).decode())
        except (binascii.Error, ValueError):
            return encoded or ""  # it is no text, and never becomes one
        return _encoded(MASK[:length] if self._never_lengthens else MASK if length else "")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _as_stored(document: Document) -> Object:
    """A Secret may be written in plain text, and its base64 in several lines; it is stored as base64 in one."""
    if document.kind != "Secret":
        return document.manifest
    data = {key: _in_one_line(value) for key, value in (document.manifest.get("data") or {}).items()}
    plain = {key: _encoded(value) for key, value in (document.manifest.get("stringData") or {}).items()}
    return {**document.manifest, "data": {**data, **plain}}


def _bad_values(document: Document) -> list[str]:
    if document.kind != "Secret":
        return []
    data: Mapping[str, str] = document.manifest.get("data") or {}
    return [
        f"data.{key}: must be base64 (plain text goes into stringData)"
        for key, value in data.items()
        if not _is_base64(_in_one_line(value))
    ]


def _in_one_line(value: str) -> str:
    return value.replace("\n", "").replace("\r", "")


def _is_base64(value: str) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
