"""Pure functions that find violations of guarantees in a history and its final state."""

from __future__ import annotations

from collections.abc import Callable

from tests.nemesis.checks import access, answers, durable, state, streams
from tests.nemesis.recorder import Final, History, Violation

Check = Callable[[History, Final], list[Violation]]

CHECKS: tuple[Check, ...] = (
    durable.acked_is_in_history,
    durable.queued_keeps_its_place,
    durable.live_is_in_history,
    durable.retries_agree,
    durable.last_change_stands,
    streams.order_of_sending,
    streams.streams_have_no_hole,
    streams.syncs_are_whole,
    streams.positions_are_given_once,
    streams.histories_agree,
    state.cursors_move_forward,
    state.versions_move_forward,
    state.unread_is_exact,
    state.events_lead_to_the_snapshot,
    state.nobody_lacks_a_room,
    answers.own_writes_are_read,
    answers.one_answer_in_time,
    access.nothing_behind_a_removal,
)


def check(history: History, final: Final) -> list[Violation]:
    """Return every violation, by guarantee."""
    return [found for one in CHECKS for found in one(history, final)]
