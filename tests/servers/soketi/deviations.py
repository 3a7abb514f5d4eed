"""Where soketi 1.6.1 is not the hosted service, case by case; a deviation that vanished fails.

The cases are those of tests/official/pusher, by their names, with their parameters and without the server's.
"""

from __future__ import annotations

from typing import Final

_STATUS = "it answers every call with the status 200; errors are told in the body alone"
_TEXT = "it answers with an error event of its own, `pusher:subscription_error`, in its own words"
_SILENT = "it says nothing"
_UNCHECKED = "it does not check this"

DEVIATIONS: Final[dict[str, str]] = {
    # connections
    "test_a_text_that_is_no_event_is_told": _SILENT,
    # channels
    "test_a_second_subscription_to_a_channel_is_an_error": "it confirms again",
    "test_a_refused_name_is_told": _TEXT,
    "test_a_forged_signature_is_told_in_the_services_words": _TEXT,
    "test_a_signature_of_another_shape_or_key_is_told": _TEXT,
    "test_an_encrypted_event_is_for_one_channel": _UNCHECKED,
    # client events
    "test_a_client_event_in_a_public_channel_is_refused": "it passes them on",
    "test_a_client_event_in_a_public_channel_reaches_nobody": "it passes them on",
    "test_only_members_send_client_events": _SILENT,
    "test_other_names_are_no_client_events": _SILENT,
    # presence
    "test_a_member_that_is_too_large_is_refused[id]": "it has no limit for an id",
    "test_a_member_without_an_id_is_refused": "it lets in a user without an id",
    "test_numbers_are_told_as_texts_in_the_table": "its table lacks members of whom nothing but the id is told",
    # users
    "test_a_refused_sign_in_leaves_the_connection": "it closes the connection with 4009",
    "test_a_connection_has_one_user": "it takes the second user",
    "test_the_channel_of_a_user_is_for_that_user": "it lets anybody subscribe",
    "test_a_signed_in_user_needs_no_description": "it wants channel_data",
    # calls
    "test_the_answer_to_an_event_is_empty": "it answers with an object that says ok",
    "test_the_occupied_channels_are_told": "it always tells connections, and never users",
    "test_a_channel_has_the_parts_that_were_asked_for": "it tells what was not asked for",
    "test_users_are_counted_in_presence_channels_alone": _STATUS,
    "test_a_count_that_a_channel_has_not_is_an_error": _UNCHECKED,
    "test_an_event_can_ask_for_counts": "it knows no `info` in events",
    "test_the_kept_event_of_a_cache_channel_is_told": "it does not tell what a cache channel keeps",
    "test_a_call_that_is_not_signed_well_is_refused[late]": "it takes calls of any time",
    "test_a_call_that_is_not_signed_well_is_refused[early]": "it takes calls of any time",
    "test_a_call_that_is_not_signed_well_is_refused[key]": "it goes by the app's id and looks at no key",
    "test_a_call_that_is_not_signed_well_is_refused[version]": _UNCHECKED,
    "test_the_official_package_knows_the_refusal": _STATUS,
    "test_errors_have_their_status": _STATUS,
    "test_a_malformed_event_is_refused[reserved name]": _UNCHECKED,
    "test_a_malformed_event_is_refused[object]": _UNCHECKED,
    "test_a_malformed_event_is_refused[channel with space]": _UNCHECKED,
    "test_a_malformed_event_is_refused[long channel]": _UNCHECKED,
    "test_a_malformed_event_is_refused[no channels]": _UNCHECKED,
    "test_a_malformed_event_is_refused[socket]": _UNCHECKED,
}
