"""Answers the questions "who is this?" and "may they?": here everybody is known and everything is allowed.

Reviews are not stored. They exist so that a client that asks before it acts works against this server too.
"""

from __future__ import annotations

from virtual_kubelet_salad.sandbox.api_errors import Json, bad_request

_USER = {"username": "sandbox", "groups": ["system:masters", "system:authenticated"]}
_REVIEWS = {
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": "SubjectAccessReview",
    "/apis/authentication.k8s.io/v1/tokenreviews": "TokenReview",
}


def is_review(path: str) -> bool:
    """Whether this path takes reviews."""
    return path.rstrip("/") in _REVIEWS


def review(path: str, body: object) -> Json:
    """The review with its status; 400 when it is none."""
    kind = _REVIEWS[path.rstrip("/")]
    if not isinstance(body, dict) or not isinstance(body.get("spec"), dict) or body.get("kind", kind) != kind:
        raise bad_request(f"the body of the request is not a {kind}")
    if kind == "TokenReview" and not body["spec"].get("token"):
        raise bad_request("token is required for TokenReview in authentication")
    status: Json = {"authenticated": True, "user": _USER} if kind == "TokenReview" else {"allowed": True}
    return {**body, "kind": kind, "apiVersion": path.split("/apis/")[1].rpartition("/")[0], "status": status}
