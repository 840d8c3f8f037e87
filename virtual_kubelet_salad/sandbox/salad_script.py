"""What a simulated container does once it runs: print lines, and end after a time with an exit code, or go on for
ever.

Two sources: environment variables that start with `SIM_`, and commands simple enough to be understood (`sleep 5`, `sh
-c "echo hello; exit 3"`). Whatever is not understood is a program that runs for ever.

    SIM_EXIT="3 after 5s"       exit code 3, five seconds after the start
    SIM_EXIT="137 after 2s oom" the same, reported as out of memory
    SIM_EXIT="0"                ends at once
    SIM_EXIT_EVENT="lost"       no log entry tells of an exit; the group's own system log does. "none": nothing does
    SIM_START="fail"            the command cannot be started: start failures, on machine after machine
    SIM_START="stuck"           stays in `creating` for ever, without any event
    SIM_IMAGE="fail <text>"     the image cannot be prepared; <text> becomes the group's description
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence

_EXIT = re.compile(r"(?P<code>-?\d+)(?:\s+after\s+(?P<seconds>\d+(?:\.\d+)?)s?)?(?P<oom>\s+oom)?")
_SHELLS = {"sh", "bash", "ash", "dash"}
_FOR_EVER_SECONDS = 2_147_483_647.0  # the usual way to write "for ever" where `sleep infinity` does not work
_MISSING_IMAGE = "does-not-exist"
_MISSING_PROGRAM = "no-such-command"
_PRIVATE_REGISTRY = "private."


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """`exit_code` None: runs for ever. `image_failure` is the text for the group's description; `start` is "ok",
    "fail" or "stuck"; `exit_event` is "told", "lost" or "none".
    """

    exit_code: int | None = None
    after_seconds: float = 0.0
    out_of_memory: bool = False
    exit_event: str = "told"
    start: str = "ok"
    image_failure: str | None = None
    lines: tuple[str, ...] = ()


def read_script(
    image: str, command: Sequence[str] | None, environment: Mapping[str, str], has_credentials: bool
) -> Script:
    """What a container of this image and command does. Never fails: what cannot be understood runs for ever."""
    script = _of_command(list(command or ()))
    image_failure = _image_failure(image, environment.get("SIM_IMAGE", ""), has_credentials)
    start = environment.get("SIM_START", script.start)
    written = _EXIT.fullmatch(environment.get("SIM_EXIT", "").strip())
    if written is not None:
        script = dataclasses.replace(
            script,
            exit_code=int(written["code"]),
            after_seconds=float(written["seconds"] or 0),
            out_of_memory=bool(written["oom"]),
        )
    exit_event = environment.get("SIM_EXIT_EVENT", "")
    return dataclasses.replace(
        script,
        exit_event=exit_event if exit_event in ("lost", "none") else "told",
        start=start if start in ("fail", "stuck") else "ok",
        image_failure=image_failure,
    )


def _image_failure(image: str, wish: str, has_credentials: bool) -> str | None:
    if wish.startswith("fail"):
        return wish.removeprefix("fail").strip() or "The image could not be prepared"
    if _MISSING_IMAGE in image:
        return "The image could not be pulled: manifest unknown"
    if image.startswith(_PRIVATE_REGISTRY) and not has_credentials:
        return "The image could not be pulled: authentication required"
    return None


def _of_command(command: list[str]) -> Script:
    if not command:
        return Script()
    program = command[0].rsplit("/", 1)[-1]
    if program == _MISSING_PROGRAM:
        return Script(start="fail")
    if program in _SHELLS and len(command) >= 3 and command[1] in ("-c", "-ec", "-xc"):
        return _of_shell(command[2])
    return _of_steps([command])


def _of_shell(source: str) -> Script:
    try:
        steps = [shlex.split(step) for step in re.split(r"&&|[;\n]", source) if step.strip()]
    except ValueError:
        return Script()
    return _of_steps(steps)


def _of_steps(steps: list[list[str]]) -> Script:
    """The commands one after the other, as long as each is one of the few known ones."""
    seconds, code, lines = 0.0, 0, []
    for step in steps:
        program, *arguments = [step[0].rsplit("/", 1)[-1], *step[1:]]
        if program == "echo":
            lines.append(" ".join(arguments))
        elif program == "sleep" and len(arguments) == 1 and re.fullmatch(r"\d+(\.\d+)?", arguments[0]):
            seconds += float(arguments[0])
        elif program in ("true", "false", ":"):
            code = 1 if program == "false" else 0
        elif program == "exit" and len(arguments) <= 1 and re.fullmatch(r"\d{1,3}", (arguments or ["0"])[0]):
            code = int((arguments or ["0"])[0]) % 256
            break
        else:
            return Script(lines=tuple(lines))
    if seconds >= _FOR_EVER_SECONDS:
        return Script(lines=tuple(lines))
    return Script(exit_code=code, after_seconds=seconds, lines=tuple(lines))
