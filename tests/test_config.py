"""Settings come from the environment, wholly and validated, and say nothing they should not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import fields as wire

from rts_server import config
from rts_server.config import MASK, ConfigError, Settings, described, environment, load

WRONG = [
    ("RTS_PORT", "-1"),
    ("RTS_PORT", "65536"),
    ("RTS_PORT", "http"),
    ("RTS_PORT", "80.5"),
    ("RTS_REDIS_URL", "localhost:6379"),
    ("AWS_ENDPOINT_URL", "localhost"),
    ("RTS_MESSAGE_QUEUE", "standard-queue"),
    ("RTS_LIMITS", "none"),
    ("RTS_LOG_LEVEL", "info"),
    ("RTS_DEV", "yes"),
    ("RTS_PING_INTERVAL", "0"),
    ("RTS_PING_INTERVAL", "nan"),
    ("RTS_HEAD_TTL", "inf"),
    ("RTS_COMMAND_DEADLINE", "soon"),
    ("RTS_OUTBOX_CAP", "0"),
    ("RTS_UPLOAD_TTL", "0"),
    ("RTS_DOWNLOAD_TTL", "301"),
]


def test_an_empty_environment_gives_the_defaults() -> None:
    """Every setting has a default; an empty variable is one that is not given."""
    assert load({}) == Settings()
    assert load({"RTS_PORT": "", "RTS_DEV": ""}) == Settings()


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_a_wrong_value_is_told_by_the_name_of_its_variable(variable: str, value: str) -> None:
    """The sentence names the variable, and the variable alone."""
    with pytest.raises(ConfigError) as caught:
        load({variable: value})
    assert variable in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_told_at_once_and_no_secret_with_it() -> None:
    """Two wrong variables are two names in one sentence; what was given is not repeated."""
    with pytest.raises(ConfigError) as caught:
        load({"RTS_PORT": "x", "RTS_REDIS_URL": "user:hunter2@host", "RTS_JWT_SECRET": "hunter2"})
    assert "RTS_PORT" in str(caught.value)
    assert "RTS_REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("secret", "good"), [("s" * 31, False), ("ß" * 16, True), ("s" * 32, True)]
)
def test_a_secret_is_as_long_as_its_hash(secret: str, good: bool) -> None:
    """RFC 7518, 3.2: below 32 bytes no process starts, and the sentence says how many it wants."""
    if good:
        assert load({"RTS_JWT_SECRET": secret}).jwt_secret == secret
        return
    with pytest.raises(ConfigError, match=r"RTS_JWT_SECRET: Shorter than 32 bytes"):
        load({"RTS_JWT_SECRET": secret})


def test_the_region_by_either_of_its_names() -> None:
    """AWS_DEFAULT_REGION counts, AWS_REGION counts more."""
    assert load({"AWS_DEFAULT_REGION": "eu-west-1"}).aws_region == "eu-west-1"
    both = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}
    assert load(both).aws_region == "eu-west-2"


def test_secrets_are_masked_in_the_listing() -> None:
    """`rts-server config` shows each variable once, its source, and no secret."""
    given_ = {
        "RTS_JWT_SECRET": "s" * 40,
        "RTS_REDIS_URL": "redis://:pw@host/0",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    listing = described(load(given_), given_)
    rows = {row[0]: row[1:3] for row in listing}
    assert rows["RTS_JWT_SECRET"] == rows["RTS_REDIS_URL"] == (MASK, "environment")
    assert rows["AWS_REGION"] == ("eu-west-1", "environment")
    assert rows["RTS_PORT"] == ("8000", "default")
    assert len(rows) == len(described(Settings(), {}))


def test_every_setting_has_a_description() -> None:
    """Each is one sentence, and no two settings share one."""
    descriptions = [description for *_, description in described(Settings(), {})]
    assert all(one.endswith(".") and ". " not in one for one in descriptions)
    assert len(set(descriptions)) == len(descriptions)


def _values(name: str) -> st.SearchStrategy[Any]:
    kind = config._VARIABLES[name].metadata["wire"]
    bounds = kind.validate
    if isinstance(kind, wire.Integer):
        return st.integers(bounds.min, bounds.max or 10**6)
    return st.floats(bounds.min, 1e7 if bounds.max is None else bounds.max)


NUMBERS = [
    name
    for name, field in config._VARIABLES.items()
    if not isinstance(field.metadata["wire"], wire.String)
]


@given(st.fixed_dictionaries({}, optional={name: _values(name) for name in NUMBERS}))
def test_another_process_loads_equal_settings(changes: dict[str, Any]) -> None:
    """Whatever the numbers, `environment` carries them to a child without loss."""
    settings = Settings(jwt_secret="x" * 32, dev="1", **changes)
    assert load(environment(settings)) == settings


def test_every_setting_has_one_variable_of_its_own() -> None:
    """No two settings read the same variable, and all but the limits can be set."""
    names = [field.metadata["env"] for field in config._VARIABLES.values()]
    assert len(set(names)) == len(names)
    assert set(Settings.__dataclass_fields__) - set(config._VARIABLES) == {"limits"}
