"""The subcommand `sandbox`: its command line, and the daemon as the sandbox starts it.

The daemon is the real one, started as in a cluster, on its own thread; only what it talks to is simulated. Ctrl-C (or
SIGTERM) stops everything in order, also during the start: what takes time to load is loaded when signals are heeded.
"""

from __future__ import annotations

import logging
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from virtual_kubelet_salad import config, errors, logs
from virtual_kubelet_salad import config_values as values
from virtual_kubelet_salad.config_options import Option
from virtual_kubelet_salad.sandbox import manifests, samples
from virtual_kubelet_salad.sandbox.salad_settings import PROFILES
from virtual_kubelet_salad.signals import StopSignals

PROGRAM = "virtual-kubelet-salad sandbox"
DESCRIPTION = """\
Shows a node for SaladCloud at work: a simulated SaladCloud, an API server and the daemon in one command. Needs neither
a cluster nor a key. The API server is the real one when KUBEBUILDER_ASSETS names a directory with etcd, kube-apiserver,
kube-scheduler and kube-controller-manager, else a minimal one. Ctrl-C ends it."""

OPTIONS = (
    Option(
        "--apply",
        "FILE",
        values.readable_file,
        None,
        "YAML file with Pods, Deployments, Jobs and what they need; none: samples",
    ),
    Option(
        "--profile",
        "NAME",
        values.one_of(*PROFILES),
        "default",
        "how long SaladCloud takes: fast (2 s to a running pod), default (15 s) or realistic (4 min)",
    ),
    Option(
        "--seed",
        "N",
        values.whole_number(0, 2**31),
        None,
        "makes the simulation repeatable; none: a random one, which is printed",
    ),
    Option("--port", "PORT", values.whole_number(0, 65535), "0", "port of the API server; 0: any free one"),
    Option(
        "--until-ready",
        "BOOL",
        values.switch,
        "false",
        "end with exit code 0 once each pod is ready, finished or refused",
    ),
    Option(
        "--timeout",
        "TIME",
        values.duration(1, 86_400),
        "300s",
        "with --until-ready: end with exit code 1 after this time",
    ),
    Option("--log-level", "LEVEL", values.log_level, "warning", "log of the daemon: debug, info, warning or error"),
)

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Runs the sandbox until it is stopped; the exit code. Raises `config.ConfigProblems`."""
    with StopSignals() as stop_requested:
        _stop_when_the_terminal_closes()
        return _run(arguments, stop_requested)


def _run(arguments: Sequence[str], stop_requested: threading.Event) -> int:
    options = config.parse_options(OPTIONS, arguments, os.environ, program=PROGRAM, description=DESCRIPTION)
    wanted = _manifests(options["apply"])
    from virtual_kubelet_salad.sandbox import session  # here and below, because they load the servers and the clients

    assets = os.environ.get("KUBEBUILDER_ASSETS")
    settings = session.Settings(
        manifests=wanted,
        profile=options["profile"],
        seed=options["seed"],
        port=options["port"],
        until_ready=options["until_ready"],
        timeout_seconds=options["timeout"],
        binaries=pathlib.Path(assets) if assets else None,
    )
    daemon = session.Daemon(_run_daemon, lambda: logs.set_up(options["log_level"], "text"))
    try:
        return session.Session(settings, daemon, stop_requested).run()
    except BrokenPipeError:
        # Whoever read our output has gone, as in `sandbox | head`; the interpreter must not find that out once more.
        _silence(sys.stdout)
        return session.EXIT_FAILED


def _stop_when_the_terminal_closes() -> None:
    """A closed terminal asks for the stop too, unless the sandbox was started to outlive it (nohup)."""

    def stop(number: int, frame: object) -> None:
        _silence(sys.stdout, sys.stderr)  # both lead to the terminal that is gone, or to nobody who waits for more
        os.kill(os.getpid(), signal.SIGTERM)

    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, stop)


def _silence(*streams: TextIO) -> None:
    """What is written from now on goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _manifests(path: str | None) -> list[manifests.Manifest]:
    if path is None:
        return manifests.parse_manifests(samples.SAMPLE)
    try:
        return manifests.read_manifests(pathlib.Path(path))
    except manifests.BadManifest as bad:
        raise config.ConfigProblems([f"--apply: {bad}"]) from None


def _run_daemon(arguments: Sequence[str], stop_requested: threading.Event) -> int:
    """The real daemon, with a key that opens nothing."""
    from virtual_kubelet_salad import app

    try:
        return app.run(config.load(arguments, {"SALAD_CLOUD_API_KEY": "sandbox"}), stop_requested)
    except errors.Error as error:
        _log.error("the daemon cannot run problem=%r", str(error))
        return 1
