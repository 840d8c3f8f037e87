"""Turns command line, environment and config file into one frozen `Config`, or into the list of all that is wrong.

A flag wins over its environment variable, the variable over the config file. An empty variable is unset. A problem
names the option, never a value: a mistyped option may hold the key. The parser takes everything as plain text, so that
every check is ours and all problems are found at once; it and its record of the sources, which holds the key, are
dropped before `load` returns.
"""

from __future__ import annotations

import dataclasses
import difflib
import io
import os
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn, TextIO

import configargparse

import virtual_kubelet_salad
from virtual_kubelet_salad.api_key import ApiKeySource
from virtual_kubelet_salad.config_options import CONFIG_FILE, DAEMON_OPTIONS, Option, flag_table_markdown
from virtual_kubelet_salad.config_values import Address, BadValue

__all__ = ["Config", "ConfigProblems", "flag_table_markdown", "load", "parse_options"]

PROGRAM = "virtual-kubelet-salad"
_NO_VALUE = ""  # a flag without its value; flags and variables that are empty never reach the checks
_FLAG_NAME = re.compile(r"--?[a-z]+(-[a-z]+){0,5}")  # only such a name is repeated: a mistyped one may hold a value


class ConfigProblems(Exception):
    """Everything that is wrong, one line each; no line holds a value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclasses.dataclass(frozen=True)
class Config:
    """The daemon's options, checked. Times are seconds; `config_options` says what each one means."""

    api_key: ApiKeySource = dataclasses.field(repr=False)
    nodename: str
    kubeconfig: str | None
    sce_organization_name: str
    sce_project_name: str
    sce_api_url: str
    sce_rate_limit: int | None
    salad_list_limit: int
    cluster_id: str | None
    disable_taint: bool
    taint_key: str
    taint_value: str
    taint_effect: str
    max_pods: int | None
    capacity: tuple[tuple[str, str], ...] | None
    max_price_per_hour: Decimal | None
    default_priority: str
    namespaces: tuple[str, ...] | None
    daemonset_pods: str
    poll_interval: float
    feed_interval: float
    heartbeat_interval: float
    workers: int
    create_settle: float
    shutdown_timeout: float
    leader_elect: bool
    leader_identity: str | None
    metrics_address: Address
    kubelet_port: int
    node_ip: str | None
    tls_cert_file: str | None
    tls_private_key_file: str | None
    rotate_server_certificates: bool
    log_level: str
    log_format: str


def load(argv: Sequence[str], environ: Mapping[str, str] = os.environ, *, subcommands: Iterable[str] = ()) -> Config:
    """The daemon's configuration, or `ConfigProblems`. `--help` and `--version` print and raise SystemExit(0).

    `subcommands` are words that only the first argument may be; one that comes later is named as that mistake.
    """
    description = "A node in a Kubernetes cluster whose pods run on SaladCloud."
    words = frozenset(subcommands)
    values, problems = _read_options(DAEMON_OPTIONS, argv, environ, PROGRAM, description, words)
    api_key = _api_key_source(values.pop("sce_api_key", None), values.pop("sce_api_key_file", None), problems)
    tls_files = [values[field] for field in ("tls_cert_file", "tls_private_key_file") if field in values]
    if len(tls_files) == 2 and tls_files.count(None) == 1:
        problems.append("--tls-cert-file and --tls-private-key-file: one cannot be given without the other")
    if values.get("tls_cert_file") is not None and values.get("rotate_server_certificates"):
        problems.append("--rotate-server-certificates and --tls-cert-file: only one of the two can be given")
    if problems or api_key is None:
        raise ConfigProblems(problems)
    values.pop(CONFIG_FILE.field)
    return Config(api_key=api_key, **values)


def parse_options(
    options: Sequence[Option],
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    program: str,
    description: str,
    needs_key: bool = True,
) -> dict[str, Any]:
    """The values of another table of options, by field; raises `ConfigProblems`.

    Where the table has the config file it is the daemon's: what else stands in it is passed over. A table that has the
    options of the API key gets an `ApiKeySource` as `api_key` in their place; None when there is
    no key and `needs_key` is false.
    """
    values, problems = _read_options(options, argv, environ, program, description, frozenset())
    values.pop(CONFIG_FILE.field, None)
    if any(option.field == "sce_api_key" for option in options):
        key, path = values.pop("sce_api_key", None), values.pop("sce_api_key_file", None)
        is_given = key is not None or path is not None
        values["api_key"] = _api_key_source(key, path, problems) if needs_key or is_given else None
    if problems:
        raise ConfigProblems(problems)
    return values


