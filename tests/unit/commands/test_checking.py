"""`check` tells one fact per line, each from a live answer, and changes nothing."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
from collections.abc import Iterator

import pytest
import yaml

from tests.support.clock import FakeClock
from tests.support.cloud_transport import CloudTransport
from tests.support.model_transport import ModelTransport
from virtual_kubelet_salad import errors
from virtual_kubelet_salad.commands import checking, rights
from virtual_kubelet_salad.commands.checking import Fact, ServerTime, TimedApi, TimedSaladCloud
from virtual_kubelet_salad.kube.client import ApiAnswer, ApiServer
from virtual_kubelet_salad.metrics import Metrics
from virtual_kubelet_salad.runtime.ratelimit import Budget
from virtual_kubelet_salad.saladcloud.client import SaladCloud
from virtual_kubelet_salad.sandbox.api_model import ApiServerModel
from virtual_kubelet_salad.sandbox.salad_model import SaladCloudModel
from virtual_kubelet_salad.sandbox.salad_settings import FAST

RBAC = pathlib.Path(__file__).parent.parent.parent.parent / "deploy" / "manifests" / "rbac.yaml"
NODE = "saladcloud-node"


class Cloud:
    """The simulated SaladCloud, and what `check` says of it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.model = SaladCloudModel(clock, dataclasses.replace(FAST, rate_limit_per_minute=None), 0)
        self.transport = CloudTransport(self.model)
        self.time = ServerTime(clock)
        self.limit = 100

    def client(self, organization: str = "sandbox", project: str = "default") -> SaladCloud:
        timed = TimedSaladCloud(self.transport, self.time)
        observer = Metrics.in_new_registry()
        return SaladCloud(timed, Budget(self.clock, 0), self.clock, observer, organization, project)

    def facts(self, organization: str = "sandbox", project: str = "default") -> list[str]:
        facts = checking.saladcloud_facts(self.client(organization, project), self.time, self.limit)
        return [str(fact) for fact in facts]

    def create(self, name: str) -> None:
        self.client().create_group(
            {
                "name": name,
                "container": {"image": "i", "resources": {"cpu": 1, "memory": 1024}},
                "autostart_policy": True,
                "replicas": 1,
                "restart_policy": "always",
            }
        )


@pytest.fixture
def cloud(fake_clock: FakeClock) -> Iterator[Cloud]:
    cloud = Cloud(fake_clock)
    yield cloud
    assert cloud.model.statistics()["schema_violations"] == 0


@pytest.fixture
def transport(fake_clock: FakeClock) -> ModelTransport:
    return ModelTransport(ApiServerModel(fake_clock))


def api_facts(transport: ModelTransport, clock: FakeClock, cluster_id: str | None = None) -> list[str]:
    time = ServerTime(clock)
    api = ApiServer(TimedApi(transport, time), clock=clock)
    return [str(fact) for fact in checking.api_server_facts(api, time, NODE, cluster_id)]


def starting(beginning: str, facts: list[str]) -> str:
    found = [fact for fact in facts if beginning in fact]
    assert len(found) == 1, facts
    return found[0]


# -- SaladCloud


def test_where_everything_is_in_order_each_line_says_so(cloud: Cloud) -> None:
    facts = cloud.facts()
    assert all(fact.startswith("ok ") for fact in facts), facts
    assert [fact.split()[1].rstrip(":") for fact in facts] == [
        "API", "organization", "quota", "project", "list", "container", "clock"
    ]  # fmt: skip


def test_a_refused_key_is_told_once(cloud: Cloud) -> None:
    cloud.model.refuse_keys(True)
    facts = cloud.facts()
    assert starting("API key", facts).startswith("fail")
    assert not any("organization" in fact or "project" in fact for fact in facts)


def test_an_unknown_organization_is_told_with_its_name(cloud: Cloud) -> None:
    facts = cloud.facts(organization="nobody")
    assert starting("organization nobody", facts).startswith("fail")
    assert starting("API key", facts).startswith("ok")


def test_an_unknown_project_is_told_with_its_name(cloud: Cloud) -> None:
    facts = cloud.facts(project="nothing")
    assert starting("project nothing", facts).startswith("fail")
    assert starting("organization sandbox", facts).startswith("ok")


def test_an_outage_is_neither_a_wrong_key_nor_a_wrong_name(cloud: Cloud) -> None:
    cloud.model.outage("503")
    facts = cloud.facts()
    assert facts[0].startswith("fail") and "SaladCloud: SaladCloud answered 503" in facts[0]
    assert len(facts) == 2


def test_a_quota_of_nothing_is_a_failure(cloud: Cloud) -> None:
    cloud.model.configure(replica_quota=0)
    assert starting("quota: 0 of 0", cloud.facts()).startswith("fail")


