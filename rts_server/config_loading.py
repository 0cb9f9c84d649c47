"""Reads the settings from the environment and validates them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace

from marshmallow import EXCLUDE, Schema, ValidationError

from rts_server import stack_names
from rts_server.config import Settings
from rts_server.setting_fields import with_password


class ConfigError(Exception):
    """A setting is invalid. The message names the variable, never its value."""


VARIABLES = {f.name: f for f in fields(Settings) if "env" in f.metadata}
"""Setting → its dataclass field; the metadata are those of `setting_fields`."""
_SCHEMA = Schema.from_dict(
    {
        name: type(f.metadata["wire"])(
            validate=f.metadata["wire"].validate, data_key=f.metadata["env"]
        )
        for name, f in VARIABLES.items()
    }
)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the settings. Raises ConfigError with one sentence about all errors."""
    try:
        given = given_variables(environ)
        whole = stack_names.settings(given.get("RTS_STACK", "chat")) | given
        settings = Settings(**_SCHEMA(unknown=EXCLUDE).load(whole))
    except ValidationError as error:
        found = error.messages_dict.items()
        text = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in found)
        raise ConfigError(text) from None
    url = with_password(settings.redis_url, settings.redis_token)
    return replace(settings, redis_url=url)


def given_variables(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables that are set, the region by either of its names. Empty means unset."""
    source = os.environ if environ is None else environ
    given = {name: value for name, value in source.items() if value}
    if "AWS_DEFAULT_REGION" in given:
        given.setdefault("AWS_REGION", given["AWS_DEFAULT_REGION"])
    return given
