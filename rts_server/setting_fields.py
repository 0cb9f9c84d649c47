"""The parts of a setting: variable, default, validation and description, as a dataclass field."""

from __future__ import annotations

from dataclasses import field
from typing import Any
from urllib.parse import quote

from marshmallow import ValidationError
from marshmallow import fields as wire
from marshmallow.validate import Range

from rts_server import rates
from rts_server.protocol.numbers import DecimalText, IntegerText

MIN_SECRET_BYTES = 32
"""Minimum length of a secret: an HS256 key is at least as long as its hash (RFC 7518, 3.2)."""
ENCRYPTED_URL = r"https://.+|http://(127\.0\.0\.1|localhost)[:/].*"
"""Pattern of URLs that use TLS or lead to this machine."""


def text_setting(
    variable: str, default: str | None, valid: Any = None, *, help: str, secret: bool = False
) -> Any:
    """Return a dataclass field for a text. `valid` is a validator of marshmallow."""
    kind = wire.String(validate=valid)
    return _setting(variable, default, kind, help, secret)


def seconds_setting(
    variable: str, default: float, least: float = 0.0, most: float | None = None, *, help: str
) -> Any:
    """Return a dataclass field for a number of seconds from `least` to `most`."""
    return _setting(variable, default, DecimalText(validate=Range(least, most)), help)


def count_setting(
    variable: str, default: int, least: int = 1, most: int | None = None, *, help: str
) -> Any:
    """Return a dataclass field for a whole number from `least` to `most`."""
    return _setting(variable, default, IntegerText(validate=Range(least, most)), help)


def _setting(
    variable: str, default: Any, kind: wire.Field[Any], help: str, secret: bool = False
) -> Any:
    metadata = {"env": variable, "wire": kind, "help": help, "secret": secret}
    return field(default=default, metadata=metadata)


def must_be_long_enough(secret: str) -> None:
    """Validate a secret. Raises ValidationError if it is shorter than its hash."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValidationError(f"Shorter than {MIN_SECRET_BYTES} bytes, which HS256 requires.")


def must_be_rates(text: str) -> None:
    """Validate `name=per_second/burst,…`. Raises ValidationError."""
    try:
        rates.parse(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def with_password(url: str, password: str) -> str:
    """Return the URL of Redis with this password in place of its own; empty changes nothing."""
    if not password:
        return url
    scheme, _, rest = url.partition("://")
    user, _, host = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}:{quote(password, safe='')}@{host}"
