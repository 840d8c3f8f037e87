"""A server that misbehaves on demand, and informers that follow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.faulty_api import FaultyApi
from tests.support.followed import Followed


@pytest.fixture
def api() -> Iterator[FaultyApi]:
    server = FaultyApi()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def follow(api: FaultyApi) -> Iterator[Callable[..., Followed]]:
    started: list[Followed] = []

    def begin(**options: Any) -> Followed:
        followed = Followed(api.url, **options)
        started.append(followed)
        followed.informer.start()
        return followed

    yield begin
    for followed in started:
        assert followed.informer.stop()
