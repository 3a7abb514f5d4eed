"""Ably's universal test specification (`uts` in ably/specification, at version 6.1.1), id by id.

The ids are those of its integration tests, which run against the service itself; LiveObjects and push, which the
emulator has not, are left out. Each is shown by cases of an official client, or deviates for a reason. What a
case asserts was checked against the clauses of the features specification that its id names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Shown:
    """The cases that show it; all in JavaScript, unless `client` says otherwise."""

    cases: tuple[str, ...]
    client: str = "javascript"


@dataclass(frozen=True)
class Deviates:
    """Why nothing shows it."""

    reason: str


def js(*cases: str) -> Shown:
    """Shown by cases of ably-js."""
    return Shown(cases)


def py(*cases: str) -> Shown:
    """Shown by cases of ably-python."""
    return Shown(cases, "python")


NO_DELTAS: Final = Deviates(
    "the emulator sends no deltas: a client that asks for them gets whole messages, as the service may send too"
)

ANNOTATED: Final = "annotations are published, summed up and deleted"
BATCH: Final = "batch presence tells several channels at once"
HISTORY: Final = "presence history tells what happened"
PAGED: Final = "history pages backwards cover everything once"
FIRST: Final = "the first page is found again, and the last has no next"
MEMBERS: Final = "REST tells who is present"
RESUMED: Final = "a cut transport is resumed with the same connection id"

UTS: Final[dict[str, Shown | Deviates]] = {
    # -- realtime: auth
    "realtime/integration/RTC8a/in-band-reauth-connected-0": js(
        "in-band reauthorisation keeps the connection"
    ),
    "realtime/integration/RTC8c/authorize-initiates-connection-0": js(
        "authorize connects a client that is not connected"
    ),
    "realtime/integration/RSA8/token-auth-connect-0": js("connects with a JWT"),
    "realtime/integration/RSA7/matching-clientid-succeeds-0": js(
        "a token request with a client id gives a token of it"
    ),
    "realtime/integration/RSA7/mismatched-clientid-fails-1": js(
        "another client id than the token has is refused"
    ),
    "realtime/integration/RSA4b/token-renewal-on-expiry-0": js(
        "a token that ends is renewed and the connection resumed"
    ),
    "realtime/integration/RSA9a/token-request-server-accepted-0": js("a signed token request is accepted"),
    "realtime/integration/RSA9/token-request-with-clientid-0": js(
        "a token request with a client id gives a token of it"
    ),
    # -- realtime: channels
    "realtime/integration/RTL10d/history-cross-client-0": js("another client sees history"),
    "realtime/integration/RTL4c/attach-succeeds-0": js("a channel attaches"),
    "realtime/integration/RTL5d/detach-succeeds-0": js("a channel detaches and attaches again"),
    "realtime/integration/RTL14/insufficient-capability-failed-0": js(
        "attaching without the capability fails the channel"
    ),
    "realtime/integration/RTL6/string-data-roundtrip-0": js("text arrives as it was sent"),
    "realtime/integration/RTL6/json-data-roundtrip-1": js("objects and arrays arrive as they were sent"),
    "realtime/integration/RTL6/binary-data-roundtrip-2": js("bytes arrive as they were sent"),
    "realtime/integration/RTL6f/connectionid-matches-publisher-0": js("a message says who published it"),
    "realtime/integration/RSL6a2/message-extras-roundtrip-0": js("extras arrive as they were sent"),
    "realtime/integration/RTL7a/subscribe-all-messages-0": js("all subscribers get everything"),
    "realtime/integration/RTL7b/subscribe-filtered-by-name-0": js("a subscriber by name gets only that"),
    "realtime/integration/RTL7/bidirectional-message-flow-0": js("all subscribers get everything"),
    # -- realtime: connection
    "realtime/integration/RTN14a/invalid-key-failed-0": js(
        "an unknown application fails the connection", "a wrong secret fails the connection"
    ),
    "realtime/integration/RTN14g/revoked-key-failed-0": js("an unknown key fails the connection"),
    "realtime/integration/RTN4b/successful-connection-0": js("connects and passes through its states"),
    "realtime/integration/RTN4c/graceful-close-0": js("closes gracefully and cannot be resumed"),
    "realtime/integration/RTN11/connect-reconnect-cycle-0": js("connects, disconnects and connects again"),
    # -- realtime: deltas
    "realtime/integration/PC3/delta-decode-end-to-end-0": NO_DELTAS,
    "realtime/integration/RTL19b/dissimilar-payloads-no-delta-0": js(
        "a channel that asks for deltas gets whole messages"
    ),
    "realtime/integration/PC3/no-deltas-without-param-1": js("text arrives as it was sent"),
    "realtime/integration/RTL18/recovery-message-id-mismatch-0": NO_DELTAS,
    "realtime/integration/RTL18/recovery-decode-failure-1": NO_DELTAS,
    "realtime/integration/PC3/no-plugin-causes-failed-2": NO_DELTAS,
    # -- realtime: changes and annotations
    "realtime/integration/RTL32/update-message-observed-0": js("an update is observed"),
    "realtime/integration/RTL32/delete-message-observed-1": js("a delete is observed"),
    "realtime/integration/RTL32/append-message-observed-2": js(
        "an append is observed, as its slice or whole"
    ),
    "realtime/integration/RTL32/full-mutation-lifecycle-3": js("a message through its whole life"),
    "realtime/integration/RTL28/get-message-and-versions-0": js("a message and its versions are read"),
    "realtime/integration/RTAN1/annotation-publish-delete-0": js(ANNOTATED),
    "realtime/integration/RTAN4c/annotation-type-filtering-0": js(
        "annotations of one type reach who asked for it"
    ),
    "realtime/integration/RTAN4d/annotation-implicit-attach-0": js("subscribing to annotations attaches"),
    # -- realtime: presence
    "realtime/integration/RTP2/sync-delivers-members-0": js("one who comes later is told who is present"),
    "realtime/integration/RTP2/sync-multiple-members-1": js("many members come in several pages of a sync"),
    "realtime/integration/RTP4/bulk-enter-observed-0": js("fifty enters are seen by another"),
    "realtime/integration/RTP8/enter-update-leave-lifecycle-0": js(
        "a member enters, updates and leaves before another\u2019s eyes"
    ),
    # -- realtime: faults
    "realtime/proxy/RTN22/server-initiated-reauth-0": js("the server asks for new credentials and gets them"),
    "realtime/proxy/RTL4f/attach-timeout-suppressed-0": js(
        "an attach that gets no answer suspends the channel"
    ),
    "realtime/proxy/RTL14/error-on-attach-0": js("an ERROR instead of ATTACHED fails the channel"),
    "realtime/proxy/RTL5f/detach-timeout-suppressed-0": js(
        "a detach that gets no answer leaves the channel attached"
    ),
    "realtime/proxy/RTL13a/unsolicited-detach-reattach-0": js("DETACHED unasked is followed by an attach"),
    "realtime/proxy/RTL14/channel-error-goes-failed-1": js("ERROR of a channel fails it alone"),
    "realtime/proxy/RTL12/attached-non-resumed-update-0": js(
        "ATTACHED without RESUMED on an attached channel is an update"
    ),
    "realtime/proxy/RTL3d/channels-reattach-on-reconnect-0": js(
        "all channels attach again after a reconnect"
    ),
    "realtime/proxy/RTN14a/fatal-connect-error-0": js(
        "a fatal error instead of CONNECTED fails the connection"
    ),
    "realtime/proxy/RTN14b/token-error-renew-reconnect-0": js("a token refused at the start is renewed once"),
    "realtime/proxy/RTN14d/retry-after-refused-0": js("a refused transport is tried again"),
    "realtime/proxy/RTN14g/server-error-causes-failed-0": js(
        "a server error instead of CONNECTED fails the connection"
    ),
    "realtime/proxy/RTN14c/connection-timeout-0": js(
        "a connection that gets no CONNECTED times out and is tried again"
    ),
    "realtime/proxy/RTN15a/disconnect-triggers-resume-0": js("a socket closed with a close frame is resumed"),
    "realtime/proxy/RTN15a/tcp-close-triggers-resume-1": js(RESUMED),
    "realtime/proxy/RTN15b/resume-preserves-connid-0": js(RESUMED),
    "realtime/proxy/RTN15c7/failed-resume-new-connid-0": js(
        "a refused resume gives a new connection with its error"
    ),
    "realtime/proxy/RTN15h1/token-error-nonrenewable-failed-0": js(
        "a token error without a way to renew fails the connection"
    ),
    "realtime/proxy/RTN15h3/non-token-error-reconnects-0": js(
        "DISCONNECTED with an error is followed by a resume"
    ),
    "realtime/proxy/RTN15j/fatal-error-established-conn-0": js(
        "ERROR on an established connection fails it and its channels"
    ),
    "realtime/proxy/RTN15g/ttl-expiry-clears-resume-0": js(
        "a connection lost for longer than its state lives is suspended, then made anew"
    ),
    "realtime/proxy/RTN19a/unacked-resent-on-resume-0": js(
        "an unacknowledged publish is sent again after a resume and is there once"
    ),
    "realtime/proxy/RTN16d/recovery-preserves-connid-0": js("a connection is recovered by another client"),
    "realtime/proxy/RTN16l/recovery-failure-fresh-conn-0": js(
        "a failed recovery gives a fresh connection with its error"
    ),
    "realtime/proxy/RTN23a/heartbeat-starvation-reconnect-0": js(
        "silence beyond the idle interval ends the transport, and it resumes"
    ),
    "realtime/proxy/RTP17i/reenter-on-non-resumed-0": js(
        "after a channel lost continuity its member enters again"
    ),
    "realtime/proxy/RTP17i/reenter-after-disconnect-1": js(
        "a drop of fifteen seconds is a leave, and the member enters again"
    ),
    "realtime/proxy/RSC10/token-renewal-on-401-0": js("REST renews a token on a 401"),
    "realtime/proxy/RSC15m/http-503-no-fallback-0": js("a 503 without a fallback host is an error"),
    "realtime/proxy/RTL6/publish-history-through-proxy-0": js(
        "history until attach joins live messages without gap or overlap"
    ),
    # -- REST: auth
    "rest/integration/RSA4/basic-auth-key-0": js("REST takes the key"),
    "rest/integration/RSA8/token-auth-jwt-0": js("REST takes a JWT"),
    "rest/integration/RSA8/token-auth-native-1": js("REST takes a native token"),
    "rest/integration/RSA8/auth-callback-token-request-2": js(
        "REST takes an authCallback with a token request"
    ),
    "rest/integration/RSA8/auth-callback-jwt-3": js("REST takes an authCallback with a JWT"),
    "rest/integration/RSA4/invalid-credentials-rejected-1": js(
        "REST refuses a wrong secret and an unknown key"
    ),
    # ably-js 2.28 sends the refused token again for ever; the Python client shows it.
    "rest/integration/RSC10/token-renewal-expired-jwt-0": py("REST renews an expired JWT"),
    "rest/integration/RSA8/capability-restriction-4": js(
        "a restricted token publishes where it may and nowhere else"
    ),
    # -- REST: presence
    "rest/integration/RSC24/batch-presence-multiple-channels-0": js(BATCH),
    "rest/integration/RSC24/restricted-key-channel-failure-1": js("batch presence refuses a channel alone"),
    "rest/integration/RSC24/empty-channel-presence-2": js(BATCH),
    "rest/integration/RSP1/access-presence-from-channel-0": js(MEMBERS),
    "rest/integration/RSP3/get-presence-members-0": js(MEMBERS),
    "rest/integration/RSP3/presence-message-fields-1": js(MEMBERS),
    "rest/integration/RSP3a1/get-with-limit-0": js("REST tells members one client id or a page at a time"),
    "rest/integration/RSP3a2/get-with-clientid-filter-0": js(
        "REST tells members one client id or a page at a time"
    ),
    "rest/integration/RSP3/get-empty-channel-2": js("REST tells an empty channel"),
    "rest/integration/RSP4/history-returns-events-0": js(HISTORY),
    "rest/integration/RSP4b1/history-time-range-0": js(HISTORY),
    "rest/integration/RSP4b2/history-direction-forwards-0": js(HISTORY),
    "rest/integration/RSP4b3/history-limit-pagination-0": js(HISTORY),
    "rest/integration/RSP5/decode-string-data-0": js(MEMBERS),
    "rest/integration/RSP5/decode-json-data-1": js(MEMBERS),
    "rest/integration/RSP5/decode-encrypted-data-2": js(
        "encrypted presence data is readable to who has the key"
    ),
    "rest/integration/RSP5/decode-history-messages-3": js(
        "encrypted presence data is readable to who has the key"
    ),
    "rest/integration/RSP3/full-pagination-3": js("REST tells members one client id or a page at a time"),
    "rest/integration/RSP3/invalid-credentials-rejected-4": js(
        "REST presence needs subscribe and nothing more"
    ),
    "rest/integration/RSP3/subscribe-capability-sufficient-5": js(
        "REST presence needs subscribe and nothing more"
    ),
    # -- REST: history and pages
    "rest/integration/RSL2a/history-returns-messages-0": js("history is newest first"),
    "rest/integration/RSL2b1/history-direction-forwards-0": js("history forwards is oldest first"),
    "rest/integration/RSL2b2/history-limit-parameter-0": js(PAGED),
    "rest/integration/RSL2b3/history-time-range-0": js("history between two times"),
    "rest/integration/RSL2/history-empty-channel-0": js("history of an empty channel is empty"),
    "rest/integration/TG1/items-and-navigation-0": js(FIRST),
    "rest/integration/TG3/next-retrieves-page-0": js(FIRST),
    "rest/integration/TG4/first-retrieves-page-0": js(FIRST),
    "rest/integration/TG5/iterate-all-pages-0": js(PAGED),
    "rest/integration/TG3/next-last-page-null-1": js(FIRST),
    # -- REST: changes and annotations
    "rest/integration/RSL1n/publish-returns-serials-0": js(
        "a REST publish of several messages gives a serial each"
    ),
    "rest/integration/RSL11/get-message-by-serial-0": js("a message and its versions are read"),
    "rest/integration/RSL15/update-message-0": js("REST updates, deletes and appends"),
    "rest/integration/RSL15/delete-message-1": js("REST updates, deletes and appends"),
    "rest/integration/RSL14/get-message-versions-0": js("REST updates, deletes and appends"),
    "rest/integration/RSL15/append-message-2": js("REST updates, deletes and appends"),
    "rest/integration/RSAN1/annotation-lifecycle-0": js(
        "REST annotations are published, listed in pages and deleted"
    ),
    "rest/integration/RSAN3/get-annotations-paginated-0": js(
        "REST annotations are published, listed in pages and deleted"
    ),
    # -- REST: publish
    "rest/integration/RSL1d/publish-failure-error-0": js("a REST publish without the capability is refused"),
    "rest/integration/RSL1n/publish-result-serials-0": js(
        "a REST publish of several messages gives a serial each"
    ),
    "rest/integration/RSL1k5/idempotent-client-ids-0": js("a REST publish with an id is idempotent"),
    "rest/integration/RSL1l1/publish-params-force-nack-0": js("a forced NACK is a NACK"),
    "rest/integration/RSL1m4/clientid-mismatch-rejected-0": js(
        "a REST publish as another client than the token\u2019s is refused"
    ),
    # -- REST: revocation, time, stats
    "rest/integration/RSA17g/revoke-token-prevents-use-0": js("revoked tokens end their connections"),
    "rest/integration/RSA17d/token-auth-revoke-rejected-0": js("a token may not revoke"),
    "rest/integration/RSA17e/issued-before-reauth-margin-0": js("a revocation says what it was asked for"),
    "rest/integration/RSA17c/mixed-success-failure-0": js("an unknown target of a revocation fails alone"),
    "rest/integration/RSC16/time-returns-server-time-0": js("time is the server\u2019s"),
    "rest/integration/RSC6/stats-returns-result-0": js("stats are a page"),
    "rest/integration/RSC6/stats-with-parameters-1": js("stats are a page"),
    # -- REST: faults
    "rest/proxy/RSC15l2/timeout-triggers-fallback-0": js(
        "a call that takes too long goes to a fallback host"
    ),
    # ably-js 2.28 does not look at that header; the Python client shows it.
    "rest/proxy/RSC15l4/cloudfront-header-fallback-0": py(
        "a 503, a cut call and CloudFront go to a fallback host"
    ),
    "rest/proxy/RSC15l/unreachable-endpoint-error-0": js("an unreachable host is an error"),
    "rest/proxy/RSC15l/connection-drop-fallback-1": js("a cut call goes to a fallback host"),
    "rest/proxy/RSC15l/http-5xx-json-error-parsed-0": js("a 503 without a fallback host is an error"),
    "rest/proxy/RSC15l/http-5xx-no-json-synthesized-1": Deviates(
        "the emulator answers so and ably-js 2.28 makes an error of it, but one whose code is not a number"
    ),
    "rest/proxy/RSC15l/http-4xx-not-retried-0": js("a 4xx goes to no fallback host"),
    "rest/proxy/RSL1k4/idempotent-retry-dedup-0": js(
        "a REST publish whose answer was lost is tried again and is there once"
    ),
}
