"""How long containers ran, and how much of that nobody wanted any more.

A container is unwanted from the exit after which its restart policy allows no other run, or from the moment on at which
somebody says that its pod has ended, whichever comes first. Unwanted seconds while nobody was there to delete the group
(its daemon was killed, and no other runs) are counted apart. Pure: the callers say what time it is, on the model's
clock.
"""

from __future__ import annotations

import dataclasses

from virtual_kubelet_salad.sandbox.salad_world import Group


@dataclasses.dataclass(slots=True)
class Account:
    """Seconds of all runs of one group, and how many runs there were."""

    billed: float = 0.0
    unwanted: float = 0.0
    unattended: float = 0.0
    runs: int = 0
    unwanted_since: float | None = None
    deleted_at: float | None = None


class Billing:
    """The accounts of all groups that ever were, by name."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._ended_pods: dict[str, float] = {}  # UID → when
        self._absences: list[tuple[float, float]] = []  # of the daemon; the last may have no end yet

    def of(self, group: Group) -> Account:
        """A name that may be used again goes on with its account."""
        return self._accounts.setdefault(group.name, Account())

    def ran(self, group: Group, begin: float, end: float) -> None:
        """A run is over."""
        _add(self.of(group), begin, end, self._absences)

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

    def daemon_is_away(self, is_away: bool, now: float) -> None:
        """From now on no daemon is there, or one is there again."""
        was_away = bool(self._absences) and self._absences[-1][1] == float("inf")
        if is_away and not was_away:
            self._absences.append((now, float("inf")))
        elif was_away and not is_away:
            self._absences[-1] = (self._absences[-1][0], now)

    def deleted(self, group: Group, now: float) -> None:
        """A delete was accepted."""
        self.of(group).deleted_at = now

    def statistics(self, groups: list[Group], now: float) -> dict[str, dict[str, float]]:
        """By name of the group; what runs now is counted up to now."""
        accounts = {name: dataclasses.replace(account) for name, account in self._accounts.items()}
        for group in groups:
            account = accounts.setdefault(group.name, Account())
            for replica in group.replicas:
                if replica.run_since is not None:
                    _add(account, replica.run_since, now, self._absences)
        return {
            "billed_seconds": {name: account.billed for name, account in accounts.items()},
            "unwanted_seconds": {name: account.unwanted for name, account in accounts.items()},
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


def _add(account: Account, begin: float, end: float, absences: list[tuple[float, float]]) -> None:
    account.billed += end - begin
    if account.unwanted_since is None:
        return
    begin = max(begin, account.unwanted_since)
    if end > begin:
        unattended = sum(max(0.0, min(end, until) - max(begin, since)) for since, until in absences)
        account.unattended += unattended
        account.unwanted += end - begin - unattended
