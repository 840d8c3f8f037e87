"""The Events that the daemon tells, as the manual prints them; a test holds the table against the code."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """Reasons that share a meaning."""

    reasons: tuple[str, ...]
    type: str
    when: str


def _row(reasons: str, type: str, when: str) -> Row:
    return Row(tuple(reasons.split()), type, when)


SECTIONS: tuple[tuple[str, tuple[Row, ...]], ...] = (
    (
        "The way of a pod",
        (
            _row("GpuClassesChosen", "Normal", "on which GPU classes it may run, and for how much"),
            _row("Allocated", "Normal", "SaladCloud gave it a machine; with the GPU class, where that is known"),
            _row("Pulling", "Normal", "the machine was seen downloading the image"),
            _row("Pulled", "Normal", "the download is over, and how long it took (at most)"),
            _row("Started", "Normal", "the container runs; counts runs"),
            _row("AddressAssigned", "Normal", "the gateway's host name, when it is there and when it changes"),
            _row("Exited", "Normal, Warning", "the container ended by itself: exit code, and what SaladCloud said"),
            _row(
                "Interrupted", "Warning", "the machine was lost, in SaladCloud's words (`Node Offline`, `Priority`, …)"
            ),
            _row("StartError", "Warning", "the container could not be started, or is being created for too long"),
            _row("Updated", "Normal", "the image was changed in place"),
            _row("Killing", "Normal", "the pod is deleted while its container runs, or its container is replaced"),
            _row("DeadlineExceeded", "Normal", "`activeDeadlineSeconds` are over"),
        ),
    ),
    (
        "What keeps it waiting",
        (
            _row("Failed", "Warning", "the image cannot be used, with SaladCloud's description"),
            _row("BackOff", "Normal", "the image is tried again later; the pod's message says when"),
            _row("QuotaExceeded", "Warning", "the organization's quota is used up; counts tries"),
            _row("OutOfCredit", "Warning", "the organization has no credit, or has been stopped for that"),
            _row("UnknownGpuClass", "Warning", "a class that the pod names is not on offer"),
            _row("NoGpuClassFits", "Warning", "no class has what the pod wants at the price it may cost"),
            _row("ApiKeyRefused", "Warning", "SaladCloud refuses the API key"),
            _row("RejectedBySaladCloud", "Warning", "SaladCloud refuses the request, with its reason"),
            _row("ProjectMismatch", "Warning", "the daemon serves another project than this node's pods lie in"),
            _row("CreationWaits", "Warning", "SaladCloud or the API server cannot be asked"),
            _row("Stopped", "Warning", "somebody else stopped the container group"),
            _row(
                "MandatorySecretNotFound MandatorySecretKeyNotFound FailedToReadMandatorySecret "
                "MandatoryConfigMapNotFound MandatoryConfigMapKeyNotFound FailedToReadMandatoryConfigMap "
                "FailedToReadOptionalSecret FailedToReadOptionalConfigMap",
                "Warning",
                "a source of variables or credentials is missing or cannot be read",
            ),
            _row(
                "InvalidImagePullSecret InvalidLoggingSecret",
                "Warning",
                "the Secret that the pod names is no use as it is",
            ),
        ),
    ),
    (
        "Why it does not run here",
        (
            _row(
                "UnsupportedField UnsupportedEnvSource UnsupportedEnvFrom UnsupportedFieldRef "
                "UnsupportedResourceFieldRef",
                "Warning",
                "SaladCloud has no such thing",
            ),
            _row(
                "InvalidAnnotation UnknownAnnotation InvalidCommand InvalidEnvironment InvalidImage "
                "InvalidProbe InvalidRequest InvalidResources InvalidRestartPolicy AmbiguousGpuClass",
                "Warning",
                "SaladCloud does not take this value",
            ),
            _row("NamespaceNotAllowed", "Warning", "`--namespaces` leaves it out"),
            _row("NotRunOnVirtualNode", "Normal", "a pod of a DaemonSet"),
            _row("NotStartedByThisNode", "Warning", "another kubelet started it"),
            _row("ContainerGroupNotFound", "Warning", "its container group was deleted by somebody else"),
        ),
    ),
    (
        "What is good to know",
        (
            _row("FieldsIgnored", "Normal", "fields without effect here"),
            _row("EmptyVariablesDropped", "Normal", "SaladCloud takes no empty variables"),
            _row("ProbeAdjusted", "Normal", "a probe was fitted to SaladCloud's ranges"),
            _row("NoMatchingImagePullSecret", "Normal", "the image is pulled without credentials"),
            _row(
                "OptionalSecretNotFound OptionalSecretKeyNotFound OptionalConfigMapNotFound "
                "OptionalConfigMapKeyNotFound InvalidEnvironmentVariableNames",
                "Warning",
                "variables that are left out",
            ),
            _row("AnnotationIgnored", "Warning", "an annotation was edited too late"),
            _row("UpdateFailed", "Warning", "a changed image could not be put in place"),
            _row("NameTaken", "Warning", "the container group's name is used up; the next one is tried"),
            _row("ClaimRestored", "Warning", "somebody took the node's finalizer away; it is set again"),
            _row("DeletionWaits", "Warning", "SaladCloud cannot be asked whether the container group is gone"),
        ),
    ),
    (
        "Of the Node",
        (
            _row("Brake", "Warning", "mass deletion or mass vanishing is held"),
            _row("CertificateWaits", "Normal", "the request for the port's certificate waits for approval"),
            _row("CertificateNotIssued", "Warning", "it was denied, or failed"),
        ),
    ),
)


def reasons() -> list[str]:
    return [reason for _, rows in SECTIONS for row in rows for reason in row.reasons]


def event_table_markdown() -> str:
    lines = ["| Event | type | when |", "|---|---|---|"]
    for title, rows in SECTIONS:
        lines.append(f"| **{title}** | | |")
        lines += [f"| {', '.join(f'`{one}`' for one in row.reasons)} | {row.type} | {row.when} |" for row in rows]
    return "\n".join(lines)
