"""What the cluster tests build of Kubernetes: the control plane, and metrics-server beside it.

Prebuilt binaries of the control plane are used when `KUBEBUILDER_ASSETS` names a directory that has all five.
Runnable: `python -m tests.support.control_plane_build` builds what is missing and prints the directories.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Mapping

from tests.support.go_build import CannotBuild, Recipe, built

_RECIPES = pathlib.Path(__file__).parent.parent / "cluster"
CONTROL_PLANE = Recipe(
    name="control-plane",
    directory=_RECIPES / "control_plane",
    module="k8s.io/kubernetes",
    binaries=("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
    duration="about four minutes",
    renamed={"server": "etcd"},
)
# Not in the control plane's go.mod, whose modules would have to be newer then: every change of either would build both.
METRICS_SERVER = Recipe(
    name="metrics-server",
    directory=_RECIPES / "metrics_server",
    module="sigs.k8s.io/metrics-server",
    binaries=("metrics-server",),
    duration="about two minutes",
)


def binaries(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """The directory that holds the control plane and kubectl; built first where it is absent.

    Raises CannotBuild. Takes minutes when it has to build.
    """
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets and CONTROL_PLANE.is_complete(pathlib.Path(assets)):
        return pathlib.Path(assets)
    return built(CONTROL_PLANE, environ)


def metrics_server(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """The program; built first where it is absent. Raises CannotBuild, and takes as long as `binaries`."""
    return built(METRICS_SERVER, environ) / "metrics-server"


def kubernetes_version() -> str:
    """The version of Kubernetes that the recipe names, e.g. v1.36.3."""
    return CONTROL_PLANE.version()


if __name__ == "__main__":
    try:
        print(binaries())
        print(metrics_server().parent)
    except CannotBuild as problem:
        sys.exit(f"{problem}")
