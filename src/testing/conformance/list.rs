//! The list of cases, and the macros that turn it into tests.
//!
//! In brackets: the cases of `logicblocks.event.store` (a Python library) that a case ports, by the
//! number in its adapter suite: 1–5 stream save, 6–7 category save, 8–19 write conditions, 20–22
//! threads, 23–28 tasks (stream save), 29–35 tasks (category save), 36–41 log scan, 42–48 category
//! scan, 49–56 stream scan, 57–62 latest. From 101 on those of its suite for projections: 101–103 save,
//! 104–109 find one, 110–121 find many, 122–126 count.

/// Hands the list of all cases to a macro: `conformance_cases! { [macro] [arguments] }`.
#[macro_export]
macro_rules! conformance_cases {
    ([$($callback:tt)*] [$($argument:tt)*]) => { $($callback)*! { [$($argument)*]
        writes {
            one_event_comes_back_as_written [1];
            several_events_take_the_next_positions [2];
            a_later_publish_goes_on_where_the_stream_ended [3];
            metadata_left_out_is_null [4];
            empty_metadata_stays_an_empty_object [5];
            streams_of_one_publish_have_their_own_positions [6];
            a_failed_condition_writes_nothing_to_any_stream [7];
            streams_of_many_categories_are_written_in_request_order;
            a_refused_publish_spares_its_neighbours_and_takes_no_number;
            publishes_of_a_batch_see_their_predecessors;
            an_empty_batch_writes_nothing;
            a_thousand_streams_fit_one_publish;
            times_that_are_not_stated_are_the_clocks;
            a_clock_that_goes_back_does_not_take_recorded_at_along;
        }
        conditions {
            an_empty_stream_is_empty [8];
            a_stream_is_empty_though_its_category_has_others [9];
            a_stream_is_empty_though_its_log_has_others [10];
            a_stream_with_events_is_not_empty [11];
            stream_exists_asks_for_an_event;
            the_position_expected_lets_the_next_be_written [12];
            a_position_below_the_expected_fails [13];
            a_position_above_the_expected_fails [14];
            an_empty_stream_has_no_position [15];
            position_at_least_holds_from_there_on;
            all_streams_empty_as_expected_are_written [16];
            all_streams_at_the_expected_position_are_written [17];
            one_stream_not_empty_fails_all [18];
            one_stream_at_another_position_fails_all [19];
            all_that_fails_is_told_in_written_order;
            a_condition_may_be_on_a_stream_not_written_to;
            trees_of_conditions_hold_as_their_words_say;
            a_failed_tree_tells_its_failed_leaves;
        }
        tags {
            the_tag_of_a_stream_is_its_position;
            the_tag_of_a_log_is_its_last_number;
            the_tag_of_a_category_is_the_number_of_its_last_event;
            a_tag_sees_the_predecessors_in_the_batch;
            a_weak_tag_is_told_when_it_fails;
        }
        matching {
            names_are_looked_for_in_the_source_named;
            metadata_is_looked_for_by_type_and_text;
            only_events_after_the_number_stand_against_it;
            predecessors_in_the_batch_stand_against_it;
            every_lane_of_the_source_is_looked_through;
            a_match_is_told_with_the_place_to_read_from;
            it_stands_in_trees_as_well;
            too_many_events_to_examine_are_refused;
        }
        replay {
            the_same_again_gets_the_original_answer;
            the_same_twice_in_one_batch_is_written_once;
            replay_is_looked_up_before_conditions;
            json_is_the_same_whatever_the_order_of_its_members;
            other_content_under_an_id_is_a_conflict;
            another_stream_is_a_conflict;
            an_id_is_found_in_whatever_lane_it_is;
            a_partial_overlap_is_a_conflict;
            ids_that_are_not_consecutive_are_a_conflict;
            times_are_compared_only_if_they_are_stated;
            a_key_answers_the_same_request_alone;
            an_id_is_known_only_in_its_log;
        }
        races {
            of_writers_to_an_empty_stream_one_wins [20, 23];
            of_writers_at_one_position_one_wins [21, 24];
            unchecked_writers_all_succeed_in_blocks [22, 25];
            of_writers_to_several_empty_streams_one_wins [29];
            of_writers_to_several_streams_at_one_position_one_wins [30];
            writers_to_different_streams_all_succeed [31];
            unchecked_writers_to_the_same_streams_all_succeed_in_blocks [32];
            the_same_publish_at_once_is_written_once;
            one_writer_wins_a_boundary_drawn_by_events;
            writers_in_opposite_order_do_not_block_each_other;
        }
        following {
            a_totally_ordered_log_is_followed_without_a_skip [26];
            a_category_ordered_log_is_followed_without_a_skip [27];
            a_stream_ordered_log_is_followed_without_a_skip [28];
            many_streams_at_once_are_followed_in_a_totally_ordered_log [33];
            many_streams_at_once_are_followed_in_a_category_ordered_log [34];
            many_streams_at_once_are_followed_in_a_stream_ordered_log [35];
        }
        scans {
            an_empty_log_gives_nothing [36];
            a_log_gives_every_event_in_order_of_number [37, 38, 39, 40];
            a_log_goes_on_after_a_number [41];
            an_empty_category_gives_nothing [42, 43];
            a_category_gives_its_events_in_order_of_number [44, 45, 46];
            a_category_leaves_other_categories_out [47];
            a_category_goes_on_after_a_number [48];
            an_empty_stream_gives_nothing [49, 50];
            a_stream_gives_its_events_in_order_of_position [51, 52, 53];
            a_stream_leaves_other_streams_and_namesakes_out [54, 55];
            a_stream_goes_on_after_a_position [56];
            what_is_empty_has_no_latest_event [57, 59, 61];
            the_latest_event_is_the_last_of_its_source [58, 60, 62];
        }
        paging {
            pages_of_a_totally_ordered_log_give_each_event_once;
            pages_of_a_category_ordered_log_give_each_event_once;
            pages_of_a_stream_ordered_log_give_each_event_once;
            events_of_one_moment_are_given_once_too;
            what_is_appended_between_pages_is_read_forwards;
            what_is_appended_between_pages_is_not_read_backwards;
            a_page_is_cut_at_its_bytes;
            a_filtered_page_is_cut_at_what_it_examined;
            the_latest_is_found_beyond_one_page_of_examining;
            a_hundred_events_and_more_cross_every_fetch;
        }
        cursors {
            after_and_before_bound_a_scan_both_ways;
            positions_bound_a_scan_of_a_stream;
            a_stream_is_read_after_a_sequence_number;
            pages_tell_where_the_source_ends;
            a_page_at_the_end_is_empty_and_knows_the_end;
            a_cursor_of_another_history_is_refused;
            a_cursor_of_the_log_is_a_place_in_its_categories;
            the_end_of_a_category_is_its_own_after_a_cursor_of_the_log;
            several_lanes_need_a_cursor_that_we_handed_out;
            a_vector_of_another_history_is_refused;
            one_stream_has_numbers_for_cursors_at_any_ordering;
        }
        filters {
            names_filter_scans_and_latest;
            metadata_filters_scans_and_latest;
            each_time_filters_inclusively_at_both_ends;
            a_log_is_read_as_of_and_as_at;
            filters_hold_over_several_lanes;
        }
        listings {
            logs_are_listed_by_prefix_and_cursor;
            categories_are_listed_by_prefix_and_cursor;
            streams_are_listed_by_prefix_and_cursor;
            entries_tell_the_ends_of_what_they_name;
            what_has_no_event_has_no_entry;
            entries_of_several_lanes_tell_the_ends_of_all;
        }
        names {
            hostile_names_are_only_bytes;
            hostile_names_are_names_of_logs;
            a_category_may_be_named_like_a_stream;
            names_are_not_normalised;
        }
        content {
            json_comes_back_byte_for_byte;
            a_mebibyte_comes_back_byte_for_byte;
            times_keep_their_microseconds_in_every_year;
            recorded_at_is_kept_in_every_year;
        }
        lanes {
            one_lane_numbers_from_1_without_holes;
            a_category_stays_in_one_lane_without_holes;
            a_stream_stays_in_one_lane_without_holes;
            sixty_four_lanes_are_as_good_as_one;
            recorded_at_never_decreases_within_a_lane;
        }
        logs {
            a_log_is_found_as_it_was_put;
            a_log_put_twice_is_one_log;
            the_lanes_of_a_log_cannot_change;
            whether_a_condition_is_required_can_change;
            logs_created_at_once_are_created_once_each;
            logs_keep_apart_what_has_the_same_names;
        }
        extending {
            what_was_decided_is_written_where_the_lane_ends;
            the_first_events_of_a_lane_are_written_after_0;
            a_lane_that_ends_elsewhere_is_left_alone;
            what_is_taken_stops_the_whole_batch;
            of_those_who_extend_at_once_one_wins;
            steps_and_sections_keep_out_of_each_others_way;
            what_is_looked_up_is_what_is_stored;
        }
        unique {
            a_sequence_number_is_taken_once;
            a_position_is_taken_once;
            an_id_is_taken_once;
            what_breaks_no_rule_is_seen_and_counted_on;
            the_rules_are_of_one_log_each;
            positions_are_of_one_stream_each;
        }
        saving {
            a_document_comes_back_as_it_was_saved [101];
            many_documents_are_in_the_order_of_their_ids;
            an_update_replaces_the_document_and_keeps_its_source [103];
            times_give_the_order_of_saving [102];
            a_version_is_never_used_again;
            a_false_guard_changes_nothing;
            edits_of_a_batch_see_their_predecessors;
            of_those_who_save_at_once_each_is_counted;
            names_and_logs_keep_apart_what_has_the_same_id;
            names_are_listed_with_their_counts;
            documents_are_located_by_their_source [106, 108, 109];
            changes_are_read_in_their_order;
            changes_are_read_without_a_skip_while_others_save;
            a_projection_knows_the_last_event_that_it_holds;
        }
        indexing {
            an_index_serves_when_it_is_built;
            an_index_follows_what_is_saved_and_deleted;
            an_index_is_built_beside_edits;
            a_declaration_keeps_what_it_repeats;
            a_dropped_projection_has_no_index;
            keys_are_counted_where_they_are_exact;
            what_is_alike_is_found_by_its_pieces;
            what_is_alike_is_looked_through_to_its_end;
        }
        operators {
            eq_compares_numbers_by_value_and_types_strictly;
            eq_null_finds_null_and_absent_alone [112];
            eq_compares_arrays_and_objects_deeply;
            ne_holds_of_all_that_eq_does_not;
            ne_null_holds_of_what_is_there_and_not_null [113];
            comparisons_are_of_one_type;
            in_compares_as_eq_does;
            contains_finds_elements_and_others_find_the_rest;
            patterns_are_searched_for_in_strings_alone;
            strings_are_ordered_by_code_point;
            sources_are_compared_as_they_are_written;
        }
        cursoring {
            without_a_sort_pages_are_in_the_order_of_ids;
            a_page_before_is_in_the_same_order;
            a_page_goes_on_where_a_document_was;
            a_page_goes_on_where_a_document_moved_from;
            a_page_goes_on_after_what_the_filter_excludes_now;
            names_have_pages_of_their_own;
            null_and_absent_are_first_and_nothing_is_lost;
            mixed_directions_have_pages;
            similarity_has_pages;
            a_page_ends_with_its_bytes;
        }
        queries {
            filters_find_what_they_state [104, 105, 107, 110, 111, 120, 121];
            sorts_are_total_and_mixed [114, 115];
            a_page_comes_after_filter_and_sort [116, 117, 118, 119];
            each_document_is_examined_once;
            counts_are_of_all_that_match [122, 123, 124, 125, 126];
            random_queries_find_what_the_reference_finds;
        }
        projecting {
            a_changed_definition_is_a_new_revision;
            a_name_with_documents_of_clients_has_no_projector;
            a_revision_has_one_owner_at_a_time;
            documents_and_progress_change_together;
            several_revisions_go_on_at_once;
            a_halted_revision_goes_no_further;
        }
        keys {
            a_key_is_found_as_it_was_added;
            an_id_is_one_key;
            keys_are_listed_in_the_order_of_their_ids;
            a_key_is_revoked_once;
            a_ticket_is_used_for_the_first_time_once;
        }
    } };
}

/// Emits one `#[tokio::test]` for each case, for the stores that `$open` opens.
#[macro_export]
macro_rules! conformance_tests {
    ([$open:path] $($module:ident { $($case:ident $([$($seed:literal),*])? ;)* })*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                let store = $open().await;
                $crate::testing::conformance::cases::$module::$case(store).await;
            })*
        })*
    };
}

/// Puts the stores that an `async fn() -> TestStore` opens through the whole suite.
#[macro_export]
macro_rules! conformance_suite {
    ($open:path) => {
        $crate::conformance_cases! { [$crate::conformance_tests] [$open] }
    };
}
