"""A pod cache that finds out who changed an object that it had handed out."""

from __future__ import annotations

import copy

from virtual_kubelet_salad.kube.cache import Pod, PodCache, uid_of, without_unread_fields


class WatchfulPodCache(PodCache):
    """Use it in place of `PodCache`, and end the test with `assert_untouched()`."""

    _handed_out: list[tuple[Pod, Pod]]

    def apply(self, kind: str, pod: Pod) -> None:
        kept = without_unread_fields(pod) if uid_of(pod) is not None else pod
        self._remember(kept)
        super().apply(kind, kept)

    def note_written(self, pod: Pod) -> None:
        kept = without_unread_fields(pod)
        self._remember(kept)
        super().note_written(kept)

    def assert_untouched(self) -> None:
        """Fails with the pods that were changed in place."""
        changed = [before["metadata"]["name"] for now, before in self._seen() if now != before]
        assert not changed, f"changed in place: {', '.join(changed)}"

    def _remember(self, pod: Pod) -> None:
        if uid_of(pod) is not None:
            self._seen().append((pod, copy.deepcopy(pod)))

    def _seen(self) -> list[tuple[Pod, Pod]]:
        if not hasattr(self, "_handed_out"):
            self._handed_out = []
        return self._handed_out
