"""The 25 ways in which this kind of system is known to fail, what must be seen instead, and which tests look for it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.reliability.figures import Figure, chaos, fuzz, latency, recovery, soak, standins, versions


@dataclass(frozen=True)
class Item:
    """One of them. tests: `file::function`, below tests/; breaks: a change of the code at which one of them fails."""

    title: str
    must: str
    tests: tuple[str, ...]
    breaks: str
    figures: tuple[Figure, ...] = ()


ITEMS = (
    Item(
        "Forked networks",
        "A child never inherits thread pools without their threads: children are spawned, and their parent loads no network.",
        ("integration/test_parents.py::test_a_parent_loads_no_library_whose_threads_a_child_would_lack",
         "integration/test_parents.py::test_children_are_spawned_and_have_time_to_build_their_networks"),
        "import faiss at the top of worker/app.py, or remove worker_proc_alive_timeout",
    ),
    Item(
        "Children that take long to start",
        "Whoever replaces a dead child has time to build its networks, and serves.",
        ("acceptance/test_live.py::test_a_job_survives_the_death_of_children_worker_and_broker_with_one_outcome_per_photo",
         "integration/test_parents.py::test_children_are_spawned_and_have_time_to_build_their_networks"),
        "remove worker_proc_alive_timeout: replacements are killed after 4 s",
        (recovery("worker child killed"),),
    ),
    Item(
        "A killed child",
        "A new child serves within its cold start and 5 s, and the batch is answered.",
        ("acceptance/test_live.py::test_a_job_survives_the_death_of_children_worker_and_broker_with_one_outcome_per_photo",
         "acceptance/test_chaos.py::test_every_photo_has_one_right_outcome_whatever_breaks"),
        "let BatchRequest.on_failure acknowledge instead of rejecting",
        (recovery("worker child killed"),),
    ),
    Item(
        "A photo that kills its process",
        "It is run a few times at most, fails alone with a dead letter, and its neighbours are answered.",
        ("acceptance/test_kills.py::test_a_poison_image_is_failed_alone_and_put_on_the_dead_letter_list",
         "integration/test_delivery.py::"
         "test_the_poison_image_is_set_apart_by_halves_and_its_neighbours_are_run_no_more_often_than_needed",
         "integration/test_given_up.py::test_a_batch_that_is_given_up_ends_with_the_outcomes_that_it_has"),
        "let BatchRequest.on_failure acknowledge the message of a child that died",
    ),
    Item(
        "A killed worker",
        "Its batches are done by another one within the visibility timeout and a sweep, with one effect.",
        ("acceptance/test_kills.py::test_work_of_a_killed_worker_is_taken_up_by_another",
         "acceptance/test_kills.py::test_kills_of_workers_and_brokers_lose_no_task"),
        "acknowledge messages when they are taken",
        (recovery("worker killed"), standins),
    ),
    Item(
        "Connections cut, a broker away or frozen",
        "After twenty cuts in a row, a broker that was away, that stood still, or whose disk was full, workers go on; producers "
        "get an error in time.",
        ("acceptance/test_kills.py::test_a_worker_consumes_again_after_its_connections_were_killed",
         "acceptance/test_kills.py::test_a_frozen_broker_is_an_error_for_producers_and_a_pause_for_workers",
         "acceptance/test_outages.py::test_a_broker_that_answers_but_can_keep_nothing_loses_no_task_and_needs_nobody",
         "acceptance/test_outages.py::test_a_broker_whose_disk_is_full_loses_no_task_and_needs_nobody_when_there_is_room_again",
         "integration/test_transport.py::test_a_batch_that_ends_after_its_connection_was_lost_is_left_to_its_lease"),
        "let QoS speak over the channel of a lost connection, or Channel bind queues without Refusing: the worker ends for good",
        (recovery("valkey connections cut"), recovery("valkey killed"), recovery("valkey frozen"), recovery("valkey full")),
    ),
    Item(
        "A worker that is up and consumes nothing",
        "It is seen within 90 s and replaced: children that hang between batches, parents that stand still.",
        ("acceptance/test_health.py::"
         "test_a_worker_that_takes_no_message_is_sick_until_it_does_and_one_without_a_broker_waits",
         "acceptance/test_outages.py::"
         "test_children_that_are_stopped_between_tasks_and_in_work_are_replaced_and_their_batches_done",
         "unit/test_compose.py::test_who_stays_sick_is_ended_by_its_health_check_so_that_it_is_started_again",
         "acceptance/test_stack.py::test_what_dies_is_told_and_started_again_with_nothing_lost"),
        "remove Watchdog.look from the consumer",
        (recovery("worker frozen", "worker child frozen"),),
    ),
    Item(
        "A worker that is told to stop",
        "It finishes what it began, gives the rest back at once, and ends with code 0.",
        ("acceptance/test_kills.py::test_a_worker_that_is_told_to_stop_finishes_what_it_began",
         "unit/test_compose.py::test_a_stop_waits_longer_than_the_largest_batch_may_take"),
        "let a warm shutdown renew no leases: what it holds is done twice",
        (recovery("worker told to stop"),),
    ),
    Item(
        "A hang in native code",
        "The time limit ends the child, the photo fails alone, and no message lengthens or shortens the limit.",
        ("acceptance/test_kills.py::test_an_image_that_hangs_in_native_code_is_failed_alone_by_the_time_limit",
         "acceptance/test_kills.py::test_a_child_that_stands_still_over_its_result_is_ended_and_its_photos_keep_their_outcomes",
         "acceptance/test_kills.py::test_no_message_shortens_the_time_limit",
         "unit/test_headers.py::test_the_time_limit_is_the_workers_whatever_a_message_says"),
        "let headers.admit keep a message's own timelimit (its unit test fails)",
    ),
    Item(
        "A single photo behind ten thousand",
        "It waits for what is in work, never for what waits.",
        ("acceptance/test_kills.py::test_a_single_photo_is_answered_ahead_of_all_jobs",
         "integration/test_transport.py::test_queues_are_served_in_strict_order"),
        "send it to the bulk queue",
        (latency,),
    ),
    Item(
        "Two clocks",
        "Of two syncs one works, and whoever lost its lock publishes nothing.",
        ("integration/test_publish.py::test_the_lock_has_one_holder_and_names_it",
         "integration/test_publish.py::test_a_publisher_that_lost_its_lock_moves_nothing"),
        "let sync_lock go on without having acquired the lock",
        (recovery("indexer killed", "indexer frozen"),),
    ),
    Item(
        "Publishing under load",
        "No photo fails, each batch is answered from one version, and all children come to the new one.",
        ("acceptance/test_live.py::test_versions_published_during_a_job_harm_no_photo_and_no_batch_mixes_them",
         "integration/test_pipeline.py::test_a_batch_is_answered_from_the_version_that_it_began_with",
         "integration/test_catalogs.py::test_a_batch_keeps_its_version_while_another_is_taken_up"),
        "ask the catalogs for a snapshot per photo instead of per batch",
        (versions,),
    ),
    Item(
        "Damaged, foreign and outdated catalogs",
        "Each is refused by name and the version before serves on.",
        ("integration/test_replica.py::test_a_damaged_version_is_never_served",
         "integration/test_catalogs.py::test_a_version_that_cannot_be_opened_is_refused_and_the_one_before_serves_on",
         "unit/test_snapshot.py::test_an_array_whose_header_is_no_python_is_refused",
         "integration/test_fuzz.py::test_damaged_input_is_read_or_named"),
        "let Snapshot.open catch ValueError alone",
        (fuzz("catalogs"),),
    ),
    Item(
        "Files that are served and written",
        "Names are never used twice; what is mapped stays readable, over a thousand swaps beside matching.",
        ("integration/test_swaps.py::test_a_thousand_swaps_beside_matching_fail_nothing_and_keep_neither_memory_nor_handles",
         "integration/test_swaps.py::test_what_a_child_serves_cannot_be_written_through_what_it_has_opened"),
        "keep every snapshot in Catalogs, or open arrays with mmap_mode r+",
    ),
    Item(
        "Rolling back",
        "All workers are on the version before, without a restart.",
        ("integration/test_replica.py::test_rolling_back_is_followed_too",
         "integration/test_publish.py::test_rolling_back_goes_to_the_parent_or_to_a_named_version"),
        "let the replica follow only newer versions",
    ),
    Item(
        "An indexer killed at any write",
        "Readers find a whole version, the next run publishes what an undisturbed one does, and orphans go.",
        ("integration/test_sync_kills.py::test_the_sync_after_a_kill_publishes_what_an_undisturbed_one_does",
         "integration/test_sync_kills.py::test_an_indexer_that_was_frozen_until_another_had_published_does_no_harm",
         "integration/test_sync.py::test_a_sync_killed_at_any_write_leaves_a_whole_catalog_and_the_next_one_completes",
         "unit/test_collection.py::test_at_the_end_of_a_sync_go_parts_of_versions_that_went_and_of_uploads_that_never_ended"),
        "leave out the upload of the manifest",
        (recovery("indexer killed"),),
    ),
    Item(
        "Products that leave and change",
        "One that left is not returned after the next publication; one that changed is found once, by its new photos.",
        ("integration/test_sync.py::test_a_product_that_left_the_feed_is_gone_and_a_new_one_is_there",
         "integration/test_pipeline.py::test_a_new_version_answers_the_next_batch_and_a_withdrawn_product_is_gone",
         "integration/test_sync.py::test_a_changed_picture_under_the_same_address_is_described_again"),
        "keep the parent's products in the plan, or believe a known picture without asking its source",
    ),
    Item(
        "Kinds of pictures",
        "EXIF 1 to 8, CMYK, 16 bits, alpha, palettes, animations, HEIC, AVIF, grey and progressive files give the embedding of "
        "their plain picture within a cosine of 0.99; a pixel and a strip are refused by name.",
        ("integration/test_picture_kinds.py::test_a_photo_of_any_kind_has_the_embedding_of_its_plain_picture",
         "integration/test_picture_kinds.py::test_a_photo_without_a_picture_is_refused_by_name"),
        "leave out the orientation, or scale 16 bits by clipping",
    ),
    Item(
        "Bombs",
        "Pictures and feeds that are made to take time or memory are refused at once, or cost no more than a photo.",
        ("integration/test_bombs.py::test_a_file_of_too_many_parts_is_refused_before_they_take_time_or_memory",
         "integration/test_bombs.py::test_sixteen_photos_of_60_megapixels_are_refused_at_once",
         "unit/test_structure.py::test_a_file_of_too_many_parts_is_broken",
         "unit/test_decode.py::test_a_bomb_is_refused_before_its_pixels_take_memory",
         "unit/test_feed.py::test_bombs_are_refused_with_bounded_memory"),
        "raise the limit of parts in shared/vision/structure.py (its unit test fails)",
    ),
    Item(
        "Broken files",
        "Each ends in its own typed outcome, without a crash or a retry, and its neighbours are answered.",
        ("integration/test_pipeline.py::test_each_broken_image_ends_in_its_own_typed_outcome_and_its_neighbours_are_answered",
         "integration/test_fuzz.py::test_damaged_photos_are_decoded_or_refused_by_a_child",
         "unit/test_decode.py::test_damaged_bytes_give_a_picture_or_a_typed_refusal"),
        "let decode raise what Pillow raises",
        (fuzz("images"), fuzz("images through the queue")),
    ),
    Item(
        "A store that drips, breaks off or is away",
        "Photos of our own storage are handed back and answered later, foreign ones fail in time, and no connection is lost.",
        ("acceptance/test_outages.py::test_no_photo_is_failed_by_a_store_that_is_away_and_work_goes_on_when_it_is_back",
         "acceptance/test_live.py::test_a_store_that_dies_while_a_job_waits_fails_no_photo",
         "integration/test_pipeline.py::"
         "test_photos_that_a_store_which_is_away_keeps_back_are_an_outage_and_what_came_before_is_finished",
         "integration/test_replica.py::test_a_version_whose_store_drips_is_left_after_what_its_parts_may_take",
         "integration/test_fetch.py::test_after_a_thousand_faults_the_pool_still_serves_and_holds_no_connection"),
        "let Fetcher.is_outage say no: photos fail with fetch_timeout",
        (recovery("seaweedfs killed"), recovery("seaweedfs frozen")),
    ),
    Item(
        "Addresses that lead inside",
        "Inner addresses in every notation, redirects to them and names that change their mind are refused without a packet.",
        ("integration/test_fetch.py::test_an_inner_address_is_refused_without_a_packet",
         "integration/test_fetch.py::test_a_redirect_inside_is_refused",
         "integration/test_fetch.py::test_a_name_that_answers_differently_the_second_time_gains_nothing"),
        "connect without asking the rule for addresses in shared/storage/web.py",
    ),
    Item(
        "Growth",
        "Over 20,000 mixed photos a child grows by less than 1 MB per 1,000 and stays below 700 MB; the broker's keys stay flat, "
        "and none is without a time to live beside a named few.",
        ("integration/test_ledger.py::test_every_key_has_a_time_to_live_except_the_dead_letters",
         "integration/test_soak.py::test_what_grows_is_said",
         "integration/test_soak.py::test_keys_without_a_time_to_live_are_found_beside_those_that_may_last"),
        "leave `expire` out of shared/queue/deliveries.py",
        (soak,),
    ),
    Item(
        "Unlike arithmetic",
        "bfloat16 and float32 see the same within a cosine of 0.999; workers of two recipes answer beside each other, the odd "
        "one is named, and no photo fails.",
        ("integration/test_embedders.py::test_bfloat16_agrees_with_float32_and_has_another_fingerprint",
         "acceptance/test_upgrade.py::test_workers_of_two_recipes_answer_a_job_side_by_side_and_none_fails",
         "integration/test_fleet.py::test_the_odd_worker_is_named_with_what_it_is_odd_in"),
        "leave the precision out of the embedder's description",
    ),
    Item(
        "Doors",
        "Broker and object storage open to each role what it needs, and to nobody else anything; messages are JSON alone, Flower "
        "asks who is there, containers have no rights that they do not use, and workers keep to their processors "
        "(`make compose-test`).",
        ("integration/test_broker_doors.py::test_a_door_opens_to_those_who_need_it_and_to_nobody_else",
         "integration/test_broker_doors.py::test_a_wrong_key_opens_nothing",
         "integration/test_store_doors.py::test_a_key_opens_the_rooms_of_its_role_and_no_others",
         "integration/test_store_doors.py::test_every_port_of_the_object_store_is_closed_to_whoever_has_no_key",
         "integration/test_flower_doors.py::test_a_page_is_shown_to_whoever_has_the_password",
         "integration/test_flower_doors.py::test_nothing_is_shown_for_the_keys_of_a_role",
         "integration/test_http_door.py::test_a_key_opens_what_its_right_is_for_and_nothing_else",
         "acceptance/test_stack.py::test_every_port_is_on_loopback",
         "acceptance/test_kills.py::test_messages_that_are_no_tasks_are_put_aside_and_the_worker_goes_on",
         "integration/test_fuzz.py::test_damaged_input_is_read_or_named",
         "unit/test_compose.py::test_no_container_runs_as_root_or_writes_outside_its_volumes"),
        "give a user of the broker `nopass`, start SeaweedFS without its certificate, or accept pickle",
        (fuzz("messages"),),
    ),
)  # fmt: skip

WHOLE = (("Chaos with networks", chaos), ("Chaos without networks", standins))
"""What is measured of all of them together."""
