"""Says whether a request may be sent now, and if not, when to come back. Never waits.

`TokenBucket` is the plain bucket. `Budget` divides one account's requests per minute among classes of requests. Its
rules, in full:

1. All classes draw from one bucket. Its size plus one minute's refill is the configured limit, so no sliding minute
   sees more requests than the limit. Where another process may have used the limit until now, the bucket is empty when
   it is asked for the first time: so the limit holds however often one process follows another.
2. A class leaves a number of tokens untouched (`_RULES`): the more urgent the class, the fewer. Under pressure the
   bucket hovers at the lowest level that somebody may still take from, so deletes go before creates, creates before
   reads, and reads before what merely informs. What an urgent class does not use, the others do: nothing is set aside
   per minute.
3. The polls that see every pod at once (POLL) may empty the bucket within their share of 24/min. Nobody else takes the
   last four tokens, and the bucket always refills faster than the share, so up to four polls at a time always find
   theirs: they are never starved. Polls beyond the share count as reads. (Limits below 108/min have a bucket too small
   for the full reserve; there all reserves shrink alike.)
4. Some classes have a ceiling of their own per minute, so that watching downloads or reading logs can never crowd out
   the rest.
5. After a 429 nothing is sent before the time the server asked for, the bucket is empty, and the rate is halved (never
   below 30/min, so that rule 3 holds). Each minute without another 429 gives 20/min back, up to the configured rate.
6. A refusal names the seconds after which to ask again. Refusals of one class are spread: each gets the next place in a
   line whose places follow each other at twice the class's rate, and the line starts over after 30 s. So the line is
   served about in order, tokens do not lie idle when some never come back, and 300 waiting pods do not come at once.

Safe to use from any thread. Does not know of requests sent by others with the same key, or by an earlier process: the
server's 429 tells.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import threading

from virtual_kubelet_salad.runtime.clock import Clock

_MINUTE_SECONDS = 60.0

# A bucket that lacks less than this is not short: sums of refills are not exact, and who comes back exactly when told
# must not be refused.
_ROUNDING_TOKENS = 1e-6

# The part of a limit that may go out at once; the rest comes as refill. 240/min: 20 at once and 220/min.
_BURST_PART_OF_LIMIT = 12

# Every class that has to leave tokens leaves at least these, so that list, feed, quota and classes can fall due in the
# same instant.
_POLL_RESERVE_TOKENS = 4.0

# The least rate after 429s; above the polls' share of 24/min, so that state is still read.
_LEAST_RATE_PER_MINUTE = 30.0

# How much a minute without a 429 gives back.
_RECOVERY_PER_MINUTE = 20.0

# Pause after a 429 that names no time.
_DEFAULT_PAUSE_SECONDS = 5.0

# Requests that were on their way when the first 429 came answer with 429 too; within this time they are the same event
# and halve once.
_SAME_THROTTLING_SECONDS = 10.0

# Arrivals per token in the line of those who wait. Above 1, because some of them never come back.
_PLACES_PER_TOKEN = 2.0

# The line starts over after this time, so that nobody is sent away for long on account of others that have lost
# interest.
_LINE_SECONDS = 30.0


# Without a limit a rate is needed all the same, for the places in the line after a pause.
_LINE_PER_MINUTE_WITHOUT_LIMIT = 6_000.0


class RequestClass(enum.Enum):
    """What a request is for; the order is the order of urgency."""

    POLL = "poll"  # The list of groups, the feed's first page, quota, classes.
    DELETE = "delete"  # Stops the bill.
    CREATE = "create"  # Creates, updates and starts.
    READ = "read"  # One group or instance that a decision waits for; further pages of the feed.
    SWEEP = "sweep"  # Groups by name while the list is not complete.
    PROGRESS = "progress"  # How far a download is.
    SAFETY = "safety"  # Instances of pods that run to completion, re-read in case an event was lost.
    LOGS = "logs"  # Logs and measurements that a person asked for.


@dataclasses.dataclass(frozen=True)
class _Rule:
    """The tokens that a class leaves in the bucket, and its own ceiling per minute (at most `at_once` together); None:
    no ceiling.
    """

    leaves_tokens: float
    ceiling_per_minute: float | None = None
    at_once: float = 1.0


_RULES = {
    RequestClass.POLL: _Rule(0.0),
    RequestClass.DELETE: _Rule(_POLL_RESERVE_TOKENS),
    RequestClass.CREATE: _Rule(_POLL_RESERVE_TOKENS + 1),
    RequestClass.READ: _Rule(_POLL_RESERVE_TOKENS + 2),
    RequestClass.SWEEP: _Rule(_POLL_RESERVE_TOKENS + 3, 60.0, 5.0),
    RequestClass.PROGRESS: _Rule(_POLL_RESERVE_TOKENS + 3, 60.0, 5.0),
    RequestClass.SAFETY: _Rule(_POLL_RESERVE_TOKENS + 3, 6.0, 1.0),
    RequestClass.LOGS: _Rule(_POLL_RESERVE_TOKENS + 3, 30.0, 5.0),
}
_POLL_SHARE = _Rule(0.0, 24.0, _POLL_RESERVE_TOKENS)


class _Tokens:
    """The arithmetic of a bucket.

    Not safe for threads; every method is told the monotonic time, which never goes back.
    """

    def __init__(self, now: float, rate_per_minute: float, size: float) -> None:
        self.rate_per_minute = rate_per_minute
        self.size = size
        self._level = size
        self._at = now

    def level(self, now: float) -> float:
        """Tokens in the bucket."""
        if now > self._at:
            self._level = min(self.size, self._level + (now - self._at) * self.rate_per_minute / _MINUTE_SECONDS)
            self._at = now
        return self._level

    def seconds_until(self, level: float, now: float) -> float:
        """Seconds until the bucket holds that many tokens; 0.0 when it does, infinite when it never will."""
        missing = level - self.level(now)
        if missing <= _ROUNDING_TOKENS:
            return max(0.0, self._at - now)
        if level > self.size + _ROUNDING_TOKENS or self.rate_per_minute <= 0:
            return math.inf
        return self._at - now + missing * _MINUTE_SECONDS / self.rate_per_minute

    def take(self, tokens: float) -> None:
        """Take tokens; the caller has made sure that they are there."""
        self._level -= tokens

    def empty_until(self, at: float) -> None:
        """Lose all tokens, and gain none before the time `at`."""
        self._level = 0.0
        self._at = max(self._at, at)


class TokenBucket:
    """`burst` tokens at first and at most, refilled by `rate_per_minute`. Safe to use from any thread."""

    def __init__(self, clock: Clock, rate_per_minute: float, burst: float) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = _Tokens(clock.monotonic(), rate_per_minute, burst)

    def try_acquire(self, n: float = 1) -> float:
        """Take n tokens and return 0.0, or take nothing and return the seconds until n will be there (infinite when n
        exceeds the burst).
        """
        with self._lock:
            now = self._clock.monotonic()
            missing_seconds = self._tokens.seconds_until(n, now)
            if missing_seconds == 0.0:
                self._tokens.take(n)
            return missing_seconds


class Budget:
    """Divides `limit_per_minute` requests among the classes by the rules above; 0 = no limit, then only the pause after
    a 429 holds anybody back.
    """

    def __init__(self, clock: Clock, limit_per_minute: float, *, follows_another: bool = False) -> None:
        """`follows_another`: whether somebody else may have used the limit until the first question is asked here."""
        self._clock = clock
        self._lock = threading.Lock()
        now = clock.monotonic()
        self._is_unlimited = limit_per_minute == 0
        size, self._full_rate = _size_and_rate(limit_per_minute or _LINE_PER_MINUTE_WITHOUT_LIMIT)
        self._tokens = _Tokens(now, self._full_rate, size)
        self._begins_empty = follows_another
        self._ceilings = {
            request_class: _ceiling(rule, now)
            for request_class, rule in _RULES.items()
            if rule.ceiling_per_minute is not None
        }
        self._poll_share = _ceiling(_POLL_SHARE, now)
        # A small limit must not be eaten up by reserves: then they shrink with the bucket.
        self._reserve_scale = min(1.0, (size - 1.0) / (_POLL_RESERVE_TOKENS + 3 + 1))
        self._paused_until = now
        self._throttled_at = -math.inf
        # The end of the last clean minute that was rewarded, or the last 429.
        self._clean_since = now
        # The place last given out in each class's line.
        self._last_place: dict[RequestClass, float] = {}

    def try_acquire(self, request_class: RequestClass) -> float:
        """Returns 0.0 when one request of the class may be sent now, else the seconds (> 0) until to ask again."""
        with self._lock:
            now = self._clock.monotonic()
            if self._begins_empty:
                self._begins_empty = False
                self._tokens.empty_until(now)
            self._recover(now)
            if now < self._paused_until:
                return self._place_in_line(request_class, self._paused_until - now, now)
            if self._is_unlimited:
                return 0.0
            if self._tokens.level(now) >= self._tokens.size - 1.0:
                self._last_place.clear()  # A bucket that could fill up shows that nobody waits any more.
            missing_seconds = self._missing_seconds(request_class, now)
            if missing_seconds > 0.0:
                return self._place_in_line(request_class, missing_seconds, now)
            self._take(request_class, now)
            return 0.0

    def throttled(self, retry_after: float | None) -> None:
        """The server answered 429 and asked to wait `retry_after` seconds (None: it did not say how long)."""
        with self._lock:
            now = self._clock.monotonic()
            pause = _DEFAULT_PAUSE_SECONDS if retry_after is None else max(0.0, retry_after)
            self._recover(now)
            if now - self._throttled_at >= _SAME_THROTTLING_SECONDS:
                self._throttled_at = now
                least = min(_LEAST_RATE_PER_MINUTE, self._full_rate)
                self._tokens.rate_per_minute = max(least, self._tokens.rate_per_minute / 2)
            self._paused_until = max(self._paused_until, now + pause)
            self._tokens.empty_until(self._paused_until)
            self._clean_since = now

    def remaining(self) -> float:
        """Requests that could be sent at once, whatever their class; infinite without a limit. For the metrics."""
        with self._lock:
            now = self._clock.monotonic()
            if self._is_unlimited:
                return math.inf
            self._recover(now)
            return self._tokens.level(now)

    def rate_per_minute(self) -> float:
        """The present refill, lower than configured after a 429; infinite without a limit. For the metrics."""
        with self._lock:
            if self._is_unlimited:
                return math.inf
            self._recover(self._clock.monotonic())
            return self._tokens.rate_per_minute

    # All below expect the lock to be held.

    def _recover(self, now: float) -> None:
        while self._tokens.rate_per_minute < self._full_rate and now - self._clean_since >= _MINUTE_SECONDS:
            self._clean_since += _MINUTE_SECONDS
            self._tokens.level(self._clean_since)  # What came in until then came in at the lower rate.
            self._tokens.rate_per_minute = min(self._full_rate, self._tokens.rate_per_minute + _RECOVERY_PER_MINUTE)

    def _leaves(self, request_class: RequestClass, now: float) -> float:
        if request_class is RequestClass.POLL and self._poll_share.seconds_until(1.0, now) > 0.0:
            request_class = RequestClass.READ
        return _RULES[request_class].leaves_tokens * self._reserve_scale

    def _missing_seconds(self, request_class: RequestClass, now: float) -> float:
        missing_seconds = self._tokens.seconds_until(self._leaves(request_class, now) + 1.0, now)
        ceiling = self._ceilings.get(request_class)
        return missing_seconds if ceiling is None else max(missing_seconds, ceiling.seconds_until(1.0, now))

    def _take(self, request_class: RequestClass, now: float) -> None:
        self._tokens.take(1.0)
        if request_class in self._ceilings:
            self._ceilings[request_class].take(1.0)
        elif request_class is RequestClass.POLL and self._poll_share.seconds_until(1.0, now) == 0.0:
            self._poll_share.take(1.0)

    def _place_in_line(self, request_class: RequestClass, missing_seconds: float, now: float) -> float:
        first = now + missing_seconds
        ceiling = self._ceilings.get(request_class)
        rate = min(self._tokens.rate_per_minute, math.inf if ceiling is None else ceiling.rate_per_minute)
        place = self._last_place.get(request_class, -math.inf) + _MINUTE_SECONDS / rate / _PLACES_PER_TOKEN
        if not first <= place <= first + _LINE_SECONDS:
            place = first
        self._last_place[request_class] = place
        return place - now


def _ceiling(rule: _Rule, now: float) -> _Tokens:
    assert rule.ceiling_per_minute is not None
    return _Tokens(now, rule.ceiling_per_minute - rule.at_once, rule.at_once)


def _size_and_rate(limit_per_minute: float) -> tuple[float, float]:
    """The bucket's size and refill per minute, which together are at most the limit."""
    size = max(1.0, float(limit_per_minute // _BURST_PART_OF_LIMIT))
    return size, max(limit_per_minute - size, limit_per_minute / 2)
