from __future__ import annotations

import dataclasses
import decimal
import logging
import os
import pathlib

import pytest

from virtual_kubelet_salad import config
from virtual_kubelet_salad.api_key import ApiKeySource
from virtual_kubelet_salad.config_options import CONFIG_FILE, DAEMON_OPTIONS, Option
from virtual_kubelet_salad.config_values import Address, BadValue

KEY = "salad_cloud_user_4f1dXyZ"
REQUIRED = {
    "SALAD_CLOUD_API_KEY": KEY,
    "SALAD_CLOUD_ORGANIZATION_NAME": "acme-corp",
    "SALAD_CLOUD_PROJECT_NAME": "dev-env",
}


def load(*argv: str, **environ: str) -> config.Config:
    return config.load(argv, {**REQUIRED, **environ}, subcommands=["sandbox"])


def problems(*argv: str, **environ: str) -> list[str]:
    with pytest.raises(config.ConfigProblems) as wrong:
        load(*argv, **environ)
    return list(wrong.value.problems)


# -- sources


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = load()
    assert settings.nodename == "saladcloud-node"
    assert settings.sce_api_url == "https://api.salad.com/api/public"
    assert (settings.sce_rate_limit, settings.salad_list_limit, settings.workers) == (240, 100, 10)
    assert (settings.poll_interval, settings.feed_interval, settings.heartbeat_interval) == (5.0, 10.0, 10.0)
    assert (settings.create_settle, settings.shutdown_timeout) == (120.0, 20.0)
    assert (settings.taint_key, settings.taint_value, settings.taint_effect, settings.disable_taint) == (
        "virtual-kubelet.io/provider", "saladcloud", "NoSchedule", False,
    )
    assert settings.metrics_address == Address("0.0.0.0", 8080)
    assert settings.kubelet_port == 10250
    assert settings.leader_elect is True
    assert (settings.default_priority, settings.daemonset_pods) == ("high", "ready")
    unset = (settings.max_pods, settings.capacity, settings.namespaces, settings.kubeconfig, settings.cluster_id)
    assert unset == (None,) * 5


def test_every_option_has_its_field_and_no_field_is_without_option() -> None:
    fields = {field.name for field in dataclasses.fields(config.Config)} - {"api_key"}
    options = {option.field for option in DAEMON_OPTIONS} - {"config", "sce_api_key", "sce_api_key_file"}
    assert fields == options


def test_a_flag_wins_over_its_variable_and_the_variable_over_the_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vk.conf"
    file.write_text("# ours\nworkers = 2\nnodename: from-file\n--max-pods 7\nleader-elect = no\n")
    settings = load("--config", str(file), "--workers=4", SALAD_VK_WORKERS="3", SALAD_VK_NODE_NAME="from-variable")
    assert settings.workers == 4
    assert settings.nodename == "from-variable"
    assert settings.max_pods == 7
    assert settings.leader_elect is False


