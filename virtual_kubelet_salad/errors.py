"""The vocabulary of outcomes: what an API said, or that it could not be asked.

Transport exceptions end where they are caught (`kube/`, `saladcloud/`) and are chained, never passed on. No error
here carries a request, a response body or a value from a Secret: only texts that may be logged and shown on a pod.

    Error
      CouldNotAsk             no answer that can be believed; says nothing about the state of the other side
        NoBudget              not even sent: the request budget is used up
        Unauthorized          the credentials were refused (401, or 403 for the key as a whole)
        UnknownPlace          the organization or project that is asked of is not known there
        NotLeader             another replica leads; nothing may be written
      NotFound                the other side said: it does not exist
      Conflict                the other side said: taken, or changed meanwhile
      AnotherPod              the name belongs to a pod of another UID, or to none
      BeingDeleted            the object is being deleted, so it can no longer be claimed
      Expired                 the list or watch position is too old (410): list again
      Rejected                a definite refusal by the other side
        Forbidden             the rights do not suffice
        Invalid               the object breaks a rule of the API server (422), with the fields at fault
      Refused                 the pod can never be honoured; decided from the pod alone
      Blocked                 the pod cannot start now; something outside it must change first
"""

from __future__ import annotations


class Error(Exception):
    """Root of all errors of this package; its text may be logged and shown to a pod's author."""


class CouldNotAsk(Error):
    """There is no answer to believe.

    `retry_after` is the delay in seconds that the other side (or our budget) asked for, or None. `may_be_applied`
    tells whether a write may have taken effect all the same: it was sent, and no definite refusal came back.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, may_be_applied: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_be_applied = may_be_applied


class NoBudget(CouldNotAsk):
    """Nothing was sent: the request budget has no token; `retry_after` says when it will."""


class Unauthorized(CouldNotAsk):
    """The credentials were refused. Nothing was applied."""


class UnknownPlace(CouldNotAsk):
    """The organization or project does not exist there. That is a mistake in the configuration, and says nothing about
    anything that may lie elsewhere.
    """


class NotLeader(CouldNotAsk):
    """This replica does not lead, so nothing was sent."""


class NotFound(Error):
    """It does not exist; said by the other side itself."""


class Conflict(Error):
    """The name is taken, or the object has changed since it was read."""


class AnotherPod(Error):
    """The pod of this UID is not there any more (404, 409, or 422 on metadata.uid)."""


class BeingDeleted(Error):
    """A finalizer cannot be added any more: the object has a deletionTimestamp (422)."""


class Expired(Error):
    """The position in a list or watch is too old (410); the answer is a new list from the start."""


class Rejected(Error):
    """The other side understood the request and refuses it. `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Forbidden(Rejected):
    """The credentials are valid, but their rights do not suffice."""

    def __init__(self, message: str) -> None:
        super().__init__("Forbidden", message)


class Invalid(Rejected):
    """The object breaks a rule of the API server (422). `causes` are (field, text) pairs, e.g. ("metadata.uid",
    "field is immutable").
    """

    def __init__(self, message: str, causes: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__("Invalid", message)
        self.causes = causes


class Refused(Error):
    """The pod asks for something that can never be honoured; its text tells the pod's author what, and what would be
    accepted instead.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Blocked(Error):
    """The pod cannot start until something outside it changes. `retry_after` in seconds, None for the backoff. `then`
    says in a few words what happens next, where that is more than another try.
    """

    def __init__(self, reason: str, message: str, *, retry_after: float | None = None, then: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after = retry_after
        self.then = then
