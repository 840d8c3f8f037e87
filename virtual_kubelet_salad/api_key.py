"""Holds the SaladCloud API key and never shows it.

A key from a file is read again when the file changes, so that a rotated Secret needs no restart. Safe to call from any
thread. A file that cannot be read, or holds no key, leaves the last good key in use and is logged once per change.
"""

from __future__ import annotations

import logging
import os
import threading

from virtual_kubelet_salad import config_values

_log = logging.getLogger(__name__)

# mtime and ctime in ns, size, inode: a mounted Secret that changes is a new file behind a symlink
_FileVersion = tuple[int, int, int, int]


class ApiKeySource:
    """Where the key comes from; use `given` or `from_file`."""

    def __init__(self, key: str, path: str | None, version: _FileVersion | None) -> None:
        self._key = key
        self._path = path
        self._version = version
        self._lock = threading.Lock()

    @classmethod
    def given(cls, key: str) -> ApiKeySource:
        """A key that stays the same for the life of the process."""
        return cls(key, None, None)

    @classmethod
    def from_file(cls, path: str) -> ApiKeySource:
        """A key in a file; raises `config_values.BadValue` when it cannot be read or holds no key."""
        version = _version_of(path)
        return cls(_read(path), path, version)

    def api_key(self) -> str:
        """The key to send now."""
        if self._path is None:
            return self._key
        with self._lock:
            self._read_again_if_changed(self._path)
            return self._key

    def __repr__(self) -> str:
        return f"ApiKeySource({'given' if self._path is None else 'from a file'})"

    def _read_again_if_changed(self, path: str) -> None:
        # The version is taken before the content: a change between the two is seen at the next call.
        version = _version_of(path)
        if version == self._version:
            return
        self._version = version
        try:
            self._key = _read(path)
        except config_values.BadValue as problem:
            _log.warning("API key file not used, the last good key stays problem=%r", str(problem))
        else:
            _log.info("API key file read again")


def _version_of(path: str) -> _FileVersion | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None  # the read that follows says why
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().strip()
    except OSError as error:
        raise config_values.BadValue(f"must name a file that can be read ({error.strerror})") from None
    except ValueError:
        raise config_values.BadValue("must name a text file") from None
    try:
        return config_values.api_key(text)
    except config_values.BadValue:
        raise config_values.BadValue("must name a file that holds the API key and nothing else") from None
