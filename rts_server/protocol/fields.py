"""Fields for input, stricter than those of marshmallow: values are not coerced."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from typing import Any

import orjson
from marshmallow import ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from rts_server.domain.size_limits import LIMITS
from rts_server.errors import MessageTooLarge
from rts_server.protocol import media, unicode

_FORBIDDEN_KEYS = {"__proto__", "constructor", "prototype"}
_QUOTED = re.compile(r'"[^"]*"')
MAX_SEQ = 10**10 - 1
MAX_SAFE_INTEGER = 2**53 - 1
INEXACT_NUMBER = "Whole numbers above 2^53 - 1 are not kept exactly; send them as text."


class StrictInteger(fields.Integer):
    """A JSON integer: no text, no float, no boolean."""

    def __init__(self, least: int, most: int, **more: Any) -> None:
        super().__init__(strict=True, validate=Range(least, most), **more)

    def _validated(self, value: Any) -> Any:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class StrictBoolean(fields.Boolean):
    """true or false; nothing else is accepted."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


class BoundedList(fields.List[Any]):
    """A list whose length is checked first: validating and reporting each wrong item costs time."""

    def __init__(self, kind: fields.Field[Any], least: int, most: int, **more: Any) -> None:
        self._length = Length(least, most)
        super().__init__(kind, validate=self._length, **more)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            self._length(value)
        return super()._deserialize(value, *args, **kwargs)


class BoundedDict(fields.Dict):
    """An object with keys of the client's choice, whose size is checked first."""

    def __init__(self, least: int, most: int, **more: Any) -> None:
        self._length = Length(least, most)
        super().__init__(validate=self._length, **more)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, dict):
            self._length(value)
        return super()._deserialize(value, *args, **kwargs)  # type: ignore[no-untyped-call]


class SentEvent(fields.Dict):
    """A durable event as it was sent to the room; it is not validated again."""


def identifier(**more: Any) -> fields.String:
    """The id of a room, message or attachment, or a client's own id of a message."""
    return fields.String(validate=Regexp(r"[A-Za-z0-9_-]{1,64}\Z"), **more)


class IdempotencyKey(fields.String):
    """The value of an Idempotency-Key header: plain, or in the quotes of a structured-field string.

    `"8e03978e"` and `8e03978e` are one key (draft-ietf-httpapi-idempotency-key-header-07, 2.1;
    RFC 9651, 3.3.3). An identifier has no character that such a string would escape.
    """

    def __init__(self, **more: Any) -> None:
        plain = "[A-Za-z0-9_-]{1,64}"
        metadata = {"pattern": f'^({plain}|"{plain}")$'}
        super().__init__(validate=Regexp(rf"{plain}\Z"), metadata=metadata, **more)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        key = super()._deserialize(value, *args, **kwargs)
        return key[1:-1] if _QUOTED.fullmatch(key) else key


def user(**more: Any) -> fields.String:
    """A user id or another id of the application: printable ASCII without spaces."""
    return fields.String(validate=Regexp(r"[!-~]{1,128}\Z"), **more)


def users(**more: Any) -> BoundedList:
    """1 to 100 user ids."""
    return BoundedList(user(), 1, LIMITS.ids_per_call, **more)


def line(most: int, **more: Any) -> fields.String:
    """A name: one line with at least one visible character."""
    return fields.String(validate=[Length(1, most), _one_line], **more)


def choice(*values: str, **more: Any) -> fields.String:
    """One of the given words."""
    return fields.String(validate=OneOf(values), **more)


def role(**more: Any) -> fields.String:
    """The role of a member."""
    return choice("owner", "admin", "member", "readonly", **more)


class Emoji(fields.String):
    """An emoji or a short name of one, without spaces. VS16 is removed when it is loaded."""

    def __init__(self, **more: Any) -> None:
        super().__init__(validate=[Length(1, LIMITS.emoji_points), _an_emoji], **more)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        written = super()._deserialize(value, *args, **kwargs)
        return unicode.without_variation(written) if isinstance(written, str) else written


