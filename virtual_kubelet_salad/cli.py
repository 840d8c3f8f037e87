"""The command `virtual-kubelet-salad`: the first argument picks a subcommand, without one it is the daemon.

Exit codes: 0 an ordered stop, 1 a failure while running, 2 a command line that is not understood. Nothing here ever
sees the API key.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from virtual_kubelet_salad import config, errors, logs
from virtual_kubelet_salad.signals import StopSignals

_log = logging.getLogger(__name__)

_EXIT_FAILED = 1
_EXIT_USAGE = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `argv` is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except config.ConfigProblems as wrong:
        for problem in wrong.problems:
            print(f"{config.PROGRAM}: {problem}", file=sys.stderr)
        return _EXIT_USAGE


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        return _daemon(arguments)
    subcommand = _SUBCOMMANDS.get(arguments[0])
    if subcommand is None:
        known = ", ".join(sorted(_SUBCOMMANDS))
        raise config.ConfigProblems([f"the first argument is no subcommand ({known}) and no flag; see --help"])
    return subcommand(arguments[1:])


def _daemon(arguments: Sequence[str]) -> int:
    settings = config.load(arguments, subcommands=_SUBCOMMANDS)
    logs.set_up(settings.log_level, settings.log_format)
    with StopSignals() as stop_requested:
        from virtual_kubelet_salad import app  # here, because it loads the clients, which --help does not need

        try:
            return app.run(settings, stop_requested)
        except errors.Error as error:
            _log.error("the daemon cannot run problem=%r", str(error))
            return _EXIT_FAILED


def _sandbox(arguments: Sequence[str]) -> int:
    from virtual_kubelet_salad.sandbox.command import main as sandbox  # here, because the daemon never loads it

    return sandbox(arguments)


def _render(arguments: Sequence[str]) -> int:
    from virtual_kubelet_salad.commands.render import main as render

    return render(arguments)


def _gpu_classes(arguments: Sequence[str]) -> int:
    from virtual_kubelet_salad.commands.gpu_classes import main as gpu_classes

    return gpu_classes(arguments)


def _check(arguments: Sequence[str]) -> int:
    from virtual_kubelet_salad.commands.check import main as check

    return check(arguments)


def _cleanup(arguments: Sequence[str]) -> int:
    from virtual_kubelet_salad.commands.cleanup import main as cleanup

    return cleanup(arguments)


_SUBCOMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "check": _check,
    "cleanup": _cleanup,
    "gpu-classes": _gpu_classes,
    "render": _render,
    "sandbox": _sandbox,
}
