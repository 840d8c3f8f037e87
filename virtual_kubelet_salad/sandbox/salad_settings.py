"""The knobs of the SaladCloud simulator, and the profiles that set them.

A value object: nothing here acts. Every time is in seconds unless the name says otherwise. Sources of the default
behaviour: the public API description (0.9.0-alpha.17), its documentation, and what clients of the live service have
written down.
"""

from __future__ import annotations

import dataclasses

DAY_SECONDS = 86_400.0


@dataclasses.dataclass(frozen=True, slots=True)
class SaladSettings:
    """Everything a test, a benchmark or a curious user may want to change; `dataclasses.replace` makes a variation."""

    # Who may ask, and for what.
    organization: str = "sandbox"
    projects: tuple[str, ...] = ("default",)
    api_key: str | None = None  # None: every key that is not empty is accepted
    user_agent_is_checked: bool = True  # a missing or a stock agent gets the 403 page of the proxy in front of the API
    rate_limit_per_minute: int | None = 240  # per key, in any sliding minute; None: no limit
    retry_after_is_sent: bool = True  # with a 429; the live service does not promise it
    replica_quota: int = 1_000
    instance_actions_per_minute: int = 10  # reallocate, recreate and restart, each

    # How long things take. `jitter` 0.5 means: each wait is between 50 % and 150 % of the value.
    preparation: float = 4.0
    allocation: float = 3.0
    download: float = 5.0
    create: float = 2.0
    startup: float = 1.0  # from running to started, where a startup probe exists
    readiness: float = 2.0  # from started to ready, where a readiness probe exists
    restart: float = 2.0  # from an exit to the next run on the same machine
    shortest_run: float = 0.1  # of a container that ends by itself
    shutdown_min: float = 4.0  # a stopped group's containers go on running this long
    shutdown_max: float = 20.0
    deletion: float = 2.0  # from the 202 to the first 404
    update: float = 2.0  # from a PATCH without a new image until it is applied
    dns_delay: float = 6.0  # from the create until the host name of the gateway is shown
    usage_period: float = 60.0  # between two measurements of what an instance uses
    jitter: float = 0.3

    # Which of several documented or observed behaviours is shown.
    list_limit: int | None = 100  # items in a list of groups; None: all
    stale_list: float = 0.0  # a new group is missing from lists this long
    stale_start: float = 0.0  # a started group still reads `stopped` this long
    names_are_single_use: bool = True  # a deleted group's name is never free again
    instance_read_status: int = 202  # what GET of one instance answers; clients must take 200 too
    progress_is_a_fraction: bool = True  # 0..1 as the live service sends it; False: 0..100 as described
    rows_while_allocating: bool = (
        False  # True: an instance row with state `allocating` and a machine that means nothing
    )
    new_instance_id_per_run: bool = True
    autostart_works: bool = True  # False: the group ends `stopped` after its preparation
    restarts_before_moving: int = 5  # exits other than 0 on one machine before the next machine is tried
    exit_event_on_user_restart: bool = False  # an `Exited:137` event for a restart that somebody asked for
    update_moves_instance: bool = False  # a PATCH with a new version continues on another machine
    bad_command_is_stuck: bool = False  # True: a command that cannot start stays in `creating`, without any event
    no_credits_status: int = 400
    merge_patch_type_is_required: bool = True

    # Log entries.
    log_lag_min: float = 1.0  # from an entry's emission until a query can see it
    log_lag_max: float = 6.0
    node_skew_max: float = 30.0  # each machine's clock is wrong by up to this, either way
    log_window_is_receive_time: bool = True  # False: start_time and end_time act on the emission time
    first_line_is_lost: bool = False
    output_period: float = 10.0  # a running container writes a line this often; 0: only when it starts
    log_retention: float = 90 * DAY_SECONDS

    # The HTTP face only: the model itself never waits.
    latency_min: float = 0.02
    latency_max: float = 0.2
    hang: float = 300.0  # how long a hanging request is held before its connection is closed

    def with_latency(self, seconds: float) -> SaladSettings:
        """The same with one fixed latency for every answer."""
        return dataclasses.replace(self, latency_min=seconds, latency_max=seconds)


DEFAULT = SaladSettings()

FAST = SaladSettings(
    preparation=0.5,
    allocation=0.5,
    download=0.5,
    create=0.5,
    startup=0.2,
    readiness=0.5,
    restart=0.5,
    shutdown_min=0.2,
    shutdown_max=1.0,
    deletion=0.3,
    update=0.3,
    dns_delay=1.5,
    jitter=0.0,
    log_lag_min=0.2,
    log_lag_max=1.0,
    output_period=0.0,
)

# What the live service takes for an image of a few gigabytes.
REALISTIC = SaladSettings(
    preparation=60.0,
    allocation=45.0,
    download=120.0,
    create=20.0,
    startup=5.0,
    readiness=10.0,
    restart=5.0,
    shutdown_max=80.0,
    deletion=10.0,
    update=20.0,
    dns_delay=15.0,
    jitter=0.6,
    log_lag_max=10.0,
    node_skew_max=73.0,
)

PROFILES = {"default": DEFAULT, "fast": FAST, "realistic": REALISTIC}
