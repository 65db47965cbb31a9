//! The list of all cases.

/// Makes a test of each case of [`crate::conformance`], for the store under test of this name, which stands in the module
/// around: `conformance_suite!(MemoryUnderTest, Never)`.
#[macro_export]
macro_rules! conformance_suite {
    ($under_test:ident, $restarts:ident) => {
        $crate::conformance_suite! { @ $under_test, $restarts;
            budget {
                a_stranger_who_says_goodbye_in_each_request_mints_no_session_for_each
                a_stranger_who_logs_in_with_each_request_has_64_sessions_at_once
                a_flood_of_provisional_sessions_evicts_the_oldest_of_them
                an_idle_session_goes_before_a_busy_one
                the_cap_evicts_unconfirmed_sessions_first
                sessions_that_cookieless_clients_share_are_evicted_before_those_of_visitors
                tombstones_are_bounded_and_a_flood_pushes_out_nobody_who_is_known
                forged_hosts_make_room_again_when_nobody_has_asked_for_them_for_a_day
                a_confirmation_tells_the_index_by_fingerprint
                a_restart_forgets_no_cookieless_fingerprint_and_no_rules
                a_restart_goes_by_the_sessions_own_rules_and_not_by_the_first
            }
            erasure {
                no_sink_gets_the_erased_and_others_go_on
                a_visitor_is_erased_with_the_anonymous_visits
                an_erasure_that_is_asked_for_again_finds_nothing_open
            }
            holds {
                a_request_in_flight_holds_off_idle_expiry
                a_request_that_is_dropped_lets_go
                a_dropped_request_does_not_keep_a_session_open_for_its_whole_age
                a_request_that_turns_out_to_be_passive_lets_go_at_the_idle_deadline
                holds_of_a_dead_incarnation_are_gone_after_a_restart
                a_hold_runs_out_at_its_deadline
                a_request_that_goes_on_after_its_commit_holds_and_its_end_is_activity
            }
            identity {
                the_rotation_before_is_recorded_for_thirty_seconds_and_gets_nothing
                a_double_submitted_login_keeps_the_browser_that_sent_it
                ten_thousand_requests_without_a_cookie_cost_at_most_64_sessions
                the_same_holds_for_one_ended_token_presented_again_and_again
                fifty_new_browsers_behind_one_address_get_fifty_sessions
                a_cookieless_client_that_returns_its_cookie_gets_a_session
                who_returns_a_token_takes_along_what_it_did_first
                an_asset_takes_it_along_and_the_next_page_goes_on_there
                parallel_requests_take_it_along_once
                a_shared_session_of_which_nothing_is_left_is_no_visit
                who_takes_along_what_is_forgotten_is_admitted_as_anybody
                what_was_done_first_too_long_ago_stays_where_it_is
                a_shared_session_hands_nothing_back_and_a_login_leaves_it
                a_client_chosen_id_is_never_adopted
                a_forged_host_makes_no_site
                the_old_token_tells_the_new_visit_where_it_comes_from
            }
            lifecycle {
                only_a_page_view_or_something_named_starts_a_session
                a_request_exactly_on_the_timeout_belongs_a_later_one_does_not
                the_wheel_ends_without_further_traffic_and_never_early
                max_age_ends_even_a_busy_session
                the_order_inside_a_request
                login_goes_on_with_the_visit_under_another_token
                another_users_login_is_a_logout_and_a_start
                logout_may_keep_the_session
                a_newer_login_supersedes_where_only_one_is_allowed
                a_full_visit_ends_and_the_next_request_starts_another
                a_write_to_an_ended_session_is_refused
                without_cookies_everybody_is_known_by_fingerprint
                who_can_get_no_cookie_is_known_by_fingerprint_at_once
                an_app_may_say_with_every_answer_who_it_is
                an_app_may_say_with_every_answer_that_nobody_is_in
                a_request_that_finds_the_shared_session_overdue_ends_it
            }
            model {
                the_machine_does_what_the_reference_does
            }
            once {
                a_first_contact_committed_twice_starts_one_session
                a_request_in_a_live_session_committed_twice_is_recorded_once_and_holds_once
                a_request_in_a_shared_session_committed_twice_is_recorded_once
                what_nobody_remembers_any_more_is_refused_not_done_again
            }
            parallel {
                fifty_parallel_requests_with_one_expired_token_start_one_session
                a_logged_out_token_never_joins
                a_twin_joins_only_until_the_session_logs_in
                a_twin_joins_a_session_that_logged_in_if_the_app_says_the_same_user
                a_twin_joins_for_ten_seconds_and_only_from_the_same_fingerprint
                only_an_expired_or_evicted_sessions_token_joins
            }
            port {
                twice_is_once
                an_unknown_outcome_is_known_afterwards
                a_terminated_session_is_gone
                an_open_visit_has_its_events
                a_list_misses_none_that_stays
            }
            values {
                values_are_field_level_and_bounded
            }
            visitors {
                a_birth_is_kept_and_one_that_lies_ahead_is_put_right
                a_visitor_who_is_too_old_goes_on_in_the_session_and_then_is_a_new_one
                a_visitor_on_the_last_day_is_still_the_same
                twins_of_a_visitor_who_is_too_old_meet_in_one_session_of_one_new_visitor
                another_users_login_starts_the_session_of_who_follows_a_visitor_who_is_too_old
                a_token_without_a_visit_ages_too
            }
        }
    };
    (@ $under_test:ident, $restarts:ident; $($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            $(#[test]
            fn $case() {
                $crate::conformance::$module::$case::<super::$under_test>($crate::conformance::Restarts::$restarts);
            })*
        })*
    };
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn no_case_is_missing_in_the_list() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        let list = include_str!("suite.rs");
        let mut cases = 0;
        for file in std::fs::read_dir(folder).expect("a folder") {
            let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
            let names = text
                .lines()
                .filter_map(|line| line.strip_prefix("pub fn ")?.split_once("<S: StoreUnderTest>(restarts"));
            for (name, _) in names {
                assert!(list.lines().any(|line| line.trim() == name), "{name} is run by nobody");
                cases += 1;
            }
        }
        assert!(cases > 50, "{cases} cases");
    }
}
