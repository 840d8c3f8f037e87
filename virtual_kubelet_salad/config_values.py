"""Turns the text of one option into its value, or says what it should have been.

Every function takes the text as it was given (never empty) and returns the typed value. `BadValue` carries a sentence
that starts with "must" and never repeats the text, because the text of a mistyped option may be a secret. Pure but for
the checks that a named file can be read.
"""

from __future__ import annotations

import decimal
import ipaddress
import os
import re
import urllib.parse
from collections.abc import Callable
from typing import NamedTuple

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NODE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_MAX_NODE_NAME_CHARACTERS = 63  # the name is also the value of the label kubernetes.io/hostname
_SALADCLOUD_NAME = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]")  # the API's own pattern for organizations and projects
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_QUALIFIED_NAME = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_QUANTITY = re.compile(r"(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# Namespace, Secret, key: each as the API server takes it, as far as that tells them apart.
_SECRET_KEY = re.compile(r"([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})/([A-Za-z0-9._-]{1,253})")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
_FALSE_WORDS = frozenset({"false", "no", "off", "0"})
_GO_LOG_LEVELS = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}


class BadValue(Exception):
    """What the value must be; never what it was."""


class Address(NamedTuple):
    """Where a server listens; port 0 lets the system choose one."""

    host: str
    port: int


def switch(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE_WORDS | _FALSE_WORDS:
        raise BadValue("must be true or false")
    return word in _TRUE_WORDS


def whole_number(minimum: int, maximum: int) -> Callable[[str], int]:
    """A check for whole numbers of this range, both ends included."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise BadValue(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def duration(minimum_seconds: float, maximum_seconds: float) -> Callable[[str], float]:
    """A check for seconds; the units ms, s, m and h are understood, as in `500ms`."""

    def parse(text: str) -> float:
        match = _DURATION.fullmatch(text)
        seconds = float(match[1]) * _SECONDS_PER_UNIT[match[2] or "s"] if match else -1.0
        if not minimum_seconds <= seconds <= maximum_seconds:
            raise BadValue(f"must be from {minimum_seconds:g} to {maximum_seconds:g} seconds")
        return seconds

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """A check for one of these words, in any case."""
    by_lower_case = {word.lower(): word for word in words}

    def parse(text: str) -> str:
        if text.lower() not in by_lower_case:
            raise BadValue("must be one of " + ", ".join(words))
        return by_lower_case[text.lower()]

    return parse


def log_level(text: str) -> str:
    """The Go kubelet's other level names are understood too."""
    return one_of("debug", "info", "warning", "error")(_GO_LOG_LEVELS.get(text.lower(), text))


def rate_limit(text: str) -> int | None:
    """Requests per minute; 0 means no limit, which is None."""
    return whole_number(0, 100_000)(text) or None


def node_name(text: str) -> str:
    if not _NODE_NAME.fullmatch(text) or len(text) > _MAX_NODE_NAME_CHARACTERS:
        raise BadValue(f"must be a DNS name of at most {_MAX_NODE_NAME_CHARACTERS} lower-case letters, digits, - and .")
    return text


def saladcloud_name(text: str) -> str:
    if not _SALADCLOUD_NAME.fullmatch(text):
        raise BadValue("must be 2 to 63 lower-case letters, digits and -, begin with a letter and not end with -")
    return text


def label_value(text: str) -> str:
    if not _LABEL_VALUE.fullmatch(text):
        raise BadValue("must be at most 63 letters, digits, -, _ and ., with a letter or digit at both ends")
    return text


def label_key(text: str) -> str:
    if not _QUALIFIED_NAME.fullmatch(text):
        raise BadValue("must be a label key such as example.com/name")
    return text


def namespaces(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(_DNS_LABEL.fullmatch(name) for name in names):
        raise BadValue("must be namespace names separated by commas")
    return names


def namespace(text: str) -> str:
    if not _DNS_LABEL.fullmatch(text):
        raise BadValue("must be the name of a namespace")
    return text


class SecretValue(NamedTuple):
    """One key of a Secret."""

    namespace: str
    name: str
    key: str
    value: str

    def __repr__(self) -> str:
        return f"SecretValue({self.namespace}/{self.name}/{self.key})"


def secret_value(text: str) -> SecretValue:
    place, equals, value = text.partition("=")
    match = _SECRET_KEY.fullmatch(place)
    if not equals or match is None:
        raise BadValue("must be NAMESPACE/NAME/KEY=VALUE")
    return SecretValue(match[1], match[2], match[3], value)


def capacity(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of resource name and quantity, in the order given."""
    pairs = [tuple(part.strip() for part in item.partition("=")[::2]) for item in text.split(",")]
    resources = [resource for resource, _ in pairs]
    if not all(_QUALIFIED_NAME.fullmatch(resource) and _QUANTITY.fullmatch(quantity) for resource, quantity in pairs):
        raise BadValue("must be resource=quantity pairs separated by commas, such as cpu=64,memory=256Gi")
    if len(set(resources)) < len(resources):
        raise BadValue("must name each resource once")
    return tuple((resource, quantity) for resource, quantity in pairs)


def price(text: str) -> decimal.Decimal:
    """US dollars per hour."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,9})?", text, re.ASCII) or decimal.Decimal(text) <= 0:
        raise BadValue("must be US dollars per hour, more than 0, such as 0.25")
    return decimal.Decimal(text)


def ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise BadValue("must be an IP address") from None


def listen_address(text: str) -> Address:
    """`host:port`, `:port` for all addresses, `[v6]:port`; the host is an IP address or localhost."""
    host, colon, port_text = text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        if not colon:
            raise BadValue("")
        port = whole_number(0, 65535)(port_text)
        return Address(host if host == "localhost" else ip_address(host or "0.0.0.0"), port)
    except BadValue:
        raise BadValue("must be address:port, such as 0.0.0.0:8080") from None


def api_url(text: str) -> str:
    """An https URL without a trailing slash; plain http only to this machine, because the key travels in a header."""
    try:
        url = urllib.parse.urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError:
        raise BadValue("must be an https URL") from None
    if url.scheme not in ("https", "http") or not host or not _VISIBLE_ASCII.fullmatch(text):
        raise BadValue("must be an https URL")
    if url.query or url.fragment or "@" in url.netloc:
        raise BadValue("must be a URL without user, query and fragment")
    if url.scheme == "http" and not _is_loopback(host):
        raise BadValue("must begin with https:// (http is only for this machine)")
    return text.rstrip("/")


def api_key(text: str) -> str:
    """The key goes into an HTTP header, so it is one visible word."""
    if not _VISIBLE_ASCII.fullmatch(text):
        raise BadValue("must be one word of visible ASCII characters")
    return text


def readable_file(text: str) -> str:
    try:
        with open(text, "rb"):
            return text
    except OSError as error:
        raise BadValue(f"must name a file that can be read ({error.strerror})") from None
    except ValueError:
        raise BadValue("must name a file that can be read") from None


def readable_input(text: str) -> str:
    """A file, or `-` for the standard input."""
    return text if text == "-" else readable_file(text)


def kubeconfig(text: str) -> str:
    """One path, or several as in kubectl's variable; at least one must be there."""
    problem = BadValue("must name a file that can be read")
    for path in filter(None, text.split(os.pathsep)):
        try:
            readable_file(path)
            return text
        except BadValue as error:
            problem = error
    raise problem


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
