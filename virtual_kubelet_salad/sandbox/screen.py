"""What every way of showing the sandbox is given: a head that stays, and pictures."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from virtual_kubelet_salad.sandbox.picture import Picture


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """What does not change while the sandbox runs."""

    title: str
    kubectl: str
    """The command that makes kubectl talk to this cluster."""


class Screen(Protocol):
    """Where pictures go. Used by one thread."""

    def show(self, picture: Picture) -> None: ...

    def finish(self, picture: Picture) -> None:
        """The last picture."""
