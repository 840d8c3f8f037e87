"""The command `render`: what it prints, its exit codes, and what it says of a wrong file."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.support.gpu_catalog import CLASSES, RTX_3060
from virtual_kubelet_salad import cli
from virtual_kubelet_salad.commands import gpu_offer, render
from virtual_kubelet_salad.errors import CouldNotAsk, Forbidden, NotFound
from virtual_kubelet_salad.kube.client import ConfigurationError
from virtual_kubelet_salad.saladcloud.models import GpuClass

SECRET = "hunter2hunter2"
POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers: [{name: web, image: "nginx:1"}]
"""
GPU_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: gpu}
spec:
  containers: [{name: gpu, image: "cuda:12", resources: {limits: {nvidia.com/gpu: 1}}}]
"""
SECRET_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: app}
spec:
  containers:
  - name: app
    image: app:1
    env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
"""
DB = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: db}}\nstringData: {{password: {SECRET}}}\n"
REFUSED_POD = POD.replace("spec:", "spec:\n  hostNetwork: true\n  hostPID: true").replace("web", "host")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in a directory with the files that are given by name; exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run_it(*arguments: str, **files: str) -> tuple[int, str, str]:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        code = cli.main(["render", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_it


@pytest.fixture
def catalog(tmp_path: pathlib.Path) -> str:
    path = tmp_path / "gpus.json"
    path.write_text(json.dumps(gpu_offer.as_document(CLASSES)))
    return str(path)


def test_an_accepted_pod_is_shown_with_events_price_and_what_is_made_up(run: Run, catalog: str) -> None:
    code, out, err = run("-f", "web.yaml", "--gpu-catalog", catalog, web=GPU_POD)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Pod default/gpu (web.yaml, document 1): accepted"
    end = lines.index("  }")
    request = json.loads("\n".join(lines[1 : end + 1]))
    assert request["container"]["image"] == "cuda:12"
    assert RTX_3060.id in request["container"]["resources"]["gpu_classes"]
    assert lines[end + 1].startswith("  Event Normal GpuClassesChosen: Runs on any of: RTX 3060 (8 GB)")
    assert lines[end + 2 :] == [
        "  Price: $0.08 to $1.20 per hour at priority high",
        "  Made up: metadata.uid, the cluster's id",
        "",
        "1 pod: 1 accepted",
    ]


def test_a_pod_that_is_refused_or_blocked_makes_the_exit_code_1_and_is_named(run: Run) -> None:
    code, out, err = run("-f", "all.yaml", all="---\n".join([POD, REFUSED_POD, SECRET_POD, GPU_POD]))
    assert (code, err) == (1, "")
    paragraphs = out.split("\n\n")
    assert paragraphs[0].startswith("Pod default/web (all.yaml, document 1): accepted\n")
    assert paragraphs[1].splitlines()[0] == "Pod default/host (all.yaml, document 2): refused"
    assert [line.split(":")[0] for line in paragraphs[1].splitlines()[1:]] == ["  UnsupportedField"] * 2
    assert paragraphs[2].splitlines() == [
        "Pod default/app (all.yaml, document 3): blocked",
        "  MandatorySecretNotFound: Secret default/db not found",
        "  Note: sources are given with --sources and --set-secret; --kubeconfig reads those of a cluster",
    ]
    assert paragraphs[3].splitlines()[1].startswith("  CouldNotAsk: the GPU classes on offer are not known here;")
    assert paragraphs[4] == "4 pods: 1 accepted, 2 blocked, 1 refused\n"


def test_json_and_yaml_say_the_same(run: Run) -> None:
    arguments = ("-f", "all.yaml", "--node-ip", "10.0.0.1", "--cluster-id", "cluster")
    files = {"all": "---\n".join([POD, REFUSED_POD])}
    code, out, _ = run(*arguments, "-o", "json", **files)
    data = json.loads(out)
    assert (code, [one["outcome"] for one in data["pods"]]) == (1, ["accepted", "refused"])
    web = data["pods"][0]
    assert web["source"] == {"file": "all.yaml", "document": 1, "kind": "Pod", "name": "web"}
    assert web["pod"] == {"namespace": "default", "name": "web"}
    assert web["dollars_per_hour"] == {"lowest": "0.005", "highest": "0.005", "priority": "high"}
    assert (web["events"], web["made_up"], web["notes"]) == ([], ["metadata.uid"], [])
    assert [reason["reason"] for reason in data["pods"][1]["reasons"]] == ["UnsupportedField"] * 2
    assert yaml.safe_load(run(*arguments, "-o", "yaml", **files)[1]) == data
    assert run(*arguments, "-o", "json", **files)[1] == out


def test_an_item_of_a_list_is_named_as_such(run: Run) -> None:
    items = {"apiVersion": "v1", "kind": "PodList", "items": [yaml.safe_load(POD)]}
    _, out, _ = run("-f", "list.yaml", "-o", "json", list=json.dumps(items))
    assert json.loads(out)["pods"][0]["source"]["item"] == 1
    assert "(list.yaml, document 1, item 1): accepted" in run("-f", "list.yaml")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("-f", "app.yaml", "--sources", "db.yaml"),
        ("-f", "app.yaml", "-f", "db.yaml"),
        ("-f", "app.yaml", "--set-secret", f"default/db/password={SECRET}"),
    ],
)
def test_a_secret_may_be_given_in_three_ways_and_is_never_shown(run: Run, arguments: tuple[str, ...]) -> None:
    for output in ("text", "json", "yaml"):
        code, out, err = run(*arguments, "-o", output, app=SECRET_POD, db=DB)
        assert (code, err) == (0, "")
        assert "********" in out and SECRET not in out


