"""What a waiting pod's message says at its end: since when it waits, and what happens next. Pure.

`kubectl describe` shows the message of a pod and only the reason of its container, so this is where a reader looks.
Times are moments and never durations: a text that stays true need not be written again.
"""

from __future__ import annotations

import datetime
import re

from virtual_kubelet_salad.kubelet import pods

# pods/status.message and a container's waiting message have no limit of their own; a screen has.
MESSAGE_LENGTH = 1_000

_PROSPECT = re.compile(r" \((?:waiting )?since [^ ;()]+(?:; [^()]*)?\)$")


def of_stage(text: str, since: datetime.datetime) -> str:
    """A text about something that goes on since that moment."""
    return _joined(text, f"since {pods.format_time(since)}")


def of_wait(text: str, since: datetime.datetime, then: str = "") -> str:
    """A text about what the pod waits for; it has been waiting, for this or something else, since that moment."""
    return _joined(text, f"waiting since {pods.format_time(since)}" + (f"; {then}" if then else ""))


def without(message: str) -> str:
    """The text that `of_stage` or `of_wait` was given, if it was not cut."""
    return _PROSPECT.sub("", message)


def _joined(text: str, prospect: str) -> str:
    if not text:
        return ""
    end = f" ({prospect})"
    return text[: MESSAGE_LENGTH - len(end)] + end
