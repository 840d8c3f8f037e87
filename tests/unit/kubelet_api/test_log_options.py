from __future__ import annotations

import datetime
from urllib.parse import urlencode

import pytest

from virtual_kubelet_salad.kubelet_api import log_options
from virtual_kubelet_salad.kubelet_api.answers import Answered
from virtual_kubelet_salad.kubelet_api.log_options import LogOptions


def test_nothing_given_is_everything_there_is() -> None:
    assert log_options.parse("") == LogOptions()


def test_all_options_of_kubectl_are_read() -> None:
    query = urlencode(
        {
            "follow": "true",
            "previous": "1",
            "timestamps": "T",
            "tailLines": "0",
            "limitBytes": "7",
            "sinceTime": "2026-05-04T09:30:00.5Z",
            "insecureSkipTLSVerifyBackend": "true",
            "stream": "All",
        }
    )
    moment = datetime.datetime(2026, 5, 4, 9, 30, 0, 500_000, tzinfo=datetime.UTC)
    assert log_options.parse(query) == LogOptions(True, True, True, 0, 7, None, moment)
    assert log_options.parse("sinceSeconds=60").since_seconds == 60


@pytest.mark.parametrize(
    "query",
    [
        "follow=yes",
        "tailLines=-1",
        "tailLines=1.5",
        "tailLines=",
        "tailLines=²",
        "tailLines=10001",
        "limitBytes=0",
        "limitBytes=9999999999999999999999",
        "sinceSeconds=0",
        "sinceTime=yesterday",
        "sinceTime=2026-05-04T09:30:00",
        "sinceSeconds=1&sinceTime=2026-05-04T09:30:00Z",
        "stream=Stdout",
        "&".join(f"x{number}=1" for number in range(100)),
    ],
)
def test_what_is_wrong_is_a_bad_request(query: str) -> None:
    with pytest.raises(Answered) as answered:
        log_options.parse(query)
    assert answered.value.code == 400
