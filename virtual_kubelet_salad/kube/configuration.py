"""Finds the API server and the credentials for it: in the cluster, or from a kubeconfig.

The official loaders do the parsing. Two of their habits are replaced: a bearer token that lives in a file is read again
while the daemon runs (theirs is read once, or with its trailing newline), and a credential plugin runs on one thread at
a time and not at every request. Error texts name files and fields, never values: the library quotes whole users, tokens
included.
"""

from __future__ import annotations

import abc
import copy
import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, load_kube_config
from kubernetes.config.incluster_config import InClusterConfigLoader

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.runtime.clock import Clock, SystemClock

SERVICE_ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# The kubelet rewrites a projected token minutes before it expires; a 401 makes us read it at once all the same.
TOKEN_REREAD_SECONDS = 30.0
# A plugin's token is renewed by the library five minutes before it ends; in those minutes it would run at every
# request.
PLUGIN_RECHECK_SECONDS = 30.0

logger = logging.getLogger(__name__)


class ConfigurationError(errors.Error):
    """The API server's address or credentials are missing or unusable; one clear line."""


def load_configuration(
    kubeconfig: str | None,
    *,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT_DIRECTORY,
    clock: Clock | None = None,
) -> Configuration:
    """The client's configuration: of this pod's service account when `kubeconfig` is None, else of that file (or files,
    separated as in $KUBECONFIG).

    Raises ConfigurationError. Reads files, and runs the kubeconfig's credential plugin if it has one.
    """
    clock = clock if clock is not None else SystemClock()
    if kubeconfig is None:
        return _in_cluster(environ, service_account, clock)
    return _from_kubeconfig(kubeconfig, clock)


def _in_cluster(environ: Mapping[str, str], service_account: Path, clock: Clock) -> Configuration:
    configuration = Configuration()
    token_file = service_account / "token"
    loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
        token_filename=str(token_file),
        cert_filename=str(service_account / "ca.crt"),
        try_refresh_token=False,
        environ=environ,
    )
    try:
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise ConfigurationError(f"no kubeconfig is given, and this is no pod of a cluster: {error}") from error
    _use_token_file(configuration, token_file, clock)
    return configuration


def _from_kubeconfig(kubeconfig: str, clock: Clock) -> Configuration:
    user, directory = _active_user(kubeconfig)
    configuration = Configuration()
    try:
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig, client_configuration=configuration, persist_config=False
        )
    except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(f"kubeconfig {kubeconfig}: {_without_values(error)}") from None
    if not configuration.host.startswith(("https://", "http://")):
        raise ConfigurationError(f"kubeconfig {kubeconfig}: the cluster's server is no http or https URL")
    if isinstance(user.get("tokenFile"), str):
        _use_token_file(configuration, directory / user["tokenFile"], clock)
    elif configuration.refresh_api_key_hook is not None:
        configuration.refresh_api_key_hook = _PluginToken(configuration.refresh_api_key_hook, clock)
    elif "exec" in user and configuration.cert_file is None:
        raise ConfigurationError(f"kubeconfig {kubeconfig}: its credential plugin gave neither token nor certificate")
    return configuration


def _active_user(kubeconfig: str) -> tuple[dict[str, Any], Path]:
    """The user of the current context, and the directory that its relative paths start from; ({}, …) when there is
    none.

    Several files are merged as the official loader does it: the first one that defines a name wins, the last one that
    sets current-context.
    """
    users: dict[str, tuple[dict[str, Any], Path]] = {}
    contexts: dict[str, str] = {}
    current = None
    for path in [Path(part).expanduser() for part in kubeconfig.split(os.pathsep) if part]:
        document = _read_yaml(path)
        for entry in _named(document, "users"):
            users.setdefault(entry["name"], (_mapping(entry.get("user")), path.parent))
        for entry in _named(document, "contexts"):
            contexts.setdefault(entry["name"], str(_mapping(entry.get("context")).get("user", "")))
        current = document.get("current-context", current)
    if not isinstance(current, str) or current not in contexts:
        raise ConfigurationError(f"kubeconfig {kubeconfig}: its current-context is not among its contexts")
    return users.get(contexts[current], ({}, Path()))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"kubeconfig {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ConfigurationError(f"kubeconfig {path}: not YAML") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"kubeconfig {path}: not a kubeconfig")
    return document


def _named(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key)
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("name"), str)]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _without_values(error: Exception) -> str:
    """The library's complaint up to the place where it starts to quote the file."""
    if isinstance(error, ConfigException):
        return str(error).split(" in ", 1)[0][:200]
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return type(error).__name__


def _use_token_file(configuration: Configuration, path: Path, clock: Clock) -> None:
    hook = _TokenFile(path, clock)
    try:
        hook(configuration)
    except OSError as error:
        raise ConfigurationError(f"token file {path}: {error.strerror}") from error
    configuration.refresh_api_key_hook = hook  # type: ignore[assignment]


class _Refresh(abc.ABC):
    """Renews a credential before requests: at most once per period, on one thread at a time; the others go on with what
    is there.
    """

    def __init__(self, period_seconds: float, clock: Clock) -> None:
        self._period_seconds = period_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._next: float | None = None

    def __call__(self, configuration: Configuration) -> None:
        """The official client calls it before each request."""
        if self._next is not None and self._clock.monotonic() < self._next:
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            self.renew(configuration)
            self._next = self._clock.monotonic() + self._period_seconds
        finally:
            self._lock.release()

    def forget(self) -> None:
        """The credential was refused: look for a new one before the next request."""
        self._next = None

    @abc.abstractmethod
    def renew(self, configuration: Configuration) -> None:
        """Put what is valid now into `configuration.api_key`. Raises OSError when there has never been anything."""


class _TokenFile(_Refresh):
    """A bearer token in a file that somebody else keeps fresh."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(TOKEN_REREAD_SECONDS, clock)
        self._path = path
        self._has_token = False

    def renew(self, configuration: Configuration) -> None:
        try:
            token = self._path.read_text(encoding="utf-8").strip()
            if not token:
                raise FileNotFoundError(0, "the file is empty")
        except OSError as error:
            if not self._has_token:
                raise
            logger.warning("token file not readable, the last one is kept path=%s error=%s", self._path, error.strerror)
            return
        configuration.api_key["BearerToken"] = f"Bearer {token}"
        self._has_token = True


class _PluginToken(_Refresh):
    """A token that the official loader renews, by a plugin or an identity provider."""

    def __init__(self, renew: Callable[[Configuration], None], clock: Clock) -> None:
        super().__init__(PLUGIN_RECHECK_SECONDS, clock)
        self._renew = renew

    def renew(self, configuration: Configuration) -> None:
        # The official hook also puts itself in our place; so it gets a copy, which shares the tokens.
        official = copy.copy(configuration)
        try:
            self._renew(official)
        except ConfigException as error:
            logger.warning("credentials not renewed, the last ones are kept error=%s", _without_values(error))