def test_the_namespace_of_objects_that_name_none_can_be_given(run: Run) -> None:
    arguments = ("-f", "app.yaml", "-n", "ml", "--set-secret", f"ml/db/password={SECRET}")
    assert "Pod ml/app (app.yaml, document 1): accepted" in run(*arguments, app=SECRET_POD)[1]


def test_the_operators_settings_hold(run: Run, catalog: str) -> None:
    arguments = ("-f", "gpu.yaml", "--gpu-catalog", catalog, "--default-priority", "batch", "-o", "json")
    settings = ("--max-price-per-hour", "0.05", "--nodename", "other-node", "--cluster-id", "c1")
    (gpu,) = json.loads(run(*arguments, *settings, gpu=GPU_POD)[1])["pods"]
    assert gpu["dollars_per_hour"] == {"lowest": "0.01", "highest": "0.040", "priority": "batch"}
    owner = json.loads(gpu["request"]["container"]["environment_variables"]["SALAD_VK_OWNER"])
    assert (owner["cluster"], owner["node"]) == ("c1", "other-node")
    (refused,) = json.loads(run(*arguments, "--namespaces", "a,b", gpu=GPU_POD)[1])["pods"]
    assert refused["reasons"][0]["reason"] == "NamespaceNotAllowed"


def test_the_nodes_address_is_made_up_where_the_pod_reads_it(run: Run) -> None:
    reads = POD.replace('"nginx:1"', '"nginx:1", env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]')
    _, out, _ = run("-f", "web.yaml", "-o", "json", web=reads)
    (web,) = json.loads(out)["pods"]
    assert web["made_up"] == ["metadata.uid", "the cluster's id", "the node's address"]
    assert web["request"]["container"]["environment_variables"]["IP"] == render.PLACEHOLDER_ADDRESS


def test_a_daemon_set_is_no_failure_and_other_objects_are_named(run: Run) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    agent = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": spec}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}
    code, out, _ = run("-f", "all.yaml", all=f"{json.dumps(agent)}\n---\n{json.dumps(service)}\n---\n{DB}")
    assert code == 0
    assert out.splitlines()[0] == "DaemonSet default/agent (all.yaml, document 1): not run here"
    assert "Service web (all.yaml, document 2): makes no pods\n" in out
    assert out.endswith("1 pod: 1 not run here\n")


def test_unknown_fields_are_noted(run: Run) -> None:
    code, out, _ = run("-f", "web.yaml", web=POD.replace("{name: web}", "{name: web, anotations: {}}"))
    assert code == 0
    assert "  Note: metadata.anotations is no field that is known here" in out


def test_pull_secrets_come_from_the_service_account(run: Run) -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: [{name: registry}]\n"
    code, out, _ = run("-f", "web.yaml", "--sources", "account.yaml", web=POD, account=account)
    assert code == 1
    assert "MandatorySecretNotFound: Secret default/registry not found" in out


