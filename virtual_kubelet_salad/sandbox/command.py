"""The subcommand `sandbox`: SaladCloud, an API server and the daemon in one process on loopback, shown live.

Needs neither a cluster nor a key. The daemon is the real one, started as in a cluster, on its own thread; only the two
servers it talks to are simulated. Ctrl-C (or SIGTERM) stops everything in order.
"""

from __future__ import annotations

import itertools
import os
import pathlib
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from virtual_kubelet_salad import app, config, logs
from virtual_kubelet_salad import config_values as values
from virtual_kubelet_salad.config_options import Option
from virtual_kubelet_salad.runtime.clock import SystemClock
from virtual_kubelet_salad.sandbox import api_http, salad_http, view
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.api_resources import RESOURCES
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import PROFILES
from virtual_kubelet_salad.sandbox.picture import Picture
from virtual_kubelet_salad.sandbox.samples import SAMPLE
from virtual_kubelet_salad.signals import StopSignals

PROGRAM = "virtual-kubelet-salad sandbox"
EXIT_NOT_READY = 1
REDRAW_SECONDS = 1.0
NODE_SECONDS = 30.0

OPTIONS = (
    Option("--apply", "FILE", values.readable_file, None, "manifest with pods to run; none: three samples"),
    Option(
        "--profile",
        "NAME",
        values.one_of(*sorted(PROFILES)),
        "default",
        f"how long SaladCloud takes: {', '.join(sorted(PROFILES))}",
    ),
    Option("--seed", "N", values.whole_number(0, 2**31), None, "makes the simulators repeatable; none: a random one"),
    Option("--port", "PORT", values.whole_number(0, 65535), "0", "port of the API server; 0: any free one"),
    Option("--until-ready", "BOOL", values.switch, "false", "end with exit code 0 when all pods are ready or finished"),
    Option("--timeout", "TIME", values.duration(1, 86_400), "300s", "with --until-ready: exit code 1 after this time"),
    Option("--log-level", "LEVEL", values.log_level, "warning", "debug, info, warning or error"),
)


def main(arguments: Sequence[str]) -> int:
    """Runs the sandbox until it is stopped; the exit code. Raises `config.ConfigProblems`."""
    environ: Mapping[str, str] = {}
    options = config.parse_options(OPTIONS, arguments, environ, program=PROGRAM, description=__doc__.split("\n\n")[1])
    manifests = read_manifests(options["apply"])
    logs.set_up(options["log_level"], "text")
    with StopSignals() as stop_requested, tempfile.TemporaryDirectory(prefix="virtual-kubelet-salad-") as directory:
        return _Sandbox(options, pathlib.Path(directory), stop_requested).run(manifests)


def read_manifests(path: str | None) -> list[dict[str, Any]]:
    """The objects of a YAML file, Lists opened. Raises `ConfigProblems` with what is wrong and where."""
    text = SAMPLE if path is None else pathlib.Path(path).read_text(encoding="utf-8")
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise config.ConfigProblems([f"--apply: the file is no YAML{where}"]) from None
    found = list(itertools.chain.from_iterable(_items(document) for document in documents))
    for number, item in enumerate(found, 1):
        if not isinstance(item, dict) or not {"apiVersion", "kind", "metadata"} <= item.keys():
            raise config.ConfigProblems([f"--apply: object {number} needs apiVersion, kind and metadata"])
    if not found:
        raise config.ConfigProblems(["--apply: the file holds no object"])
    return found


def _items(document: Any) -> list[Any]:
    if isinstance(document, dict) and document.get("kind") == "List":
        return list(document.get("items") or [])
    return [document]


def collection_path(manifest: Mapping[str, Any]) -> str | None:
    """Where an object is created; None for a kind that the minimal API server does not know."""
    for resource in RESOURCES:
        if (manifest["apiVersion"], manifest["kind"]) == (resource.api_version, resource.kind):
            root = f"/apis/{resource.api_version}" if resource.group else f"/api/{resource.version}"
            if not resource.namespaced:
                return f"{root}/{resource.plural}"
            return f"{root}/namespaces/{manifest['metadata'].get('namespace', 'default')}/{resource.plural}"
    return None


