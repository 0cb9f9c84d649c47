"""The list of settings that operators see."""

from __future__ import annotations

from rts_server.config import Settings
from rts_server.config_listing import MASK, describe
from rts_server.config_loading import load


def test_secrets_are_masked_in_the_listing() -> None:
    """The list has each variable once, with its source, and no secret."""
    given_ = {
        "RTS_JWT_SECRET": "s" * 40,
        "RTS_REDIS_URL": "redis://:pw@host/0",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    listing = describe(load(given_), given_)
    rows = {row[0]: row[1:3] for row in listing}
    assert rows["RTS_JWT_SECRET"] == rows["RTS_REDIS_URL"] == (MASK, "environment")
    assert rows["AWS_REGION"] == ("eu-west-1", "environment")
    assert rows["RTS_PORT"] == ("8000", "default")
    assert len(rows) == len(describe(Settings(), {}))


def test_every_setting_has_a_description() -> None:
    """Each is one sentence, and no two settings share one."""
    descriptions = [description for *_, description in describe(Settings(), {})]
    assert all(one.endswith(".") and ". " not in one for one in descriptions)
    assert len(set(descriptions)) == len(descriptions)
