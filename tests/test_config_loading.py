"""Settings are read from the environment and validated; errors do not repeat their values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import fields as wire

from rts_server import config_loading
from rts_server.config import Settings
from rts_server.config_listing import environment
from rts_server.config_loading import ConfigError, load

WRONG = [
    ("RTS_PORT", "-1"),
    ("RTS_PORT", "65536"),
    ("RTS_PORT", "http"),
    ("RTS_PORT", "80.5"),
    ("RTS_PORT", "\uff18\uff10"),
    ("RTS_REDIS_URL", "localhost:6379"),
    ("AWS_ENDPOINT_URL", "localhost"),
    ("RTS_MESSAGE_QUEUE", "standard-queue"),
    ("RTS_LIMITS", "none"),
    ("RTS_LOG_LEVEL", "info"),
    ("RTS_DEV", "yes"),
    ("RTS_PING_INTERVAL", "0"),
    ("RTS_PING_INTERVAL", "nan"),
    ("RTS_PING_INTERVAL", "\u0661"),
    ("RTS_ROOM_TTL", "inf"),
    ("RTS_COMMAND_DEADLINE", "soon"),
    ("RTS_OUTBOX_CAP", "0"),
    ("RTS_UPLOAD_TTL", "0"),
    ("RTS_DOWNLOAD_TTL", "301"),
]


def test_an_empty_environment_gives_the_defaults() -> None:
    """Every setting has a default; an empty variable counts as unset."""
    assert load({}) == Settings()
    assert load({"RTS_PORT": "", "RTS_DEV": ""}) == Settings()


@pytest.mark.parametrize(("variable", "value"), WRONG)
def test_the_error_names_the_variable_of_an_invalid_value(variable: str, value: str) -> None:
    """The error is one sentence with the name of the variable."""
    with pytest.raises(ConfigError) as caught:
        load({variable: value})
    assert variable in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_errors_are_reported_at_once_without_secrets() -> None:
    """One sentence names both invalid variables and repeats no value."""
    with pytest.raises(ConfigError) as caught:
        load({"RTS_PORT": "x", "RTS_REDIS_URL": "user:hunter2@host", "RTS_JWT_SECRET": "hunter2"})
    assert "RTS_PORT" in str(caught.value)
    assert "RTS_REDIS_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("secret", "good"), [("s" * 31, False), ("ß" * 16, True), ("s" * 32, True)]
)
def test_a_secret_is_at_least_as_long_as_its_hash(secret: str, good: bool) -> None:
    """A secret shorter than 32 bytes is an error that names the minimum (RFC 7518, 3.2)."""
    if good:
        assert load({"RTS_JWT_SECRET": secret}).jwt_secret == secret
        return
    with pytest.raises(ConfigError, match=r"RTS_JWT_SECRET: Shorter than 32 bytes"):
        load({"RTS_JWT_SECRET": secret})


def test_the_region_has_two_variables() -> None:
    """AWS_REGION takes precedence over AWS_DEFAULT_REGION."""
    assert load({"AWS_DEFAULT_REGION": "eu-west-1"}).aws_region == "eu-west-1"
    both = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}
    assert load(both).aws_region == "eu-west-2"


def _values(name: str) -> st.SearchStrategy[Any]:
    kind = config_loading.VARIABLES[name].metadata["wire"]
    bounds = kind.validate
    if isinstance(kind, wire.Integer):
        return st.integers(bounds.min, bounds.max or 10**6)
    return st.floats(bounds.min, 1e7 if bounds.max is None else bounds.max)


NUMBERS = [
    name
    for name, field in config_loading.VARIABLES.items()
    if not isinstance(field.metadata["wire"], wire.String)
]


@given(st.fixed_dictionaries({}, optional={name: _values(name) for name in NUMBERS}))
def test_another_process_loads_equal_settings(changes: dict[str, Any]) -> None:
    """`environment` carries every number to another process without loss."""
    settings = Settings(jwt_secret="x" * 32, dev="1", **changes)
    assert load(environment(settings)) == settings


def test_every_setting_has_one_variable_of_its_own() -> None:
    """No two settings read the same variable, and all but `limits` can be set."""
    names = [field.metadata["env"] for field in config_loading.VARIABLES.values()]
    assert len(set(names)) == len(names)
    assert set(Settings.__dataclass_fields__) - set(config_loading.VARIABLES) == {"limits"}


@pytest.mark.parametrize(
    ("url", "token", "expected"),
    [
        ("rediss://host:6379/0", "t0k/en", "rediss://:t0k%2Fen@host:6379/0"),
        ("rediss://user:old@host/0?x=1", "new", "rediss://user:new@host/0?x=1"),
        ("redis://:pw@host", "", "redis://:pw@host"),
    ],
)
def test_the_token_of_redis_may_be_given_apart_from_its_url(
    url: str, token: str, expected: str
) -> None:
    """A secret store then fills one variable, and the URL can be shown."""
    settings = load({"RTS_REDIS_URL": url, "RTS_REDIS_TOKEN": token})
    assert settings.redis_url == expected
    assert load(environment(settings)) == settings