# -- wrong input


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (f"a: [{SECRET}", ["web.yaml, document 1: is no YAML (line 1 of the file)"]),
        ("", ["web.yaml: holds no object"]),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}",
            [
                "--filename: nothing there makes pods; known are Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, "
                "ReplicationController, Job, CronJob"
            ],
        ),
        (
            POD + "---\n" + POD.replace("name: web, image", f"command: {SECRET}, image"),
            [
                "web.yaml, document 2 (Pod web): spec.containers[0].command: must be a list",
                "web.yaml, document 2 (Pod web): spec.containers[0].name: is missing",
            ],
        ),
        (
            POD + "---\n" + DB.replace(SECRET, "[]"),
            ["web.yaml, document 2 (Secret db): stringData.password: must be a string (put it in quotes)"],
        ),
    ],
)
def test_a_wrong_file_is_told_one_line_per_problem_with_code_2(run: Run, text: str, problems: list[str]) -> None:
    code, out, err = run("-f", "web.yaml", web=text)
    assert (code, out) == (2, "")
    assert err.splitlines() == [f"virtual-kubelet-salad: {problem}" for problem in problems]
    assert SECRET not in err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "--filename (SALAD_VK_FILENAME): is required"),
        (("-f", "absent.yaml"), "--filename (SALAD_VK_FILENAME): must name a file that can be read"),
        (("-f", "web.yaml", "--set-secret", SECRET), "--set-secret (SALAD_VK_SET_SECRET): must be NAMESPACE/NAME/KEY"),
        (("-f", "web.yaml", "--output", SECRET), "--output (SALAD_VK_OUTPUT): must be one of text, json, yaml"),
        (("-f", "web.yaml", "--gpu-catalog", "web.yaml"), "--gpu-catalog: the file is not JSON"),
        (("-f", "web.yaml", "--kubeconfig", "web.yaml"), "--kubeconfig (KUBECONFIG): kubeconfig web.yaml: "),
        (
            ("-f", "web.yaml", "--max-price-per-hour", "0"),
            "--max-price-per-hour (SALAD_VK_MAX_PRICE_PER_HOUR): must be",
        ),
        (("-f", "web.yaml", "--workers", "5"), "--workers: unknown flag"),
    ],
)
def test_a_wrong_command_line_is_told_with_code_2(run: Run, arguments: tuple[str, ...], problem: str) -> None:
    code, out, err = run(*arguments, web=POD)
    assert (code, out) == (2, "")
    assert err.startswith(f"virtual-kubelet-salad: {problem}")
    assert SECRET not in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[]", "the file is no list of GPU classes; `gpu-classes --output json` prints one"),
        ('{"items": 5}', "the file is no list of GPU classes; `gpu-classes --output json` prints one"),
        ('{"items": [{"id": "a"}]}', "each GPU class in the file must have id, name and prices"),
        ('{"items": [{"id": "a", "name": "b", "prices": 5}]}', "each GPU class in the file must have id, name and"),
    ],
)
def test_a_wrong_catalog_is_told(run: Run, tmp_path: pathlib.Path, content: str, problem: str) -> None:
    (tmp_path / "gpus.json").write_text(content)
    code, _, err = run("-f", "web.yaml", "--gpu-catalog", "gpus.json", web=POD)
    assert code == 2
    assert err.startswith(f"virtual-kubelet-salad: --gpu-catalog: {problem}")


def test_a_catalog_survives_being_written_and_read(catalog: str) -> None:
    read = gpu_offer.read(catalog)
    assert sorted(read, key=lambda one: one.id) == sorted(CLASSES, key=lambda one: one.id)


# -- a cluster and SaladCloud


class FakeCluster:
    """Implements what is used of the API server, and of its transport."""

    def __init__(self, *, uid: str | Exception = "the-uid", objects: dict[str, Any] | None = None) -> None:
        self._uid = uid
        self._objects = objects or {}
        self.is_closed = False

    def cluster_uid(self) -> str:
        if isinstance(self._uid, Exception):
            raise self._uid
        return self._uid

    def get(self, path: str) -> dict[str, Any]:
        answer = self._objects.get(path, NotFound("it is not there"))
        if isinstance(answer, Exception):
            raise answer
        found: dict[str, Any] = answer
        return found

    def close(self) -> None:
        self.is_closed = True


