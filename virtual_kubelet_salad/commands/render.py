"""The subcommand `render`: shows, for each pod of some manifests, the request that SaladCloud would get, or why none.

Needs neither a cluster nor a key where the pods need nothing of them. Nothing is changed anywhere. Exit codes: 0 each
pod is accepted, 1 some are refused or blocked, 2 the command line or a file is wrong.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from virtual_kubelet_salad import config, errors, logs
from virtual_kubelet_salad.commands import gpu_offer, manifests, output, pod_templates, render_output
from virtual_kubelet_salad.commands.given_sources import KINDS, GivenSources
from virtual_kubelet_salad.commands.pod_templates import Candidate
from virtual_kubelet_salad.commands.render_output import Shown
from virtual_kubelet_salad.commands.rendering import ACCEPTED, NOT_RUN, Renderer
from virtual_kubelet_salad.config_options import RENDER_OPTIONS
from virtual_kubelet_salad.kube.client import ApiServer, ConfigurationError, OfficialTransport, load_configuration
from virtual_kubelet_salad.kubelet import pods
from virtual_kubelet_salad.saladcloud import container_group
from virtual_kubelet_salad.saladcloud.models import GpuClass

PROGRAM = "virtual-kubelet-salad render"
DESCRIPTION = """\
Shows the container group that each pod of the given manifests would get at SaladCloud, with secrets masked, what would
be told about it, and its price; or why it would get none. Needs neither a cluster nor a key as long as the pods need
nothing of them."""

PLACEHOLDER_ADDRESS = "192.0.2.1"  # of a network that is reserved for examples

_EXIT_NOT_ALL_ACCEPTED = 1


def main(argv: Sequence[str]) -> int:
    """Prints what becomes of the pods; the exit code. Raises `config.ConfigProblems`."""
    options = config.parse_options(
        RENDER_OPTIONS, argv, os.environ, program=PROGRAM, description=DESCRIPTION, needs_key=False
    )
    logs.set_up("warning", "text")
    if options["kubeconfig"] is None:
        return _run(options, None)
    try:
        transport = OfficialTransport(load_configuration(options["kubeconfig"]))
    except ConfigurationError as error:
        raise config.ConfigProblems([f"--kubeconfig (KUBECONFIG): {error}"]) from None
    try:
        return _run(options, ApiServer(transport))
    finally:
        transport.close()


class _Offer:
    """The GPU classes, from a file or from SaladCloud, asked for when they are first needed."""

    def __init__(self, options: Mapping[str, Any], from_file: tuple[GpuClass, ...] | None) -> None:
        self._options = options
        self._answer: tuple[GpuClass, ...] | errors.CouldNotAsk | None = from_file

    def classes(self) -> tuple[GpuClass, ...]:
        if self._answer is None:
            self._answer = self._ask()
        if isinstance(self._answer, errors.CouldNotAsk):
            raise self._answer
        return self._answer

    def _ask(self) -> tuple[GpuClass, ...] | errors.CouldNotAsk:
        if self._options["api_key"] is None or self._options["sce_organization_name"] is None:
            return errors.CouldNotAsk(
                "the GPU classes on offer are not known here; name a file with --gpu-catalog, or give the API key and "
                "--sce-organization-name"
            )
        try:
            return gpu_offer.ask(self._options)
        except errors.CouldNotAsk as error:
            return error


def _run(options: Mapping[str, Any], api: ApiServer | None) -> int:
    problems: list[str] = []
    catalog = _Offer(options, _catalog_file(options["gpu_catalog"], problems))
    documents = manifests.read(options["filename"], problems)
    sources = GivenSources(api)
    # A file that is applied brings its own Secrets and ConfigMaps along.
    sources.add([*manifests.read(options["sources"], problems), *documents], options["namespace"], problems)
    sources.set_values(options["set_secret"])
    candidates, others = _candidates(documents, options["namespace"], problems)
    if problems:
        raise config.ConfigProblems(problems)
    cluster_id = options["cluster_id"] or _cluster_id(api)
    renderer = Renderer(
        sources,
        catalog,
        container_group.Settings(options["default_priority"], options["max_price_per_hour"]),
        cluster_id=cluster_id or pod_templates.PLACEHOLDER_UID,
        node_name=options["nodename"],
        host_ip=options["node_ip"] or PLACEHOLDER_ADDRESS,
        namespaces=options["namespaces"] or (),
    )
    shown = []
    for one in candidates:
        made_up = [*one.placeholders]
        made_up += [] if cluster_id else ["the cluster's id"]
        made_up += ["the node's address"] if options["node_ip"] is None and _reads_the_address(one.pod) else []
        shown.append(_shown(one, renderer, sources, made_up, has_cluster=api is not None))
    output.write(render_output.FORMATS[options["output"]](shown, others))
    return 0 if all(one.rendered.outcome in (ACCEPTED, NOT_RUN) for one in shown) else _EXIT_NOT_ALL_ACCEPTED


def _catalog_file(path: str | None, problems: list[str]) -> tuple[GpuClass, ...] | None:
    if path is None:
        return None
    try:
        return gpu_offer.read(path)
    except gpu_offer.BadCatalog as bad:
        problems.append(f"--gpu-catalog: {bad}")
        return None


def _candidates(
    documents: Sequence[manifests.Document], namespace: str, problems: list[str]
) -> tuple[list[Candidate], list[manifests.Document]]:
    """The pods, and the documents that make none and are no source either."""
    candidates: list[Candidate] = []
    others: list[manifests.Document] = []
    before = len(problems)
    for document in documents:
        if pod_templates.is_rendered(document):
            found = pod_templates.candidate(document, namespace, problems)
            candidates += [found] if found is not None else []
        elif document.kind not in KINDS:
            others.append(document)
    if documents and not candidates and len(problems) == before:
        problems.append(f"--filename: nothing there makes pods; known are {', '.join(pod_templates.KINDS)}")
    return candidates, others


def _reads_the_address(pod: Mapping[str, Any]) -> bool:
    references = (
        (variable.get("valueFrom") or {}).get("fieldRef") for variable in pods.container(pod).get("env") or []
    )
    return any(str(reference.get("fieldPath")).startswith("status.hostIP") for reference in references if reference)


def _cluster_id(api: ApiServer | None) -> str | None:
    if api is None:
        return None
    try:
        return api.cluster_uid()
    except errors.Error as error:
        print(f"{PROGRAM}: the cluster's id is not known, a made-up one is shown: {error}", file=sys.stderr)
        return None


def _shown(
    one: Candidate, renderer: Renderer, sources: GivenSources, made_up: Sequence[str], *, has_cluster: bool
) -> Shown:
    notes = [
        f"{field} is no field that is known here; where the API server does not know it either, kubectl refuses it"
        for field in one.unknown_fields
    ]
    spec, metadata = one.pod["spec"], one.pod["metadata"]
    if not spec.get("imagePullSecrets"):
        account = spec["serviceAccountName"]
        try:
            spec["imagePullSecrets"] = sources.pull_secrets_of(metadata["namespace"], account)
        except errors.Error as error:
            notes.append(f"the pull secrets of the ServiceAccount {account} are not known: {error}")
    rendered = renderer.render(one.pod)
    if rendered.lacks_sources and not has_cluster:
        notes.append("sources are given with --sources and --set-secret; --kubeconfig reads those of a cluster")
    return Shown(one, rendered, tuple(notes), tuple(made_up))
