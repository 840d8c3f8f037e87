"""Answers `/containerLogs/{namespace}/{pod}/{container}`: what `kubectl logs` shows.

Each question has a thread of the port for as long as it is answered, which looks about each second whether its reader
is still there, whether the pod has ended, and whether the port stops. While it waits for the cloud it cannot look;
`abandon_unread`, called from another thread each second, ends that wait once nobody reads. A log that cannot be read to
its end is cut off, not closed in order, so that nobody takes a part for the whole.
"""

from __future__ import annotations

import datetime
import errno
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from virtual_kubelet_salad import errors
from virtual_kubelet_salad.kube.cache import PodCache
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.claims import Claims
from virtual_kubelet_salad.kubelet.provider import Pod, Provider
from virtual_kubelet_salad.kubelet.provider_insight import LogLine, LogQuestion, LogStream
from virtual_kubelet_salad.kubelet_api import answers, log_choice, log_options
from virtual_kubelet_salad.kubelet_api.answers import Answered
from virtual_kubelet_salad.kubelet_api.log_options import LogOptions
from virtual_kubelet_salad.runtime.clock import Clock

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

log = logging.getLogger(__name__)

# Each holds a connection and a thread; what is left of the connections is for other questions.
MOST_READERS = 64
# Attempts of one pod that are looked through for a run.
MOST_ATTEMPTS = 5
# The last lines of a run may come in for so long after its end.
LATE_LINES = datetime.timedelta(seconds=30)


class Reader(Protocol):
    """Whoever reads a log."""

    def is_gone(self) -> bool: ...


class ContainerLogs:
    """The logs of this node's pods. Safe to use from any thread."""

    def __init__(
        self,
        cache: PodCache,
        provider: Provider,
        claims: Claims,
        clock: Clock,
        is_stopping: Callable[[], bool],
        read_pod: Callable[[str, str], Pod],
    ) -> None:
        """`read_pod` asks the API server, by namespace and name."""
        self._read_pod = read_pod
        self._cache = cache
        self._provider = provider
        self._claims = claims
        self._clock = clock
        self._is_stopping = is_stopping
        self._readings = _Readings(MOST_READERS)

    @property
    def readers(self) -> int:
        """How many logs are being read."""
        return len(self._readings.present())

    def abandon_unread(self) -> None:
        """Ends the calls to the cloud whose answers nobody waits for any more."""
        for reading in self._readings.present():
            reading.abandon_unread()

    def answer(
        self, namespace: str, name: str, container: str, query: str, reader: Reader, start_response: StartResponse
    ) -> Iterable[bytes]:
        """The log as a stream. Raises `Answered`."""
        options = log_options.parse(query)
        pod = self._cache.by_name(namespace, name)
        if pod is None:
            raise Answered(404, "NotFound", f'pod "{name}" is not on this node')
        try:
            question = self._question(pod, container, options)
        except Answered:
            # Who was just told of a run, or of a refusal, by the API server may ask before our own view is as new.
            question = self._question(self._as_stored(pod), container, options)
        reading = _Reading(self, self._provider.logs(question), pods.uid(pod), options, reader, self._readings.remove)
        if not self._readings.add(reading):
            raise Answered(503, "ServiceUnavailable", f"more than {MOST_READERS} logs of this node are being read")
        try:
            reading.begin()
        except errors.CouldNotAsk as error:
            reading.close()
            raise Answered(500, "InternalError", f"the log cannot be read now: {error}") from error
        except BaseException:
            reading.close()
            raise
        answers.begin(start_response)
        return reading

    def is_stopping(self) -> bool:
        return self._is_stopping()

    def is_over(self, uid: str) -> bool:
        """Whether nothing of that pod writes any more."""
        pod = self._cache.get(uid)
        return pod is None or pods.is_finished(pod)

    def _as_stored(self, pod: Pod) -> Pod:
        """As the API server has it now; where that cannot be had, as it was."""
        try:
            stored = self._read_pod(pods.namespace(pod), pods.name(pod))
        except errors.Error as error:
            log.info("a pod could not be read for its log pod_uid=%s reason=%s", pods.uid(pod), error)
            return pod
        return stored if pods.uid(stored) == pods.uid(pod) else pod

    def _question(self, pod: Pod, container: str, options: LogOptions) -> LogQuestion:
        choice = log_choice.choose(pod, container, previous=options.previous)
        names = self._claims.latest_names(pod, MOST_ATTEMPTS)
        if not names:
            raise Answered(400, "BadRequest", log_choice.why_no_run(pod, container))
        now = self._clock.now()
        is_long_over = pods.is_finished(pod) and (choice.ended is None or now - choice.ended > LATE_LINES)
        return LogQuestion(
            names=names,
            container_id=choice.container_id,
            began=choice.began,
            ended=choice.ended,
            after=choice.after,
            before=choice.before,
            tail=options.tail_lines,
            newest_seconds=None if options.since_seconds is None else float(options.since_seconds),
            since=options.since_time,
            follows=options.follow and not options.previous and not is_long_over,
            earlier_container_ids=choice.earlier_container_ids,
        )


