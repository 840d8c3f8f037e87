from __future__ import annotations

from tests.support.clock import FakeClock
from virtual_kubelet_salad.kubelet_api.answers_cache import AnswersCache


def test_an_answer_lasts_as_long_as_was_said(fake_clock: FakeClock) -> None:
    cache: AnswersCache[None] = AnswersCache(fake_clock, 10)
    cache.put("key", None, 5.0)
    assert cache.get("key") == (None,)
    fake_clock.advance(5.0)
    assert cache.get("key") is None
    assert len(cache) == 0


def test_it_never_grows_beyond_its_bound_and_drops_what_was_asked_for_longest_ago(fake_clock: FakeClock) -> None:
    cache: AnswersCache[int] = AnswersCache(fake_clock, 3)
    for number in range(3):
        cache.put(number, number, 60.0)
    cache.get(0)
    cache.put(3, 3, 60.0)
    assert [cache.get(number) for number in range(4)] == [(0,), None, (2,), (3,)]
