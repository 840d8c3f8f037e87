"""How long containers ran, and how much of that nobody wanted any more.

A container is unwanted from the exit after which its restart policy allows no other run, or from the moment on at which
somebody says that its pod has ended, whichever comes first. Unwanted seconds while nobody was there to delete the group
(its daemon was killed, and no other runs), and those while the next daemon started, are counted apart. Pure: the
callers say what time it is, on the model's clock.
"""

from __future__ import annotations

import dataclasses
import math

from virtual_kubelet_salad.sandbox.salad_world import Group

AWAY, STARTING, WORKING = "away", "starting", "working"
"""What the daemon does: no process runs; one runs, but does not know its pods yet; it could act."""


@dataclasses.dataclass(slots=True)
class Account:
    """Seconds of all runs of one group, and how many runs there were. Unwanted seconds are told apart by what the
    daemon did: it worked, it started, or it was away (unattended).
    """

    billed: float = 0.0
    unwanted: float = 0.0
    unwanted_by_life: dict[int, float] = dataclasses.field(default_factory=dict)
    """Of one daemon after the other."""
    unwanted_at_starts: float = 0.0
    unattended: float = 0.0
    runs: int = 0
    unwanted_since: float | None = None
    deleted_at: float | None = None


class Billing:
    """The accounts of all groups that ever were, by name."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._ended_pods: dict[str, float] = {}  # UID → when
        self._doings: list[tuple[float, str]] = [(-math.inf, WORKING)]  # of the daemon: since when it does what

    def of(self, group: Group) -> Account:
        """A name that may be used again goes on with its account."""
        return self._accounts.setdefault(group.name, Account())

    def ran(self, group: Group, begin: float, end: float) -> None:
        """A run is over."""
        self._add(self.of(group), begin, end)

    def exited(self, group: Group, code: int, now: float) -> None:
        """A container ended by itself."""
        policy = group.spec["restart_policy"]
        if policy == "never" or (policy == "on_failure" and code == 0):
            self._unwanted(group, now)

    def owned(self, group: Group) -> None:
        """The group's owner record was written, perhaps after its pod has ended."""
        ended = self._ended_pods.get(group.owner_uid or "")
        if ended is not None:
            self._unwanted(group, ended)

    def pod_ended(self, uid: str, groups: list[Group], now: float) -> None:
        """The pod of that UID is finished, or being deleted, or gone."""
        self._ended_pods.setdefault(uid, now)
        for group in groups:
            self.owned(group)

    def daemon_is(self, doing: str, now: float) -> None:
        """From now on the daemon is away, starting or working; unless told otherwise it works. ValueError for anything
        else.
        """
        if doing not in (AWAY, STARTING, WORKING):
            raise ValueError(f"a daemon is {AWAY}, {STARTING} or {WORKING}, not {doing!r}")
        self._doings.append((now, doing))

    def deleted(self, group: Group, now: float) -> None:
        """A delete was accepted."""
        self.of(group).deleted_at = now

    def statistics(self, groups: list[Group], now: float) -> dict[str, dict[str, float]]:
        """By name of the group; what runs now is counted up to now."""
        accounts = {
            name: dataclasses.replace(account, unwanted_by_life=dict(account.unwanted_by_life))
            for name, account in self._accounts.items()
        }
        for group in groups:
            account = accounts.setdefault(group.name, Account())
            for replica in group.replicas:
                if replica.run_since is not None:
                    self._add(account, replica.run_since, now)
        return {
            "billed_seconds": {name: account.billed for name, account in accounts.items()},
            "unwanted_seconds": {name: account.unwanted for name, account in accounts.items()},
            "unwanted_seconds_of_one_life": {
                name: max(account.unwanted_by_life.values(), default=0.0) for name, account in accounts.items()
            },
            "unwanted_seconds_at_starts": {name: account.unwanted_at_starts for name, account in accounts.items()},
            "unattended_seconds": {name: account.unattended for name, account in accounts.items()},
            "seconds_until_deleted": {
                name: account.deleted_at - account.unwanted_since
                for name, account in accounts.items()
                if account.deleted_at is not None and account.unwanted_since is not None
            },
            "runs": {name: account.runs for name, account in accounts.items()},
        }

    def _unwanted(self, group: Group, since: float) -> None:
        account = self.of(group)
        if account.unwanted_since is None or since < account.unwanted_since:
            account.unwanted_since = since

    def _add(self, account: Account, begin: float, end: float) -> None:
        account.billed += end - begin
        if account.unwanted_since is None:
            return
        begin, until = max(begin, account.unwanted_since), math.inf
        for number, (since, doing) in reversed(list(enumerate(self._doings))):
            seconds = max(0.0, min(end, until) - max(begin, since))
            if doing == AWAY:
                account.unattended += seconds
            elif doing == STARTING:
                account.unwanted_at_starts += seconds
            else:
                account.unwanted += seconds
                account.unwanted_by_life[number] = account.unwanted_by_life.get(number, 0.0) + seconds
            if since <= begin:
                return
            until = since
