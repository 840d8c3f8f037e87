"""The claim: what a pod says about the workload that may exist for it.

The finalizer says that a create may have been sent; the annotations only say where, and authors can edit them. So the
finalizer decides whether we must ask, and only names that we compute ourselves are ever asked for or deleted. Pure.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.kubelet.provider import Identity, Owner, Pod, Provider

# No pod gets near it (an attempt lasts minutes); a larger number in the annotation is somebody's typing.
GREATEST_ATTEMPT = 9_999


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a pod's attempts."""

    is_held: bool
    attempt: int
    name: str
    """The computed name of `attempt`."""
    is_elsewhere: bool = False
    """It lies in another organization or project than the one we serve."""
    is_doubtful: bool = False
    """The annotations are missing, edited, or older than what the cloud shows: any attempt up to `attempt` may exist.
    """
    written_name: str = ""
    """The name in a claim in doubt; empty when it holds none."""


class Claims:
    """Reads and writes the claims of one node's pods."""

    def __init__(self, provider: Provider, cluster_id: str, node_name: str) -> None:
        self._provider = provider
        self._cluster_id = cluster_id
        self._node_name = node_name

    def read(self, pod: Pod, *, known_attempt: int = 0) -> Claim:
        """The claim, where `known_attempt` is the greatest attempt that this process has seen or made."""
        identity = self._provider.identity
        seen = max(known_attempt, self._provider.newest_attempt(pods.uid(pod)) or 0)
        if identity.finalizer not in (pods.metadata(pod).get("finalizers") or []):
            # Annotations without the finalizer are an author's, or a template's: they mean nothing.
            return Claim(False, seen, self.name(pod, seen))
        written = _parse_attempt(pods.annotations_of(pod).get(identity.attempt_annotation))
        attempt = max(written or 0, seen)
        name = self.name(pod, attempt)
        try:
            located = self._provider.name_at(pods.annotations_of(pod).get(identity.claim_annotation, ""))
        except ValueError:
            return Claim(True, attempt, name, is_doubtful=True)
        if located is None:
            return Claim(True, attempt, name, is_elsewhere=True)
        is_doubtful = written != attempt or located != name
        return Claim(True, attempt, name, is_doubtful=is_doubtful, written_name=located if is_doubtful else "")

    def latest_names(self, pod: Pod, most: int) -> tuple[str, ...]:
        """The computed names of the latest attempts that may have run, newest last; also of a pod that was let go,
        whose annotations tell its last attempt. Empty: it never had a workload here.
        """
        newest = self.newest_attempt(pod)
        if newest is None:
            return ()
        return tuple(self.name(pod, attempt) for attempt in range(max(0, newest - most + 1), newest + 1))

    def newest_attempt(self, pod: Pod) -> int | None:
        """The latest attempt that anything tells of, the annotations of a pod without our finalizer too; None: there
        was none.
        """
        identity = self._provider.identity
        seen = self._provider.newest_attempt(pods.uid(pod))
        written = _parse_attempt(pods.annotations_of(pod).get(identity.attempt_annotation))
        if written is None and seen is None and identity.finalizer not in (pods.metadata(pod).get("finalizers") or []):
            return None
        return max(written or 0, seen or 0)

    def lies_here(self, pod: Pod) -> bool | None:
        """Whether its claim names the place that we serve; None when it holds none, or one that names no place."""
        identity = self._provider.identity
        if identity.finalizer not in (pods.metadata(pod).get("finalizers") or []):
            return None
        try:
            located = self._provider.name_at(pods.annotations_of(pod).get(identity.claim_annotation, ""))
        except ValueError:
            return None
        return located is not None

    def name(self, pod: Pod, attempt: int) -> str:
        return self._provider.workload_name(self._cluster_id, pods.name(pod), pods.uid(pod), attempt)

    def owner(self, pod: Pod, attempt: int) -> Owner:
        return owner_of(pod, self._cluster_id, self._node_name, attempt)

    def made(self, name: str, owner: Owner | None) -> bool:
        """Whether this node has made the workload of that name. A copy that somebody has made of one carries its record
        too, but not the name that is computed from it.
        """
        if owner is None or (owner.cluster_id, owner.node) != (self._cluster_id, self._node_name):
            return False
        return name == self._provider.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt)

    def is_own(self, owner: Owner | bool, pod: Pod, attempt: int) -> bool:
        """Whether an owner record names exactly this attempt of this pod."""
        return isinstance(owner, Owner) and (owner.cluster_id, owner.uid, owner.attempt) == (
            self._cluster_id,
            pods.uid(pod),
            attempt,
        )

    def is_of_another_daemon(self, name: str, owner: Owner | bool, pod: Pod) -> bool:
        """Whether the workload of that name was made for this very pod under another cluster id or node name: then none
        that we compute is right.
        """
        if not isinstance(owner, Owner) or owner.uid != pods.uid(pod):
            return False
        is_made_as_told = name == self._provider.workload_name(owner.cluster_id, owner.pod, owner.uid, owner.attempt)
        return is_made_as_told and (owner.cluster_id, owner.node) != (self._cluster_id, self._node_name)

    def metadata_patch(self, pod: Pod, attempt: int) -> dict[str, Any]:
        """Metadata that claims an attempt; strategic merge adds the finalizer to those of others."""
        identity = self._provider.identity
        return {
            "finalizers": [identity.finalizer],
            "annotations": {
                identity.claim_annotation: self._provider.location(self.name(pod, attempt)),
                identity.attempt_annotation: str(attempt),
            },
        }

    def release_patch(self) -> dict[str, Any]:
        """Metadata that takes our finalizer away; the annotations stay, they tell where the logs are."""
        return {"$deleteFromPrimitiveList/finalizers": [self._provider.identity.finalizer]}


def owner_of(pod: Pod, cluster_id: str, node_name: str, attempt: int) -> Owner:
    """The owner record of an attempt of this pod as it is written now."""
    return Owner(
        cluster_id=cluster_id,
        node=node_name,
        namespace=pods.namespace(pod),
        pod=pods.name(pod),
        uid=pods.uid(pod),
        attempt=attempt,
        image_hash=image_hash(pod),
    )


def claimed_attempt(pod: Pod, identity: Identity) -> int:
    """The attempt that the pod's claim names; 0 without a claim."""
    if identity.finalizer not in (pods.metadata(pod).get("finalizers") or []):
        return 0
    return _parse_attempt(pods.annotations_of(pod).get(identity.attempt_annotation)) or 0


def image_hash(pod: Pod) -> str:
    """Hash of container 0's image as the pod writes it."""
    return hashlib.sha256(str(pods.container(pod).get("image", "")).encode()).hexdigest()[:16]


def _parse_attempt(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > len(str(GREATEST_ATTEMPT)):
        return None
    return int(text)