def test_the_config_file_can_be_named_by_a_variable(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vk.conf"
    file.write_text("workers = 2\n")
    assert load(SALAD_VK_CONFIG=str(file)).workers == 2


def test_an_empty_variable_and_an_empty_value_in_the_file_are_unset(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vk.conf"
    file.write_text("taint-value =\n")
    settings = load("--config", str(file), SALAD_VK_WORKERS="", KUBECONFIG="")
    assert (settings.workers, settings.kubeconfig, settings.taint_value) == (10, None, "saladcloud")


def test_the_last_of_a_repeated_flag_counts() -> None:
    assert load("--workers", "2", "--workers", "3").workers == 3


@pytest.mark.parametrize(
    ("argv", "environ", "is_on"),
    [
        ((), {}, True),
        (("--no-leader-elect",), {"SALAD_VK_LEADER_ELECT": "true"}, False),
        (("--leader-elect",), {"SALAD_VK_LEADER_ELECT": "false"}, True),
        (("--leader-elect=false",), {}, False),
        (("--no-leader-elect=false",), {}, True),
        ((), {"SALAD_VK_LEADER_ELECT": "OFF"}, False),
    ],
)
def test_a_switch_can_be_turned_both_ways(argv: tuple[str, ...], environ: dict[str, str], is_on: bool) -> None:
    assert load(*argv, **environ).leader_elect is is_on


def test_the_go_kubelets_flags_and_variables_are_understood(tmp_path: pathlib.Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text("{}")
    settings = config.load(
        [
            "--nodename", "n", "--kube-config", str(kubeconfig), "--disable-taint", "--log-level", "trace",
            "--sce-api-key", "k", "--sce-organization-name", "oo", "--sce-project-name", "pp",
        ],
        {},
    )
    assert (settings.nodename, settings.kubeconfig, settings.disable_taint) == ("n", str(kubeconfig), True)
    assert (settings.log_level, settings.sce_organization_name, settings.sce_project_name) == ("debug", "oo", "pp")
    from_variables = load(SALAD_VK_NODE_NAME="m", KUBECONFIG=str(kubeconfig), SALAD_VK_LOG_LEVEL="warn")
    assert (from_variables.nodename, from_variables.kubeconfig) == ("m", str(kubeconfig))
    assert from_variables.log_level == "warning"


# -- values


@pytest.mark.parametrize(
    ("flag", "text", "value"),
    [
        ("--poll-interval", "500ms", 0.5),
        ("--poll-interval", "7", 7.0),
        ("--create-settle", "2m", 120.0),
        ("--sce-rate-limit", "0", None),
        ("--sce-rate-limit", "60", 60),
        ("--max-price-per-hour", "0.25", decimal.Decimal("0.25")),
        ("--capacity", "cpu=64, nvidia.com/gpu=8", (("cpu", "64"), ("nvidia.com/gpu", "8"))),
        ("--capacity", "memory=1.5Gi", (("memory", "1.5Gi"),)),
        ("--namespaces", "default, team-a", ("default", "team-a")),
        ("--default-priority", "Batch", "batch"),
        ("--taint-effect", "noexecute", "NoExecute"),
        ("--metrics-address", ":9100", Address("0.0.0.0", 9100)),
        ("--metrics-address", "[::1]:0", Address("::1", 0)),
        ("--metrics-address", "localhost:80", Address("localhost", 80)),
        ("--node-ip", "fd00::1", "fd00::1"),
        ("--sce-api-url", "https://api.example.com/api/public/", "https://api.example.com/api/public"),
        ("--sce-api-url", "http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
        ("--sce-api-url", "http://[::1]:8000", "http://[::1]:8000"),
        ("--sce-api-url", "http://localhost", "http://localhost"),
        ("--nodename", "salad.example-1", "salad.example-1"),
        ("--kubelet-port", "0", 0),
    ],
)
def test_a_good_value_is_typed(flag: str, text: str, value: object) -> None:
    field = flag.removeprefix("--").replace("-", "_")
    assert getattr(load(f"{flag}={text}"), field) == value


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--workers", "-1"), ("--workers", "0"), ("--workers", "101"), ("--workers", "ten"), ("--workers", "1_0"),
        ("--workers", "٣"), ("--max-pods", "0"), ("--salad-list-limit", "-1"), ("--sce-rate-limit", "-5"),
        ("--poll-interval", "0"), ("--poll-interval", "1h"), ("--poll-interval", "nan"), ("--poll-interval", "1e1"),
        ("--heartbeat-interval", "30s"), ("--shutdown-timeout", "0.5"), ("--kubelet-port", "65536"),
        ("--nodename", "Node"), ("--nodename", "a..b"), ("--nodename", "-a"), ("--nodename", "a" * 64),
        ("--nodename", "a\n"),
        ("--sce-organization-name", "a"), ("--sce-organization-name", "Acme"), ("--sce-project-name", "1a"),
        ("--sce-project-name", "a/b"), ("--sce-project-name", "a" * 64), ("--sce-project-name", "ab-"),
        ("--sce-api-key", "two words"), ("--sce-api-key", "schlüssel"), ("--sce-api-key", "a\nb"),
        ("--sce-api-url", "http://api.salad.com"), ("--sce-api-url", "http://127.0.0.1.evil.com"),
        ("--sce-api-url", "ftp://x"), ("--sce-api-url", "https://"), ("--sce-api-url", "https://user:pw@x/"),
        ("--sce-api-url", "https://x/?a=b"), ("--sce-api-url", "https://x:port/"), ("--sce-api-url", "https://[x/"),
        ("--sce-api-url", "api.salad.com"), ("--cluster-id", "a/b"), ("--taint-key", "/x"), ("--taint-key", "a b"),
        ("--taint-value", "a/b"), ("--taint-effect", "Never"), ("--default-priority", "urgent"),
        ("--daemonset-pods", "failed"), ("--disable-taint", "maybe"), ("--no-leader-elect", "maybe"),
        ("--max-price-per-hour", "0"), ("--max-price-per-hour", "-1"), ("--max-price-per-hour", "NaN"),
        ("--max-price-per-hour", "1e3"), ("--capacity", "cpu"), ("--capacity", "cpu=-1"), ("--capacity", "cpu=1,cpu=2"),
        ("--capacity", "memory=1GiB"), ("--capacity", "=1"), ("--namespaces", "a,,b"), ("--namespaces", "Default"),
        ("--metrics-address", "9090"), ("--metrics-address", "host.example:80"), ("--metrics-address", "1.2.3.4:x"),
        ("--node-ip", "1.2.3"), ("--log-level", "loud"), ("--log-format", "xml"), ("--leader-identity", "a b"),
        ("--tls-cert-file", "/does/not/exist"), ("--kubeconfig", "/does/not/exist"), ("--sce-api-key-file", "/tmp"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_problem_that_names_the_flag_and_not_the_value(flag: str, text: str) -> None:
    environ = {} if flag != "--sce-api-key-file" else {"SALAD_CLOUD_API_KEY": ""}
    found = problems(f"{flag}={text}", **environ)
    assert len(found) == 1
    assert found[0].startswith(flag.replace("--no-", "--") + " (")
    assert ": must " in found[0]
    assert text not in found[0].partition(": ")[2] or len(text) < 4
    assert "\n" not in found[0]


@pytest.mark.parametrize("option", [option for option in DAEMON_OPTIONS if not option.is_switch], ids=lambda o: o.flag)
def test_a_flag_without_its_value_is_a_problem(option: Option) -> None:
    assert f"{option.flag} ({option.environment_variable}): needs a value" in problems("--disable-taint", option.flag)


@pytest.mark.parametrize("option", DAEMON_OPTIONS, ids=lambda o: o.flag)
def test_every_default_passes_its_own_check(option: Option) -> None:
    if option.default is not None:
        option.parse(option.default)


# -- problems


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(config.ConfigProblems) as wrong:
        config.load(["--workers", "0", "--bogus", "--max-pods"], {"SALAD_VK_NODE_NAME": "Bad_Name"})
    assert [problem.split(":")[0] for problem in wrong.value.problems] == [
        "--bogus",
        "--nodename (SALAD_VK_NODE_NAME)",
        "--sce-organization-name (SALAD_CLOUD_ORGANIZATION_NAME)",
        "--sce-project-name (SALAD_CLOUD_PROJECT_NAME)",
        "--max-pods (SALAD_VK_MAX_PODS)",
        "--workers (SALAD_VK_WORKERS)",
        "--sce-api-key (SALAD_CLOUD_API_KEY) or --sce-api-key-file (SALAD_VK_SCE_API_KEY_FILE)",
    ]


def test_an_unknown_flag_is_named_with_the_nearest_known_one_and_its_value_is_not() -> None:
    assert problems("--sce-api-kye", "hidden1") == ["--sce-api-kye: unknown flag, did you mean --sce-api-key?"]
    assert problems("--sce-api-kye=hidden1") == ["--sce-api-kye: unknown flag, did you mean --sce-api-key?"]


def test_a_flag_grown_together_with_its_value_is_not_repeated() -> None:
    assert problems(f"--sce-api-key{KEY}") == ["a flag: unknown flag"]


def test_an_abbreviated_flag_is_unknown() -> None:
    assert problems("--node", "x")[0].startswith("--node: unknown flag")


def test_a_stray_argument_is_a_problem_and_is_not_repeated() -> None:
    assert problems(KEY) == ["an argument without a flag is not understood"]


def test_a_flag_before_a_subcommand_is_a_problem() -> None:
    assert problems("--nodename", "a", "sandbox") == [
        "sandbox: a subcommand must be the first argument, before all flags"
    ]


def test_unknown_keys_of_the_config_file_are_told_by_line(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vk.conf"
    file.write_text(f"workers = 3\nsce-api-kye = {KEY}\n{KEY}\nconfig = x\nhelp\nworkers = 4\nnodename\n")
    assert problems("--config", str(file)) == [
        "config file, line 2: unknown key, did you mean --sce-api-key?",
        "config file, line 3: unknown key",
        "config file, line 4: --config cannot be set in the config file",
        "config file, line 5: unknown key",
        "config file, line 6: --workers is given twice",
        "config file, line 7: --nodename needs a value",
    ]


def test_a_list_in_brackets_is_a_problem_that_does_not_show_it(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "vk.conf"
    file.write_text(f"sce-api-key = [{KEY}]\n")
    expected = ["--sce-api-key: must be one value, not a list in brackets"]
    assert problems("--config", str(file), SALAD_CLOUD_API_KEY="")[: 1] == expected
    assert problems(SALAD_CLOUD_API_KEY=f"[{KEY}]")[: 1] == expected


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"\x00"])
def test_a_config_file_that_cannot_be_read_is_a_problem(tmp_path: pathlib.Path, content: bytes | None) -> None:
    file = tmp_path / "vk.conf"
    if content is not None:
        file.write_bytes(content)
    found = problems("--config", str(file), "--workers", "0")
    assert found[0].startswith("--config (SALAD_VK_CONFIG): must name") or found[0].startswith("config file, line 1")
    assert found[-1].startswith("--workers")


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (
            ("--tls-cert-file", __file__),
            "--tls-cert-file and --tls-private-key-file: one cannot be given without the other",
        ),
        (("--sce-api-key-file", __file__), "--sce-api-key and --sce-api-key-file: only one of the two can be given"),
        (
            ("--tls-cert-file", __file__, "--tls-private-key-file", __file__, "--rotate-server-certificates"),
            "--rotate-server-certificates and --tls-cert-file: only one of the two can be given",
        ),
    ],
)
def test_options_that_contradict_each_other_are_a_problem(argv: tuple[str, ...], problem: str) -> None:
    assert problems(*argv) == [problem]


# -- the key


def test_neither_str_nor_repr_nor_problems_show_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load()
    assert settings.api_key.api_key() == KEY
    assert KEY not in repr(settings) + str(settings) + repr(settings.api_key) + str(vars(settings))
    assert KEY not in "".join(problems("--workers", "0"))
    with pytest.raises(SystemExit) as exit_:
        load("--help")
    assert exit_.value.code == 0
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err


def test_a_key_file_is_read_again_when_it_changes(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    settings = load("--sce-api-key-file", str(file), SALAD_CLOUD_API_KEY="")
    assert settings.api_key.api_key() == "first"
    replacement = tmp_path / "new"
    replacement.write_text("second\n")
    os.replace(replacement, file)
    with caplog.at_level(logging.DEBUG):
        assert settings.api_key.api_key() == "second"
    assert "second" not in caplog.text


@pytest.mark.parametrize("content", ["", "two words", None])
def test_a_key_file_gone_bad_leaves_the_last_good_key_and_one_warning(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture, content: str | None
) -> None:
    file = tmp_path / "key"
    file.write_text("first\n")
    source = ApiKeySource.from_file(str(file))
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert [source.api_key() for _ in range(3)] == ["first"] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    file.write_text("third\n")
    assert source.api_key() == "third"


def test_a_key_file_that_holds_no_key_is_a_problem(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"key: {KEY}\n")
    found = problems("--sce-api-key-file", str(file), SALAD_CLOUD_API_KEY="")
    assert found == [
        "--sce-api-key-file (SALAD_VK_SCE_API_KEY_FILE): must name a file that holds the API key and nothing else"
    ]
    with pytest.raises(BadValue):
        ApiKeySource.from_file(str(file))


# -- help, table, subcommands' options


def test_help_names_every_flag_with_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load("--help")
    text = " ".join(capsys.readouterr().out.split())
    for option in DAEMON_OPTIONS:
        assert option.flag in text
        assert f"[{option.environment_variable}]" in text
    assert "--kube-config" not in text
    assert "as the first argument: sandbox" in text


def test_help_needs_no_valid_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        config.load(["--help"], {"SALAD_VK_WORKERS": "none", "SALAD_VK_CONFIG": "/does/not/exist"})
    assert exit_.value.code == 0
    assert "--workers" in capsys.readouterr().out


def test_the_readme_table_has_one_row_for_each_option() -> None:
    rows = config.flag_table_markdown().splitlines()[2:]
    assert [row.split("`")[1].split()[0] for row in rows] == [option.flag for option in DAEMON_OPTIONS]
    assert all(row.count("|") == 5 for row in rows)


def test_another_table_of_options_is_read_the_same_way() -> None:
    seed = next(option for option in DAEMON_OPTIONS if option.flag == "--workers")
    values = config.parse_options([CONFIG_FILE, seed], ["--workers", "3"], {}, program="p", description="d")
    assert values == {"workers": 3}
    with pytest.raises(config.ConfigProblems, match="--nodename: unknown flag"):
        config.parse_options([seed], ["--nodename", "x"], {}, program="p", description="d")