class _Sandbox:
    """One run of the sandbox."""

    def __init__(self, options: Mapping[str, Any], directory: pathlib.Path, stop_requested: threading.Event) -> None:
        self._options = options
        self._stop_requested = stop_requested
        self._kubeconfig = directory / "kubeconfig"
        seed = options["seed"]
        self._seed = int.from_bytes(os.urandom(3)) if seed is None else int(seed)
        self._clock = clock = SystemClock()
        cloud_model = SaladCloudModel(clock, PROFILES[options["profile"]], self._seed)
        self._cloud = salad_http.SaladCloudServer(cloud_model, seed=self._seed)
        api_model = ApiServerModel(clock, seed=self._seed)
        self._api = api_http.ApiServer(api_model, port=options["port"], clock=clock)
        self._exit_code = 0

    def run(self, manifests: list[dict[str, Any]]) -> int:
        self._cloud.start()
        self._api.start()
        daemon = threading.Thread(target=self._run_daemon, name="daemon")
        try:
            self._kubeconfig.write_text(api_http.kubeconfig(self._api.url), encoding="utf-8")
            daemon.start()
            problems = self._apply(manifests)
            for problem in problems:
                print(f"{PROGRAM}: {problem}", file=sys.stderr)
            if problems:
                self._exit_code = EXIT_NOT_READY
            else:
                self._show()
        finally:
            self._stop_requested.set()
            if daemon.ident is not None:
                daemon.join()
            self._api.stop()
            self._cloud.stop()
        return self._exit_code

    def _run_daemon(self) -> None:
        arguments = [
            "--kubeconfig", str(self._kubeconfig),
            "--sce-api-url", self._cloud.url,
            "--sce-organization-name", "sandbox",
            "--sce-project-name", "default",
            "--metrics-address", "127.0.0.1:0",
            "--node-ip", "127.0.0.1",
            "--poll-interval", "2s",
        ]  # fmt: skip
        settings = config.load(arguments, {"SALAD_CLOUD_API_KEY": "sandbox"})
        if app.run(settings, self._stop_requested) != 0:
            self._exit_code = EXIT_NOT_READY
        self._stop_requested.set()

    def _apply(self, manifests: list[dict[str, Any]]) -> list[str]:
        """Creates the objects; what the API server says against them."""
        problems = []
        for manifest in manifests:
            path = collection_path(manifest)
            name = f"{manifest['kind']} {manifest['metadata'].get('name', '')}"
            if path is None:
                problems.append(f"{name}: this API server does not know {manifest['apiVersion']} {manifest['kind']}")
                continue
            status, answer = self._api.serve("POST", path, {}, manifest, "application/json")
            if status >= 300:
                problems.append(f"{name}: {answer.get('message', status)}")
        return problems

    def _show(self) -> None:
        deadline = self._clock.monotonic() + self._options["timeout"]
        head = [
            f"seed {self._seed}, profile {self._options['profile']}",
            f"API server {self._api.url}   (kubectl --kubeconfig {self._kubeconfig} get pods -o wide)",
            f"SaladCloud {self._cloud.url}",
        ]
        with view.open_view(head) as screen:
            while not self._stop_requested.is_set():
                picture = self._picture()
                screen.show(picture)
                if self._options["until_ready"]:
                    if picture.is_settled():
                        return
                    if self._clock.monotonic() > deadline:
                        print(f"{PROGRAM}: not all pods became ready within --timeout", file=sys.stderr)
                        self._exit_code = EXIT_NOT_READY
                        return
                self._stop_requested.wait(REDRAW_SECONDS)

    def _picture(self) -> Picture:
        return Picture(
            nodes=self._list("/api/v1/nodes"),
            pods=self._list("/api/v1/pods"),
            groups=self._cloud.overview(),
            statistics=self._cloud.statistics(),
        )

    def _list(self, path: str) -> list[dict[str, Any]]:
        _, answer = self._api.serve("GET", path, {}, None, None)
        items: list[dict[str, Any]] = answer.get("items", [])
        return items
