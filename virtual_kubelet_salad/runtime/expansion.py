"""Kubernetes' `$(VAR)` references in a text: replaced by the variable's value, `$$` by `$`.

Guarantees: a reference to no variable stays as written, and so does a `$` that begins nothing. Pure and total. Source:
k8s.io/kubernetes/third_party/forked/golang/expansion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:(?P<escape>\$)|\((?P<name>[^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with every reference to one of `variables` replaced; values are not expanded again."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match["escape"] else variables.get(match["name"], match[0])

    return _REFERENCE.sub(replacement, text)