def _api_key_source(key: str | None, path: str | None, problems: list[str]) -> ApiKeySource | None:
    named = [problem for problem in problems if problem.startswith("--sce-api-key")]
    if key is not None and path is not None:
        problems.append("--sce-api-key and --sce-api-key-file: only one of the two can be given")
    elif key is not None:
        return ApiKeySource.given(key)
    elif path is not None:
        try:
            return ApiKeySource.from_file(path)
        except BadValue as bad:
            problems.append(f"--sce-api-key-file (SALAD_VK_SCE_API_KEY_FILE): {bad}")
    elif not named:
        problems.append(
            "--sce-api-key (SALAD_CLOUD_API_KEY) or --sce-api-key-file (SALAD_VK_SCE_API_KEY_FILE): one is required"
        )
    return None


def _read_options(
    options: Sequence[Option],
    argv: Sequence[str],
    environ: Mapping[str, str],
    program: str,
    description: str,
    subcommands: frozenset[str],
) -> tuple[dict[str, Any], list[str]]:
    """The checked value of every option that has a good one, and all problems."""
    problems: list[str] = []
    parser = _Parser(options, problems, program, description, subcommands)
    set_variables = {name: text for name, text in environ.items() if text}
    try:
        namespace, unknown = parser.parse_known_args(list(argv), env_vars=set_variables)
    except _CommandLineUnreadable as unreadable:
        return {}, [*problems, str(unreadable)]
    problems.extend(_unknown_arguments(unknown, options, subcommands))
    values: dict[str, Any] = {}
    for option in options:
        given: str | list[str] | None = getattr(namespace, option.field)
        one = given if given is not None else option.default
        texts = one if isinstance(one, list) else [] if one is None else [one]
        name = f"{option.flag} ({option.environment_variable})"
        parsed = []
        for text in texts:
            try:
                parsed.append(_checked(option, text))
            except BadValue as bad:
                problems.append(f"{name}: {bad}")
        if option.required and not texts:
            problems.append(f"{name}: is required")
        if option.is_repeatable:
            values[option.field] = tuple(parsed)
        elif len(parsed) == len(texts):
            values[option.field] = parsed[0] if parsed else None
    return values, list(dict.fromkeys(problems))


def _checked(option: Option, text: str) -> Any:
    if text == _NO_VALUE:
        raise BadValue("needs a value")
    return option.parse(text)


def _unknown_arguments(unknown: Sequence[str], options: Sequence[Option], subcommands: frozenset[str]) -> list[str]:
    problems = []
    follows_a_flag = False
    for argument in unknown:
        flag, equals, _ = argument.partition("=")
        if argument in subcommands:
            problems.append(f"{argument}: a subcommand must be the first argument, before all flags")
        elif argument.startswith("-"):
            problems.append(f"{_shown_name(flag, 'a flag')}: unknown flag{_suggestion(flag, options)}")
        elif not follows_a_flag:  # else it is most likely the value of the unknown flag
            problems.append("an argument without a flag is not understood")
        follows_a_flag = argument.startswith("-") and not equals
    return problems


def _shown_name(name: str, otherwise: str) -> str:
    return name if _FLAG_NAME.fullmatch(name) else otherwise


def _suggestion(name: str, options: Sequence[Option]) -> str:
    near = difflib.get_close_matches("--" + name.strip("-"), [option.flag for option in options], n=1, cutoff=0.75)
    return f", did you mean {near[0]}?" if near else ""


class _CommandLineUnreadable(Exception):
    """The parser gave up; the text names arguments only."""


def _help(option: Option) -> str:
    default = "required" if option.required else f"default: {option.shown_default}"
    return f"{option.meaning} ({default}) [{option.environment_variable}]"


class _HelpFormatter(configargparse.HelpFormatter):  # type: ignore[misc]
    """Leaves out the brackets of values that only the parser takes for optional; a switch's value is."""

    def _format_args(self, action: Any, default_metavar: str) -> str:
        text = str(super()._format_args(action, default_metavar))
        return text.strip("[]") if action.const == _NO_VALUE else text


class _Negative(configargparse.Action):  # type: ignore[misc]
    """Stores the opposite of a switch's value; anything that is neither true nor false is left for the check."""

    def __call__(self, parser: object, namespace: Any, value: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, {"true": "false", "false": "true"}.get(str(value).lower(), value))


