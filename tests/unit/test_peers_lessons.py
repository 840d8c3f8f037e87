"""What other virtual kubelets got wrong, or their users asked for, and the tests that show that it is not so here.

A row is a lesson and the name of a test (its function) that fails when the lesson is forgotten. References are those of
the projects' own trackers; "Go kubelet" is SaladCloud's first virtual kubelet. What does not apply here (streaming
protocols of exec, volumes, volume plugins) has no row.
"""

from __future__ import annotations

import ast
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parent.parent

LESSONS = {
    # -- the library that most virtual kubelets are made with
    "virtual-kubelet#867, #907: a pod made again under its name is killed by the delete of the old one": (
        "test_a_call_that_was_under_way_when_a_pod_was_replaced_by_one_of_its_name_does_no_harm"
    ),
    "virtual-kubelet#1157: the old workload is adopted by a new pod of the same name": (
        "test_a_pod_made_again_under_its_name_is_another_pod"
    ),
    "virtual-kubelet#874: a delete without the UID hits the next pod": "test_a_delete_names_the_uid_in_its_body",
    "an error of the cloud's is taken for 'does not exist', and a second workload is created": (
        "test_a_lost_create_makes_one_group"
    ),
    "an error of the cloud's is taken for 'gone'": "test_could_not_ask_changes_nothing",
    "one stale 'not found' is believed": "test_one_not_found_is_not_gone",
    "a pod whose end the watch missed leaks its workload": (
        "test_after_a_compacted_history_a_deleted_pod_is_missed_no_longer"
    ),
    "virtual-kubelet#836, #839: what is told before the caches are warm is lost or acted upon": (
        "test_a_restart_of_the_daemon_while_the_api_server_is_away_changes_nothing"
    ),
    "titus-control-plane#1235: the pod's object goes before its workload": (
        "test_a_deleted_pod_goes_only_after_its_workload"
    ),
    "virtual-kubelet#982: a deleted pod stays for its whole grace although nothing runs any more": (
        "test_a_deleted_pod_goes_only_after_its_workload"
    ),
    "a pod that still pulls is removed without a word to the cloud (azure-aci#409: and billed for ever)": (
        "test_a_pod_deleted_before_its_group_is_ready_leaves_nothing"
    ),
    "the API server says no to the last delete, and the pod stays Terminating for ever": (
        "test_a_final_delete_that_was_not_applied_is_sent_again"
    ),
    "after twenty tries a pod is forgotten": "test_backoff_is_counted_for_each_key_and_never_gives_up",
    "news that comes during a failing run waits out its backoff": (
        "test_news_that_comes_during_a_failing_run_does_not_wait_out_its_backoff"
    ),
    "virtual-kubelet#762, interLink#195: a restart runs again what runs already": (
        "test_a_restart_after_the_create_adopts_without_a_create"
    ),
    "virtual-kubelet#762: a pod that ran is run again after a restart because the cloud has lost it": (
        "test_a_vanished_workload_fails_the_pod"
    ),
    "kip#107: after a slow restart everything is taken for an orphan and deleted": (
        "test_many_orphans_at_once_are_held_and_told"
    ),
    "many pods fail because one list was wrong": "test_mass_vanishing_is_held_before_a_pod_fails",
    "virtual-kubelet#977: what no pod speaks for is cleaned up at the start only": (
        "test_an_orphan_is_deleted_after_two_sightings_half_a_minute_apart"
    ),
    "virtual-kubelet#976, #988: a status write takes back what others wrote": (
        "test_a_dead_watch_is_noticed_and_what_was_missed_is_made_good"
    ),
    "virtual-kubelet#1399: a status write without a version, or with 0, is refused or unconditional": (
        "test_a_status_patch_carries_the_uid_and_leaves_the_callers_patch_alone"
    ),
    "virtual-kubelet#899, #902: Ready=False of the node controller stays, since our status is unchanged": (
        "test_ready_is_set_back_after_a_blip_of_the_node"
    ),
    "virtual-kubelet#938: a status that the API server refuses stops the deletion too": (
        "test_refusals_of_every_write_for_minutes_are_survived_without_a_storm"
    ),
    "a deleted pod of a Job reads as Succeeded": "test_a_deleted_pod_ends_as_unknown_and_not_as_a_success",
    "a vanished workload has exit code -137": "test_a_vanished_workload_fails_the_pod",
    "a terminal phase is written without its container's exit": (
        "test_a_job_pod_ends_with_its_exit_code_and_its_workload_goes"
    ),
    "virtual-kubelet#399, #1257: whether waiting helps cannot be told from a failure": (
        "test_what_can_change_outside_blocks"
    ),
    "virtual-kubelet#105, #361: a pod that always fails makes its Deployment spawn pods without end": (
        "test_a_refused_pod_says_why_and_costs_no_request"
    ),
    "virtual-kubelet#1045, liqo#2436: memory grows with every pod that ever was": (
        "test_the_provider_forgets_a_workload_whose_pod_is_let_go"
    ),
    "virtual-kubelet#840: bulk deletes are late behind everything else": "test_deletes_go_before_hundreds_of_creates",
    "virtual-kubelet#250, interLink#134: the cloud is asked about every pod again and again": (
        "test_at_rest_requests_do_not_grow_with_the_pods"
    ),
    "acs-engine#635: polling eats the account's quota, and 429 is no reason to slow down": (
        "test_a_shared_key_makes_us_slower_and_not_wrong"
    ),
    "virtual-kubelet#788: the heartbeat waits for something else": (
        "test_a_hanging_saladcloud_holds_up_nothing_but_what_waits_for_it"
    ),
    "a ping that once worked keeps the node as it was for ever": (
        "test_an_outage_changes_nothing_is_told_and_is_over_at_once"
    ),
    "virtual-kubelet#1143, #321: a deleted Node is not made again": (
        "test_a_deleted_node_is_created_again_and_its_lease_owned_anew"
    ),
    "taints and labels of a Node that exists are never put right, others' are overwritten": (
        "test_foreign_labels_taints_and_conditions_are_left_alone"
    ),
    "admiralty#44: the route controller's NetworkUnavailable taints the node": (
        "test_the_node_registers_with_labels_taint_capacity_and_conditions"
    ),
    "liqo#265: a made-up kubelet version blocks upgrades": (
        "test_the_node_registers_with_labels_taint_capacity_and_conditions"
    ),
    "the whole status is written into an annotation with each heartbeat": (
        "test_an_unchanged_status_is_written_every_five_minutes_only"
    ),
    "virtual-kubelet#657, azure-aci#338: the Node stays after an uninstall": (
        "test_everything_of_the_node_goes_and_nothing_else"
    ),
    "virtual-kubelet#875, node-cli#32: no second replica": "test_a_killed_leader_is_replaced_and_no_pod_notices",
    "a stop leaves the node to itself until its lease ends": "test_an_ordered_stop_hands_over_at_once",
    "admiralty#114, virtual-kubelet#20: pods of DaemonSets land here and wedge": (
        "test_a_daemonset_pod_is_reported_ready_without_a_workload"
    ),
    "virtual-kubelet#649: a changed or deleted ConfigMap concerns a pod that runs": (
        "test_a_running_pod_does_not_care_for_any_of_this"
    ),
    "virtual-kubelet#1424, #638: the order of variables is random, and looks like a change": (
        "test_plain_variables_keep_their_order"
    ),
    "virtual-kubelet#910: empty values": "test_empty_variables_are_left_out_and_told_by_name",
    "virtual-kubelet#1011: status.podIP keeps a pod Pending without a word": "test_other_fields_are_refused_by_name",
    "resourceFieldRef is left out silently": "test_resources_are_counted_in_divisors_and_rounded_up",
    "a Secret that comes later is not noticed": "test_a_pod_sees_its_source_within_15_seconds",
    "a Secret that was just made looks missing because of a cache": (
        "test_a_read_that_began_before_the_caller_knew_the_pod_does_not_serve_it"
    ),
    "virtual-kubelet#1311: all Secrets of the cluster are read": ("test_the_daemon_has_no_right_that_it_does_not_need"),
    "values of Secrets travel back inside the status": "test_no_secret_is_ever_shown",
    "azure-aci#155, #543: the service account's volume of every pod is refused": (
        "test_a_plain_pod_with_every_default_of_the_api_server_is_fine_and_ignores_nothing"
    ),
    "virtual-kubelet#864: anybody may ask the kubelet's port": "test_strangers_get_401_whatever_they_ask",
    "a CA for clients shuts out who comes with a token": "test_who_shows_no_certificate_is_let_in_and_nobody",
    "virtual-kubelet#936, #1014: certificates are read once": "test_changed_files_count_for_the_next_connection",
    "azure-aci#147, interLink#273: logs -f ends at once": "test_a_follower_is_answered_at_once_and_gets_what_comes",
    "virtual-kubelet#1425: work goes on for a client that has gone": (
        "test_a_follower_whose_client_has_gone_ends_and_asks_no_more"
    ),
    "--tail=0 cannot be told from no --tail": "test_who_wants_none_of_the_past_gets_only_what_comes",
    "virtual-kubelet#475, #987: metrics-server finds nothing": "test_resource_metrics_are_those_of_a_kubelet",
    "virtual-kubelet#81, #34: nobody says which fields of a pod are honored": (
        "test_the_published_table_names_every_row_once"
    ),
    "a hanging call to the cloud occupies a worker for ever": "test_silence_ends_at_the_read_timeout",
    "a hanging call keeps the process from ending": "test_a_stop_is_in_order_though_saladcloud_is_mute",
    # -- the Go kubelet
    "Go kubelet: errors of a create are swallowed": "test_no_answer_to_believe",
    "Go kubelet: errors of a delete are swallowed, and the group is billed on": (
        "test_a_lost_delete_leaves_neither_pod_nor_group"
    ),
    "Go kubelet: an answer without a type is a crash": "test_a_strange_problem_is_still_one",
    "Go kubelet: an answer with a new field is an error": "test_what_is_not_known_in_an_answer_is_passed_over",
    "Go kubelet: a start, and every five minutes, deletes everything in the project that it does not know": (
        "test_nobody_touches_what_is_anothers"
    ),
    "Go kubelet, rancher/k3k#1021: two nodes destroy each other's pods": (
        "test_two_clusters_and_a_hundred_foreign_groups_share_a_project"
    ),
    "Go kubelet: another node name at each start": "test_the_defaults_are_those_of_the_documentation",
    "Go kubelet: names collide, are too long, and are used again": "test_every_pod_has_a_name_that_saladcloud_takes",
    "Go kubelet: no time limit and no pause after a 429": "test_after_a_429_nothing_is_sent_before_its_time",
    "Go kubelet, k8s-monitoring-helm#752: arguments without a command": (
        "test_arguments_alone_are_refused_with_the_line_to_add"
    ),
    "Go kubelet: other containers, hooks and volumes are dropped silently": (
        "test_what_cannot_be_honored_is_refused_and_says_how_to_opt_out"
    ),
    "Go kubelet: 1500m is one core, and bytes are taken for something else": "test_cores_are_rounded_up_whole",
    "Go kubelet: an unknown GPU class makes a group without a GPU": (
        "test_an_unknown_name_blocks_the_whole_list_and_the_near_ones_are_told"
    ),
    "Go kubelet: ' us' is no country, and then the group runs anywhere": (
        "test_every_wrong_country_is_named_and_none_is_dropped"
    ),
    "Go kubelet#129: gateway options, and its host name is told nowhere": (
        "test_the_gateways_host_name_is_told_once_and_written_on_the_pod"
    ),
    "Go kubelet: a wrong networking annotation is dropped": (
        "test_anything_else_is_refused_by_the_name_of_the_annotation"
    ),
    "Go kubelet: named ports become 0, the scheme is always HTTP, gRPC crashes": (
        "test_every_kind_of_probe_is_translated"
    ),
    "Go kubelet: the first credential of any registry is sent": (
        "test_an_entry_serves_the_images_that_a_kubelet_would_use_it_for"
    ),
    "Go kubelet: the pod's metadata is sent to a stranger's machine": (
        "test_a_pod_becomes_exactly_the_written_request"
    ),
    "Go kubelet: tokens of log sinks stand in annotations": "test_a_secret_may_hold_any_of_the_six_sinks",
    "Go kubelet#137: states are mapped wrongly, exit codes and transition times are missing": (
        "test_a_group_becomes_its_pods_status"
    ),
    "Go kubelet: a stopped group is a success": (
        "test_a_group_that_somebody_stops_fails_a_pod_that_may_not_restart_and_is_deleted"
    ),
    "Go kubelet: an unknown state is an empty phase": "test_what_is_not_known_as_a_state_ends_no_pod",
    "Go kubelet: Ready although the instance is not": "test_readiness_follows_the_instance",
    "Go kubelet: a pod whose group vanished before it ran hangs for ever": (
        "test_a_group_that_vanishes_before_it_runs_is_told_as_one_that_ran"
    ),
    "Go kubelet: logs, exec and stats answer success and nothing": (
        "test_what_no_cloud_offers_is_refused_in_one_sentence"
    ),
    "Go kubelet: Ready with a revoked key": "test_a_refused_key_is_told_apart_from_an_outage",
    "Go kubelet: SIGTERM is not heard": "test_the_first_signal_asks_for_an_ordered_stop",
    "Go kubelet: a wrong priority is ignored": "test_what_refusals_finds_build_refuses_too",
    "Go kubelet: no nvidia.com/gpu on the node, liqo#1052, Nebula#88": (
        "test_the_largest_workload_is_that_of_the_largest_class"
    ),
    "Go kubelet: the rights of all nodes": "test_the_rights_are_exactly_these",
    "Go kubelet: runs as root with security settings that no server reads": (
        "test_the_container_has_no_right_that_it_does_not_need"
    ),
    "Go kubelet: no metrics": "test_every_series_is_there_from_the_start_and_all_but_the_facts_are_zero",
    "SaladCloud starts a container after every exit: a Job would run and be billed for ever": (
        "test_a_job_completes_by_its_exit_though_the_container_runs_again"
    ),
    "SaladCloud never frees a name": "test_a_used_up_name_leads_to_the_next_attempt",
    # -- others
    "k8s-runpod-kubelet: 'terminate' only stops, and storage is billed on": (
        "test_a_pod_becomes_ready_and_leaves_nothing_behind"
    ),
    "k8s-runpod-kubelet#4: deleted pods come back when the controller starts": (
        "test_a_daemon_that_is_stopped_killed_and_started_again_and_again_changes_nothing_in_the_end"
    ),
    "k8s-runpod-kubelet: a price cap that nothing applies": (
        "test_the_lower_of_both_caps_holds_at_the_chosen_priority"
    ),
    "k8s-runpod-kubelet: after 15 minutes without a machine a pod fails": (
        "test_endless_steps_on_the_way_are_waited_for_and_told"
    ),
    "k8s-runpod-kubelet: a line break in a value becomes two characters": (
        "test_a_value_beyond_the_limits_is_told_by_name_never_by_value"
    ),
    "k8s-runpod-kubelet: a variable that looks like a service's vanishes": (
        "test_any_pod_is_a_valid_request_or_a_reason_and_loses_no_field"
    ),
    "k8s-runpod-kubelet: a cloud controller deletes a node without a providerID": (
        "test_the_node_registers_with_labels_taint_capacity_and_conditions"
    ),
    "Nebula#105: a workload leaks when the write that remembers it fails": (
        "test_a_pod_is_claimed_before_its_workload_is_created"
    ),
    "azure-aci#32, virtual-kubelet#223: workloads stay after a scale-down": (
        "test_a_deployment_is_run_updated_scaled_and_deleted_and_nothing_is_left"
    ),
    "virtual-kubelet#704: a restart takes live pods for lost, and others are started beside them": (
        "test_killed_at_any_write_everything_ends_as_if_nothing_had_happened"
    ),
    "k8s-runpod-kubelet: a pod that stays Terminating for 15 minutes is removed, and its workload billed on": (
        "test_a_key_that_may_see_nothing_any_more_lets_no_pod_go"
    ),
    "k8s-runpod-kubelet: any answer of the cloud's counts as healthy": (
        "test_a_refused_key_is_told_apart_from_an_outage"
    ),
    "k8s-runpod-kubelet: the workloads of others appear as pods": "test_nobody_touches_what_is_anothers",
    "k8s-runpod-kubelet: the node's lease lies in the wrong namespace": (
        "test_the_lease_is_renewed_and_owned_by_the_node"
    ),
    "Nebula: a queue of ten pods a second, for the whole node": (
        "test_a_rollout_of_hundreds_and_its_end_keep_to_the_limit_and_starve_no_poll"
    ),
    "skypilot#3927: a lost machine is taken for a failure of the program": (
        "test_a_lost_machine_is_told_and_no_restart_and_the_pod_is_ready_again"
    ),
    "azure-aci#566: probes are ignored silently, or refused": (
        "test_an_adjustment_is_told_with_both_forms_and_nothing_else_is"
    ),
    "interLink#500: what the cloud says about a failure is not on the pod": (
        "test_a_failed_image_is_deleted_and_tried_again_with_the_next_attempt"
    ),
    "interLink#447: logs need a certificate that the API server trusts": ("test_what_was_issued_serves_with_its_key"),
}


def _names_of_all_tests() -> set[str]:
    names: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text(), str(path))
        names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return names


@pytest.fixture(scope="module")
def names_of_all_tests() -> set[str]:
    return _names_of_all_tests()


@pytest.mark.parametrize(("lesson", "test"), LESSONS.items(), ids=range(1, len(LESSONS) + 1))
def test_a_lesson_has_its_test(lesson: str, test: str, names_of_all_tests: set[str]) -> None:
    assert test in names_of_all_tests, f"{lesson}: there is no {test}"
