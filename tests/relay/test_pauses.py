"""Pauses of many keys, by times that the test gives."""

from __future__ import annotations

from rts_server.relay.pauses import Pauses


def test_a_pause_begins_anew_when_a_key_is_noted_again() -> None:
    """It has the latest value, and keys come in the order in which their pauses end."""
    pauses: Pauses[str, int] = Pauses(2.0)
    for at, key in enumerate("abcda"):
        pauses.note(key, at, float(at))
    assert pauses.get("a") == 4
    assert pauses.over(2.9, 10) == {}
    assert list(pauses.over(5.0, 10).items()) == [("b", 1), ("c", 2), ("d", 3)]
    assert pauses.over(9.0, 2) == {"b": 1, "c": 2}


def test_what_was_noted_again_meanwhile_stays() -> None:
    """All others are forgotten."""
    pauses: Pauses[str, int] = Pauses(2.0)
    pauses.note("a", 1, 0.0)
    pauses.note("b", 2, 0.0)
    found = pauses.over(2.0, 10)
    pauses.note("a", 3, 2.0)
    pauses.done(found, 2.0)
    assert (pauses.get("a"), pauses.get("b")) == (3, None)
    pauses.done(found, 4.0)
    assert pauses.over(9.0, 10) == {}
