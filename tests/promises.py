"""What the system promises, and the tests that would fail if a promise were broken.

`tests/contracts/test_promises.py` holds this list against the tests in both directions: every test named here exists,
every end-to-end module is named by a promise, and the acceptance rows cited in docstrings are those listed below.
Promises 2 and 3 in full, 5 and the outside half of 6 arrive with their own parts of the product.
"""

PROMISES: dict[str, tuple[str, ...]] = {
    "1 An answered write is on disk, is there once, and survives SIGKILL and a second server": (
        "e2e/test_kill_loop.py::test_whatever_was_acknowledged_survives_kill_9_and_is_there_once",
        "e2e/test_kill_loop.py::test_a_server_that_answers_before_it_commits_is_found_out",
        "e2e/test_ledger.py::test_a_doctored_log_is_found_out",
        "e2e/test_two_servers.py::test_two_servers_write_at_once_and_neither_is_refused_or_overwritten",
        "e2e/test_two_servers.py::test_one_server_goes_on_when_the_other_is_killed_in_the_middle_of_a_volley",
        "e2e/test_creation_crash.py::test_a_campaign_is_made_once_and_whole_wherever_kill_9_hits",
        "test_server.py::test_a_repeated_key_is_answered_once_and_says_so",
        "test_server.py::test_equal_calls_at_once_under_one_key_roll_once",
    ),
    "2 Dice are exact, come from an audited stream, and nobody can fish for better ones": (
        "tools/test_dice.py::test_the_dice_are_those_of_the_published_vectors",
        "tools/test_dice.py::test_a_refused_expression_tells_where_and_why",
        "e2e/test_creation_crash.py::test_the_first_roll_on_an_empty_folder_makes_one_campaign_although_it_is_killed",
    ),
    "3 A file that is damaged is noticed and left as it is": (
        "tools/test_history.py::test_an_unreadable_folder_still_answers_health",
        "e2e/test_commands.py::test_the_doctor_finds_a_server_file_that_is_no_database",
    ),
    "4 One campaign's trouble is not felt in another": (
        "e2e/test_flood.py::test_a_neighbour_is_answered_while_another_campaign_is_flooded",
        "test_server.py::test_a_flood_on_one_campaign_is_refused_at_its_end_while_another_answers",
        "test_deadlines.py::test_a_locked_campaign_is_not_felt_in_another",
    ),
    "6 When the disk refuses, reading goes on and play returns by itself": (
        "store/test_guarded.py::test_a_full_disk_is_not_tried_again_and_opens_the_breaker_of_that_way_alone",
        "store/test_guarded.py::test_an_open_breaker_lets_a_probe_through_and_closes_by_itself",
        "test_deadlines.py::test_a_locked_file_ends_in_a_safe_refusal_and_reads_go_on",
    ),
    "7 Every failure is classified and explained in our words": (
        "test_faults.py::test_every_error_class_of_the_project_is_listed_once",
        "test_server.py::test_every_tool_refuses_an_unknown_argument_and_an_unknown_campaign",
        "test_server.py::test_what_nobody_foresaw_gets_an_incident_and_no_detail",
        "e2e/test_hostile_input.py::test_hostile_expressions_are_refused_and_their_neighbours_are_answered",
    ),
    "The process speaks only the protocol and ends when it is told to": (
        "e2e/test_stdio_wire.py::test_every_line_on_stdout_of_a_whole_session_is_json_rpc",
        "e2e/test_stdio_wire.py::test_requests_followed_by_the_end_of_input_are_all_answered",
        "e2e/test_process_stop.py::test_an_idle_server_ends_with_0_and_leaves_clean_files",
        "e2e/test_process_stop.py::test_a_call_under_way_does_not_keep_the_server_alive",
        "e2e/test_process_stop.py::test_a_server_whose_parent_is_gone_ends_although_its_pipes_stay_open",
        "e2e/test_http.py::test_both_eras_play_on_the_same_campaign",
    ),
    "A newcomer needs two commands": (
        "e2e/test_commands.py::test_the_demo_plays_to_its_end",
        "test_examples.py::test_the_story_runs_and_its_assertions_hold",
    ),
}

# Rows of the acceptance list that are built so far, wholly or in the part that belongs to the first version.
REQUIREMENTS = frozenset(
    [
        "R02",
        "R03",
        "R04",
        "R05",
        "R07",
        "R09",
        "R15",
        "R16",
        "R22",
        "R24",
        "R26",
        "R29",
        "R32",
        "R33",
        "R34",
        "R35",
        "R36",
        "R37",
        "R38",
        "R39",
        "R42",
        "R44",
        "R45",
        "R46",
        "R47",
        "R48",
        "R76",
    ]
)