def use(monkeypatch: pytest.MonkeyPatch, cluster: FakeCluster) -> None:
    monkeypatch.setattr(render, "load_configuration", lambda kubeconfig: None)
    monkeypatch.setattr(render, "OfficialTransport", lambda configuration: cluster)
    monkeypatch.setattr(render, "ApiServer", lambda transport: transport)


def test_with_a_kubeconfig_the_real_sources_are_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/api/v1/namespaces/default/secrets/db"
    cluster = FakeCluster(objects={path: {"data": {"password": "aHVudGVyMmh1bnRlcjI="}}})
    use(monkeypatch, cluster)
    code, out, err = run("-f", "app.yaml", "--kubeconfig", "app.yaml", "-o", "json", app=SECRET_POD)
    assert (code, err) == (0, "")
    (app,) = json.loads(out)["pods"]
    variables = app["request"]["container"]["environment_variables"]
    assert variables["PASSWORD"] == "********"
    assert json.loads(variables["SALAD_VK_OWNER"])["cluster"] == "the-uid"
    assert app["made_up"] == ["metadata.uid"]
    assert cluster.is_closed


def test_a_cluster_that_does_not_answer_is_told_and_blocks_only_who_needs_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = CouldNotAsk("no answer from the API server")
    use(monkeypatch, FakeCluster(uid=silent, objects={"/api/v1/namespaces/default/secrets/db": silent}))
    code, out, err = run("-f", "all.yaml", "--kubeconfig", "all.yaml", all=f"{POD}---\n{SECRET_POD}")
    assert code == 1
    assert "document 1): accepted" in out and "document 2): blocked\n  CouldNotAsk: no answer from the API" in out
    assert "the cluster's id is not known, a made-up one is shown: no answer from the API server" in err


def test_an_account_that_may_not_be_read_is_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default"
    use(monkeypatch, FakeCluster(objects={path: Forbidden("you may not")}))
    code, out, _ = run("-f", "web.yaml", "--kubeconfig", "web.yaml", web=POD)
    assert code == 0
    assert "  Note: the pull secrets of the ServiceAccount default are not known: you may not" in out


def test_a_kubeconfig_without_use_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(kubeconfig: str) -> None:
        raise ConfigurationError(f"kubeconfig {kubeconfig}: not YAML")

    monkeypatch.setattr(render, "load_configuration", fail)
    code, _, err = run("-f", "web.yaml", "--kubeconfig", "web.yaml", web=POD)
    assert (code, err) == (2, "virtual-kubelet-salad: --kubeconfig (KUBECONFIG): kubeconfig web.yaml: not YAML\n")


def test_with_a_key_saladcloud_is_asked_for_its_classes_once_and_only_when_needed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def ask(options: Any) -> tuple[GpuClass, ...]:
        asked.append(options["sce_organization_name"])
        return CLASSES

    monkeypatch.setattr(gpu_offer, "ask", ask)
    monkeypatch.setenv("SALAD_CLOUD_API_KEY", "a-key")
    arguments = ("-f", "all.yaml", "--sce-organization-name", "acme-corp")
    assert run(*arguments, all=POD)[0] == 0
    assert asked == []
    assert run(*arguments, all=f"{GPU_POD}---\n{GPU_POD}")[0] == 0
    assert asked == ["acme-corp"]


def test_who_cannot_be_asked_for_classes_is_asked_once_and_blocks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def ask(options: Any) -> tuple[GpuClass, ...]:
        asked.append(options)
        raise CouldNotAsk("SaladCloud does not answer")

    monkeypatch.setattr(gpu_offer, "ask", ask)
    monkeypatch.setenv("SALAD_CLOUD_API_KEY", "a-key")
    monkeypatch.setenv("SALAD_CLOUD_ORGANIZATION_NAME", "acme-corp")
    code, out, _ = run("-f", "all.yaml", all=f"{GPU_POD}---\n{GPU_POD}")
    assert (code, len(asked)) == (1, 1)
    assert out.count("  CouldNotAsk: SaladCloud does not answer\n") == 2