def test_groups_of_others_are_counted_and_named(cloud: Cloud) -> None:
    for number in range(12):
        cloud.create(f"somebody-{number:02}")
    line = starting("without an owner record: 12", cloud.facts())
    assert line.startswith("ok") and "somebody-00" in line and "…" in line and "somebody-11" not in line


@pytest.mark.parametrize(
    ("limit", "said"), [(4, "3 container groups of at most 4"), (3, "as many as one"), (2, "not cut off"), (0, "all")]
)
def test_the_length_of_the_list_is_compared_with_its_limit(cloud: Cloud, limit: int, said: str) -> None:
    cloud.limit = limit
    for number in range(3):
        cloud.create(f"somebody-{number}")
    assert said in starting("list: 3", cloud.facts())


# -- the API server


def test_each_right_is_asked_for(transport: ModelTransport, fake_clock: FakeClock) -> None:
    facts = api_facts(transport, fake_clock)
    assert all(fact.startswith("ok ") for fact in facts), facts
    assert sum("right to" in fact for fact in facts) == len(rights.needed(NODE))


def test_a_missing_right_fails_alone(transport: ModelTransport, fake_clock: FakeClock) -> None:
    class Stingy(ModelTransport):
        def request(self, method: str, path: str, **options: object) -> ApiAnswer:  # type: ignore[override]
            answer = super().request(method, path, **options)  # type: ignore[arg-type]
            body = options.get("body")
            if isinstance(body, dict) and body["spec"]["resourceAttributes"].get("resource") == "secrets":
                return ApiAnswer(201, {**(answer.body or {}), "status": {"allowed": False}})
            return answer

    facts = api_facts(Stingy(transport.model), fake_clock)
    assert [fact for fact in facts if fact.startswith("fail")] == ["fail  right to get secrets: missing"]


def test_an_api_server_that_does_not_answer_is_one_line(transport: ModelTransport, fake_clock: FakeClock) -> None:
    def down(method: str, path: str) -> None:
        raise errors.CouldNotAsk("nobody there")

    transport.before = down
    assert api_facts(transport, fake_clock) == ["fail  API server: nobody there"]


def test_nothing_is_written(transport: ModelTransport, fake_clock: FakeClock) -> None:
    asked: list[str] = []
    transport.before = lambda method, path: asked.append(f"{method} {path.rpartition('/')[2]}")
    api_facts(transport, fake_clock)
    assert set(asked) == {"GET version", "GET kube-system", "POST selfsubjectaccessreviews"}


def test_the_rights_are_those_that_the_manifest_grants() -> None:
    granted = {
        (verb, group, resource, role["metadata"].get("namespace", ""), name)
        for role in yaml.safe_load_all(RBAC.read_text())
        if role["kind"] in ("Role", "ClusterRole")
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }
    asked = {
        (
            right.verb,
            right.group,
            f"{right.resource}/{right.subresource}" if right.subresource else right.resource,
            right.namespace,
            right.name,
        )
        for right in rights.needed(NODE)
    }
    assert asked == granted


# -- the clocks


@pytest.mark.parametrize(
    ("seconds", "is_ok", "said"),
    [(0, True, "agrees"), (-9, True, "agrees"), (60, False, "60 s ahead"), (-3600, False, "3600 s behind")],
)
def test_a_clock_that_is_off_is_told(fake_clock: FakeClock, seconds: int, is_ok: bool, said: str) -> None:
    time = ServerTime(fake_clock)
    time.heard(fake_clock.now() + datetime.timedelta(seconds=seconds))
    fact = time.fact("the server")
    assert fact.is_ok is is_ok and said in fact.text


def test_a_server_that_tells_no_time_is_no_failure(fake_clock: FakeClock) -> None:
    time = ServerTime(fake_clock)
    time.heard(None)
    assert time.fact("the server") == Fact(True, "clock: the server does not tell its time")


@pytest.mark.parametrize(
    ("date", "is_told"),
    [("Thu, 01 Jan 2026 00:00:00 GMT", True), ("Thu, 01 Jan 2026 00:00:00 -0000", False), ("soon", False)],
)
def test_the_date_of_an_answer_is_read_or_passed_over(fake_clock: FakeClock, date: str, is_told: bool) -> None:
    class Dated(ModelTransport):
        def request(self, method: str, path: str, **options: object) -> ApiAnswer:  # type: ignore[override]
            answer = super().request(method, path, **options)  # type: ignore[arg-type]
            return ApiAnswer(answer.status, answer.body, {"date": date})

    facts = api_facts(Dated(ApiServerModel(fake_clock)), fake_clock)
    assert ("agrees" in facts[-1]) is is_told