class _Reading:
    """One answer, chunk by chunk; an empty chunk is a sign of life."""

    def __init__(
        self,
        logs: ContainerLogs,
        stream: LogStream,
        uid: str,
        options: LogOptions,
        reader: Reader,
        forget: Callable[[_Reading], None],
    ) -> None:
        self._logs = logs
        self._stream = stream
        self._uid = uid
        self._options = options
        self._reader = reader
        self._forget = forget
        self._first: Sequence[LogLine] | None = ()
        self._is_closed = False

    def begin(self) -> None:
        """Reads until there is something, so that what is wrong can still be answered as an error; who follows does not
        wait for a first line. Raises `CouldNotAsk`, `ConnectionAbortedError`.
        """
        self._first = self._read()
        while self._first is not None and not self._first and not self._options.follow:
            self._check_wanted()
            self._first = self._read()

    def __iter__(self) -> Iterator[bytes]:
        left = self._options.limit_bytes
        for lines in self._batches():
            chunk = b"".join(self._written(line) for line in lines)
            if left is not None:
                chunk = chunk[:left]
                left -= len(chunk)
            yield chunk
            if left == 0:
                return

    def abandon_unread(self) -> None:
        """From another thread, while this one may wait for the cloud."""
        if self._is_unwanted():
            self._stream.abandon()

    def close(self) -> None:
        """Whatever the end was. Called by the server."""
        if not self._is_closed:
            self._is_closed = True
            self._stream.close()
            self._forget(self)

    def _batches(self) -> Iterator[Sequence[LogLine]]:
        lines = self._first
        while lines is not None:
            yield lines
            self._check_wanted()
            if self._options.follow and self._logs.is_over(self._uid):
                self._stream.end()
            try:
                lines = self._read()
            except errors.CouldNotAsk as error:
                log.warning("a log was cut off pod_uid=%s reason=%s", self._uid, error)
                raise _cut_off() from error

    def _read(self) -> Sequence[LogLine] | None:
        """Raises `CouldNotAsk`; `ConnectionAbortedError` when nobody waits for it any more."""
        try:
            return self._stream.read()
        except errors.CouldNotAsk:
            self._check_wanted()
            raise

    def _check_wanted(self) -> None:
        if self._is_unwanted():
            raise _cut_off()

    def _is_unwanted(self) -> bool:
        return self._reader.is_gone() or self._logs.is_stopping()

    def _written(self, line: LogLine) -> bytes:
        text = line.text.removesuffix("\n")
        prefix = _timestamp(line.time) if self._options.timestamps else ""
        return "".join(f"{prefix}{part}\n" for part in text.split("\n")).encode(errors="replace")


class _Readings:
    """The answers under way: a bounded number."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._readings: set[_Reading] = set()

    def add(self, reading: _Reading) -> bool:
        """False: there is no place left."""
        with self._lock:
            if len(self._readings) >= self._most:
                return False
            self._readings.add(reading)
            return True

    def remove(self, reading: _Reading) -> None:
        with self._lock:
            self._readings.remove(reading)

    def present(self) -> list[_Reading]:
        with self._lock:
            return list(self._readings)


def _timestamp(moment: datetime.datetime) -> str:
    """As a container runtime writes it."""
    utc = moment.astimezone(datetime.UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}000Z "


def _cut_off() -> ConnectionAbortedError:
    """Ends the connection without the sign that the answer is complete."""
    return ConnectionAbortedError(errno.ECONNABORTED, "the log ends here without being complete")
