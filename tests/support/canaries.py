"""Values that are easy to find again, in whatever form they turn up.

A canary has a core of letters and digits that nothing else contains; around it are characters that JSON, HTML, shells
and URLs escape. The core is searched for as it is and as base64 (of it, of something that contains it, and of the
base64 of that), at every alignment.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

_CORE_CHARACTERS = 24
# What is shorter could be found by chance.
_LEAST_TERM_CHARACTERS = 12
# base64 writes three bytes as four characters: so many of the first ones depend on what stands before.
_UNSTEADY_AT_BEGIN = (0, 2, 3)


class Canary:
    """One secret value. Two of one name are the same."""

    def __init__(self, name: str) -> None:
        self.name = name
        digest = hashlib.sha256(name.encode()).hexdigest()
        self.core = f"Kanarie{digest}"[:_CORE_CHARACTERS]
        encoded = set(_encoded(self.core))
        self._terms = {self.core, *encoded, *(twice for once in encoded for twice in _encoded(once))}

    @property
    def text(self) -> str:
        """With everything around the core that has to be escaped somewhere."""
        return f"{self.name} \"{self.core}' <&>\\ $HOME %41 ü"

    @property
    def word(self) -> str:
        """Where only one plain word is taken."""
        return f"{self.name}-{self.core}"

    def is_in(self, text: str) -> bool:
        return any(term in text for term in self._terms)


def _encoded(text: str) -> Iterable[str]:
    """What is the same of every base64 that the text is in, for each of the three ways in which it can lie there."""
    for offset, unsteady in enumerate(_UNSTEADY_AT_BEGIN):
        written = base64.b64encode(b"\0" * offset + text.encode()).decode()
        steady = written[unsteady : len(written) - 4 if (offset + len(text)) % 3 else len(written)]
        assert len(steady) >= _LEAST_TERM_CHARACTERS
        yield steady
        yield steady.replace("+", "-").replace("/", "_")


def found(canaries: Iterable[Canary], places: Mapping[str, str]) -> list[str]:
    """Which canary is in which of the named texts; empty: none in any."""
    return [f"{canary.name} in {place}" for canary in canaries for place, text in places.items() if canary.is_in(text)]
