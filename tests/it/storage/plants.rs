//! The control of the suite itself: a store that breaks a promise fails the case that holds it, and
//! the same store passes that case when it breaks none.

use everlog::testing::conformance::{TestStore, cases};
use tokio::task::JoinSet;

use crate::support::planted::{Plant, open};

/// Whether a store with this plant passes a case.
async fn passes<F>(plant: Plant, case: fn(TestStore) -> F) -> bool
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    tasks.spawn(case(open(plant)));
    tasks.join_next().await.expect("one task was spawned").is_ok()
}

macro_rules! plants {
    ($($test:ident: $plant:ident fails $module:ident::$case:ident;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            assert!(passes(Plant::Nothing, cases::$module::$case).await, "without the plant");
            assert!(!passes(Plant::$plant, cases::$module::$case).await, "with the plant");
        })*
    };
}

plants! {
    a_store_that_forgets_conditions_is_noticed:
        ForgetsConditions fails conditions::a_stream_with_events_is_not_empty;
    a_store_that_judges_before_it_locks_is_noticed:
        JudgesTooEarly fails races::of_writers_to_an_empty_stream_one_wins;
    a_store_that_doubles_replays_is_noticed:
        DoublesReplays fails replay::the_same_again_gets_the_original_answer;
    a_store_that_tears_publishes_apart_is_noticed:
        TearsPublishesApart fails writes::a_failed_condition_writes_nothing_to_any_stream;
    a_store_that_numbers_the_refused_is_noticed:
        NumbersTheRefused fails writes::a_refused_publish_spares_its_neighbours_and_takes_no_number;
    a_store_that_loses_the_last_event_is_noticed:
        LosesTheLast fails writes::several_events_take_the_next_positions;
    a_store_that_commits_out_of_order_is_noticed:
        ShowsThePredecessorLate fails following::a_totally_ordered_log_is_followed_without_a_skip;
    a_store_that_skips_rows_is_noticed:
        SkipsRows fails paging::pages_of_a_totally_ordered_log_give_each_event_once;
    a_store_that_mixes_logs_is_noticed:
        MixesLogs fails logs::logs_keep_apart_what_has_the_same_names;
    a_store_that_prints_payloads_is_noticed:
        PrintsPayloads fails content::json_comes_back_byte_for_byte;
    a_store_that_mixes_categories_is_noticed:
        MixesCategories fails scans::a_category_leaves_other_categories_out;
    a_store_that_forgets_guards_is_noticed:
        ForgetsGuards fails saving::a_false_guard_changes_nothing;
    a_store_that_reads_an_index_too_soon_is_noticed:
        ServesHalfBuilt fails indexing::an_index_serves_when_it_is_built;
    a_count_by_keys_that_are_missing_is_noticed:
        SkipsKeys fails indexing::keys_are_counted_where_they_are_exact;
    a_store_that_skips_changes_is_noticed:
        SkipsDocuments fails saving::changes_are_read_in_their_order;
    random_queries_notice_an_index_that_lacks_rows:
        SkipsKeys fails queries::random_queries_find_what_the_reference_finds;
    a_store_that_skips_documents_is_noticed:
        SkipsDocuments fails queries::random_queries_find_what_the_reference_finds;
    a_store_that_orders_by_a_locale_is_noticed:
        OrdersByLocale fails saving::many_documents_are_in_the_order_of_their_ids;
    random_queries_notice_an_order_by_a_locale:
        OrdersByLocale fails queries::random_queries_find_what_the_reference_finds;
    random_queries_notice_rounded_numbers:
        RoundsIntegers fails queries::random_queries_find_what_the_reference_finds;
    a_store_that_mixes_the_documents_of_logs_is_noticed:
        MixesLogs fails saving::names_and_logs_keep_apart_what_has_the_same_id;
    a_store_that_forgets_revocations_is_noticed:
        ForgetsRevocations fails keys::a_key_is_revoked_once;
    a_store_that_rounds_the_numbers_of_documents_is_noticed:
        RoundsIntegers fails saving::a_document_comes_back_as_it_was_saved;
}