class _Parser(configargparse.ArgumentParser):  # type: ignore[misc]
    """Finds the text of each option and judges none; a flag may lack its value, which `_NO_VALUE` stands for."""

    def __init__(
        self,
        options: Sequence[Option],
        problems: list[str],
        program: str,
        description: str,
        subcommands: frozenset[str],
    ) -> None:
        self._problems = problems
        super().__init__(
            prog=program,
            description=description,
            allow_abbrev=False,
            config_file_open_func=self._open_config_file,
            config_file_parser_class=_config_file_syntax(options, problems),
            formatter_class=_HelpFormatter,
            add_config_file_help=False,
            add_env_var_help=False,
            epilog="Subcommands, as the first argument: " + ", ".join(sorted(subcommands)) if subcommands else None,
            usage="%(prog)s [flags]",
        )
        self.add_argument("--version", action="version", version=f"{PROGRAM} {virtual_kubelet_salad.__version__}")
        for option in options:
            self._add_option(option)

    def _add_option(self, option: Option) -> None:
        const = "true" if option.is_switch else _NO_VALUE
        common: dict[str, Any] = {"dest": option.field, "nargs": "?", "metavar": option.metavar, "default": None}
        self.add_argument(
            *filter(None, (option.flag, option.short)),
            const=const,
            env_var=option.environment_variable,
            is_config_file_arg=option is CONFIG_FILE,
            action="append" if option.is_repeatable else "store",
            help=_help(option).replace("%", "%%"),
            **common,
        )
        if option.hidden_alias:
            self.add_argument(option.hidden_alias, const=const, help=configargparse.SUPPRESS, **common)
        if option.negative:
            self.add_argument(option.negative, const=const, action=_Negative, help=configargparse.SUPPRESS, **common)

    def convert_item_to_command_line_arg(self, action: Any, key: str, value: object) -> list[str]:
        """The library would print a value that it does not like."""
        flag = action.option_strings[0]
        if not isinstance(value, str):
            self._problems.append(f"{flag}: must be one value, not a list in brackets")
            return []
        return [f"{flag}={value}"]

    def error(self, message: str) -> NoReturn:
        """The library's messages quote the command line, so only the name in front is kept."""
        name = re.match(r"argument (--[a-z-]+)", message)
        raise _CommandLineUnreadable(f"{name[1] if name else 'the command line'}: is not understood")

    def _open_config_file(self, path: str, mode: str = "r") -> TextIO:
        name = f"{CONFIG_FILE.flag} ({CONFIG_FILE.environment_variable})"
        try:
            with open(path, mode, encoding="utf-8") as file:
                return io.StringIO(file.read())
        except OSError as error:
            self._problems.append(f"{name}: must name a file that can be read ({error.strerror})")
        except ValueError:
            self._problems.append(f"{name}: must name a text file")
        return io.StringIO()


def _names_of(options: Iterable[Option]) -> set[str]:
    """Every name under which one of them can be set in the config file."""
    return {name for option in options for name in (option.flag, option.hidden_alias, option.negative) if name}


def _config_file_syntax(options: Sequence[Option], problems: list[str]) -> type[configargparse.DefaultConfigFileParser]:
    """The library's own syntax, line by line, so that a problem can name the line in place of what stands there."""
    settable = [option for option in options if option is not CONFIG_FILE]
    taken = _names_of(settable)
    settable += [option for option in DAEMON_OPTIONS if option is not CONFIG_FILE and option.flag not in taken]
    switches = {name for option in settable if option.is_switch for name in (option.flag, option.negative)}
    known = _names_of(settable)
    # A flag or variable must win over the file whichever of an option's names stands there.
    aliases = {option.hidden_alias: option.flag for option in settable if option.hidden_alias}

    class ConfigFileSyntax(configargparse.DefaultConfigFileParser):  # type: ignore[misc]
        def parse(self, stream: Iterable[str]) -> OrderedDict[str, object]:
            items: OrderedDict[str, object] = OrderedDict()
            for number, line in enumerate(stream, start=1):
                where = f"config file, line {number}"
                try:
                    found = super().parse([line])
                except configargparse.ConfigFileParserException:
                    problems.append(f"{where}: must be flag = value")
                    continue
                for key, value in found.items():
                    flag = "--" + key.strip("-")
                    flag = aliases.get(flag, flag)
                    stands_alone = line.strip() == key
                    if flag == CONFIG_FILE.flag:
                        problems.append(f"{where}: {flag} cannot be set in the config file")
                    elif flag not in known:
                        problems.append(f"{where}: unknown key{_suggestion(flag, settable)}")
                    elif flag in items:
                        problems.append(f"{where}: {flag} is given twice")
                    elif stands_alone and flag not in switches:
                        problems.append(f"{where}: {flag} needs a value")
                    elif value != "" and flag in taken:
                        items[flag] = value
            return items

    return ConfigFileSyntax
