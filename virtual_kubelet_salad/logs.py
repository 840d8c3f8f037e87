"""Sets up the log of the process: one line per record on stderr, as text or JSON.

Third parties are kept at warnings at every level: the Kubernetes client's debug log prints whole response bodies, and
so the values of Secrets; the HTTP libraries' logs print every request. Texts of other parts must hold no secrets:
nothing is filtered here.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys

THIRD_PARTIES = ("kubernetes", "urllib3", "requests", "asyncio", "websocket")


def set_up(level: str, log_format: str) -> None:
    """Direct all records to stderr; `level` and `log_format` are those of `Config`. Replaces an earlier set-up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in THIRD_PARTIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def _time_of(record: logging.LogRecord) -> str:
    """The record's time in UTC, to the millisecond."""
    time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _TextFormatter(logging.Formatter):
    """`<time> <LEVEL> <logger>: <message>`; line breaks in the message are escaped, only a stack trace has lines."""

    def format(self, record: logging.LogRecord) -> str:
        logger = record.name.removeprefix("virtual_kubelet_salad.")
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{_time_of(record)} {record.levelname} {logger}: {message}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return line


class _JsonFormatter(logging.Formatter):
    """One object per line: time, level, logger, thread, message and, after a failure, exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
