"""What SaladCloud and the API server do wrong while the daemon is killed."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.support.cloud_process import ApiServerProcess, Cloud

# How long a request hangs before its connection ends: the daemon's own patience would be most of a test.
HANG_SECONDS = 3.0
# Until an event can be read.
MOST_LAG_SECONDS, MOST_LAG_OF_LATE_EVENTS_SECONDS = 1.0, 4.0
RETRY_AFTER_SECONDS = 5.0
# How long each of them may keep a daemon from deleting what nobody wants any more.
LATENCY_SECONDS = HANG_SECONDS + MOST_LAG_OF_LATE_EVENTS_SECONDS + RETRY_AFTER_SECONDS
# Each may come before the request takes effect or after.
LOST_ANSWERS = ("500", "502", "503", "504", "408", "garbage", "html200", "reset", "hang")
REFUSALS = ("401", "403", "429", "429-retry-after")
# None: whatever comes next. The first thing that each daemon asks for would be all that fails otherwise.
FAILING_OPERATIONS = ("create_container_group", "delete_container_group", None)
# Of the API server: what the daemon writes, and its watch; nothing that anybody else asks for while a daemon lives.
API_FAULTS: tuple[Mapping[str, object], ...] = (
    {"kind": "status", "code": 503, "method": "PATCH", "path_part": "/status"},
    {"kind": "status", "code": 409, "method": "PATCH", "path_part": "/status"},
    {"kind": "status", "code": 429, "retry_after_seconds": 1, "method": "PATCH", "path_part": "/status"},
    {"kind": "close", "method": "PATCH", "path_part": "/status"},
    {"kind": "close_after", "method": "PATCH", "path_part": "/status"},
    {"kind": "close", "method": "DELETE", "path_part": "/pods/"},
    {"kind": "close_after", "method": "DELETE", "path_part": "/pods/"},
    {"kind": "status", "code": 503, "method": "POST", "path_part": "/events"},
    {"kind": "status", "code": 503, "watches": True},
    {"kind": "end_watch"},
    {"kind": "gone_event"},
)


class Misfortune:
    """New troubles for each life of the daemon. A real API server does nothing wrong on request."""

    def __init__(self, cloud: Cloud, chance: random.Random, api_server: ApiServerProcess | None = None) -> None:
        self._cloud = cloud
        self._chance = chance
        self._api_server = api_server
        cloud.control("configure", hang=HANG_SECONDS)

    def strike(self) -> None:
        """Often some requests fail, sometimes events come late."""
        chance = self._chance
        for _ in range(chance.choice((0, 0, 1, 1, 2))):
            kind = chance.choice((*LOST_ANSWERS, *REFUSALS))
            is_applied = kind in LOST_ANSWERS and chance.random() < 0.5
            operation = chance.choice(FAILING_OPERATIONS)
            count = chance.randint(1, 3)
            self._cloud.control("fail_next", count=count, kind=kind, applied=is_applied, operation=operation)
        for _ in range(chance.choice((0, 0, 0, 1, 2)) if self._api_server is not None else 0):
            self._api_fails(chance.choice(API_FAULTS))
        most = MOST_LAG_OF_LATE_EVENTS_SECONDS if chance.random() < 0.3 else MOST_LAG_SECONDS
        self._cloud.control("configure", log_lag_max=most)

    def end(self) -> None:
        """Nothing fails any more."""
        self._cloud.control("clear_faults")
        self._cloud.control("configure", log_lag_max=MOST_LAG_SECONDS)
        if self._api_server is not None:
            self._api_server.clear_faults()

    def _api_fails(self, fault: Mapping[str, object]) -> None:
        assert self._api_server is not None
        self._api_server.fault(**fault, times=self._chance.randint(1, 2))
