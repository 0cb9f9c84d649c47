"""Reactions of a message."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rts_server.domain.reactions import Reactions, counts, reacted, shown
from rts_server.domain.size_limits import LIMITS
from rts_server.errors import LimitExceeded

STEPS = st.lists(st.tuples(st.sampled_from("+-!"), st.sampled_from("abcd"), st.booleans()))


@given(STEPS)
def test_reactions_are_a_set_of_pairs(steps: list[tuple[str, str, bool]]) -> None:
    """Adding twice or removing what is not there changes nothing."""
    reactions: Reactions = {}
    model: set[tuple[str, str]] = set()
    for emoji, user, on in steps:
        after = reacted(reactions, emoji, user, on=on)
        assert (after is None) == (((emoji, user) in model) == on)
        model = model | {(emoji, user)} if on else model - {(emoji, user)}
        reactions = reactions if after is None else after
        assert {(e, u) for e, one in reactions.items() for u in one["user_ids"]} == model
        assert counts(reactions) == {
            e: sum(pair[0] == e for pair in model) for e in {pair[0] for pair in model}
        }


def test_reactions_of_a_message_are_limited() -> None:
    """The limits are 20 emoji and 500 reactions; removing is always possible."""
    many: Reactions = {f"e{n}": {"count": 1, "user_ids": ["a"]} for n in range(LIMITS.emoji)}
    with pytest.raises(LimitExceeded):
        reacted(many, "one more", "a", on=True)
    assert reacted(many, "e0", "b", on=True) is not None
    users = [f"u{n}" for n in range(LIMITS.reactions)]
    full: Reactions = {"+": {"count": len(users), "user_ids": users}}
    with pytest.raises(LimitExceeded):
        reacted(full, "+", "one more", on=True)
    assert reacted(full, "+", "u0", on=False) is not None


def test_popular_reactions_are_counted_but_not_all_listed() -> None:
    """At most 100 users; a message without such a reaction is shown as it is."""
    users = [f"u{n}" for n in range(LIMITS.reaction_users + 1)]
    message: Any = {"text": "t", "reactions": {"+": {"count": len(users), "user_ids": users}}}
    seen = shown(message)["reactions"]["+"]
    assert (seen["count"], len(seen["user_ids"])) == (101, 100)
    plain: Any = {"text": "t", "reactions": {"+": {"count": 1, "user_ids": ["a"]}}}
    assert shown(plain) is plain