def text(**more: Any) -> fields.String:
    """The text of a message, which may be empty. Raises MessageTooLarge if it is too long."""
    metadata = {"maxLength": LIMITS.text_points} | more.pop("metadata", {})
    return fields.String(validate=[_not_too_long, _a_text], metadata=metadata, **more)


class Metadata(fields.Dict):
    """JSON of the application, limited in size, depth and number of keys."""

    def __init__(self, **more: Any) -> None:
        super().__init__(keys=fields.String(), **more)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, dict):
            _check_metadata(value)
        return super()._deserialize(value, *args, **kwargs)  # type: ignore[no-untyped-call]


def content_type(**more: Any) -> fields.String:
    """A media type with optional parameters."""
    return fields.String(
        validate=[Length(3, media.MAX_MEDIA_TYPE_LENGTH), Regexp(media.PATTERN)], **more
    )


def sha256(**more: Any) -> fields.String:
    """A SHA-256 digest in base64, as S3 writes it."""
    return fields.String(validate=Regexp(r"[A-Za-z0-9+/]{43}=\Z"), **more)


def _not_too_long(value: str) -> None:
    if len(value) > LIMITS.text_points:
        raise MessageTooLarge(
            details={"text": [f"Longer than maximum length {LIMITS.text_points}."]}
        )
    if len(value.encode()) > LIMITS.text_bytes:
        raise MessageTooLarge(details={"text": [f"Larger than {LIMITS.text_bytes} bytes."]})


def _an_emoji(value: str) -> None:
    if not unicode.is_emoji(value):
        raise ValidationError("Not an emoji.")


def _a_text(value: str) -> None:
    if not unicode.fits_text(value):
        raise ValidationError("Characters that control lines or direction are not allowed.")
    if value and not unicode.is_visible(value):
        raise ValidationError("There is no visible character.")


def _one_line(value: str) -> None:
    if not unicode.fits_line(value):
        raise ValidationError("Characters that control lines or direction are not allowed.")
    if not unicode.is_visible(value):
        raise ValidationError("There is no visible character.")


def _check_metadata(value: dict[str, Any]) -> None:
    """Check the depth before the size: serialising a deep value recurses."""
    _check_depth_and_keys(value)
    _check_size(value)


def _check_size(value: dict[str, Any]) -> None:
    if len(orjson.dumps(value)) > LIMITS.metadata_bytes:
        raise _too_much_metadata()


def _too_much_metadata() -> MessageTooLarge:
    problem = f"Larger than {LIMITS.metadata_bytes} bytes."
    return MessageTooLarge(details={"metadata": [problem]})


def _check_depth_and_keys(value: Any) -> None:
    """Walk level by level, without recursion: a client chooses the depth."""
    keys, level, depth = 0, [value], 0
    while level:
        depth += 1
        if depth > LIMITS.metadata_depth:
            raise ValidationError(f"Deeper than {LIMITS.metadata_depth} levels.")
        if sum(map(len, level)) > LIMITS.metadata_bytes:  # each takes a byte at least
            raise _too_much_metadata()
        keys += sum(len(item) for item in level if isinstance(item, dict))
        if keys > LIMITS.metadata_keys:
            raise ValidationError(f"More than {LIMITS.metadata_keys} keys.")
        for item in level:
            if isinstance(item, dict) and not _FORBIDDEN_KEYS.isdisjoint(item):
                raise ValidationError("This key is reserved.")
            if not all(map(_kept_exactly, _values(item))):
                raise ValidationError(INEXACT_NUMBER)
        level = [child for item in level for child in _children(item)]


def _kept_exactly(item: Any) -> bool:
    """Return whether a number is kept exactly by readers that use doubles, as JavaScript does.

    A whole number above 2^64 was already parsed as a double and rounded.
    """
    if isinstance(item, float):
        return isfinite(item) and not (item.is_integer() and abs(item) > MAX_SAFE_INTEGER)
    return type(item) is not int or abs(item) <= MAX_SAFE_INTEGER


def _values(item: Any) -> Iterable[Any]:
    return item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()


def _children(item: Any) -> list[Any]:
    return [child for child in _values(item) if isinstance(child, dict | list)]
