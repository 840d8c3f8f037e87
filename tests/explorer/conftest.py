"""What all tests of the explorer share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Millions of log lines would only be thrown away."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
