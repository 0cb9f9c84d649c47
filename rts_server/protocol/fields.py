"""What a field may hold on the wire: stricter than marshmallow, since clients are strangers."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import orjson
from marshmallow import ValidationError, fields
from marshmallow.validate import Length, OneOf, Range, Regexp

from rts_server.config import Limits
from rts_server.errors import MessageTooLarge

LIMITS = Limits()
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_FORBIDDEN_KEYS = {"__proto__", "constructor", "prototype"}
LARGEST_SEQ = 10**10 - 1


class Whole(fields.Integer):
    """A JSON integer: no text, no float, no boolean."""

    def __init__(self, least: int, most: int, **more: Any) -> None:
        super().__init__(strict=True, validate=Range(least, most), **more)

    def _validated(self, value: Any) -> Any:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Flag(fields.Boolean):
    """true or false, nothing that looks like it."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> bool:
        if type(value) is not bool:
            raise self.make_error("invalid", input=value)
        return value


def identifier(**more: Any) -> fields.String:
    """Id of a room, message or attachment, and a client's own id of a message."""
    return fields.String(validate=Regexp(r"[A-Za-z0-9_-]{1,64}\Z"), **more)


def user(**more: Any) -> fields.String:
    """Id of a user or of something outside: printable ASCII without space."""
    return fields.String(validate=Regexp(r"[!-~]{1,128}\Z"), **more)


def users(**more: Any) -> fields.List[Any]:
    """Up to 100 user ids."""
    return fields.List(user(), validate=Length(1, LIMITS.ids_per_call), **more)


def line(most: int, **more: Any) -> fields.String:
    """A name: one line, no control or format characters."""
    return fields.String(validate=[Length(1, most), _one_line], **more)


def choice(*values: str, **more: Any) -> fields.String:
    """One of some words."""
    return fields.String(validate=OneOf(values), **more)


def role(**more: Any) -> fields.String:
    """What a member may be."""
    return choice("owner", "admin", "member", "readonly", **more)


def emoji(**more: Any) -> fields.String:
    """An emoji or a short name of one, without spaces."""
    return fields.String(validate=[Length(1, LIMITS.emoji_points), _no_space], **more)


def text(**more: Any) -> fields.String:
    """The text of a message. Too long is an error of its own: `message_too_large`."""
    told = {"maxLength": LIMITS.text_points} | more.pop("metadata", {})
    return fields.String(validate=[_not_too_long, _no_control], metadata=told, **more)


class Metadata(fields.Dict):
    """Free JSON of the application: bounded in size, depth and keys."""

    def __init__(self, **more: Any) -> None:
        super().__init__(keys=fields.String(), validate=_bounded, **more)


def content_type(**more: Any) -> fields.String:
    """A media type without parameters (RFC 6838, `$` left out: POST policies give it a meaning)."""
    word = r"[A-Za-z0-9][A-Za-z0-9!#&^_.+-]{0,62}"
    return fields.String(validate=Regexp(rf"{word}/{word}\Z"), **more)


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


def _no_space(value: str) -> None:
    if any(c.isspace() or unicodedata.category(c) == "Cc" for c in value):
        raise ValidationError("Spaces and control characters are not allowed.")


def _no_control(value: str) -> None:
    if _CONTROL.search(value):
        raise ValidationError("Control characters are not allowed.")


def _one_line(value: str) -> None:
    if any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in value):
        raise ValidationError("Control and format characters are not allowed.")
    if not value.strip():
        raise ValidationError("Not only spaces.")


def _bounded(value: dict[str, Any]) -> None:
    """Depth first: only what is shallow can be measured."""
    _shallow(value)
    _small(value)


def _small(value: dict[str, Any]) -> None:
    if len(orjson.dumps(value)) > LIMITS.metadata_bytes:
        raise MessageTooLarge(details={"metadata": [f"Larger than {LIMITS.metadata_bytes} bytes."]})


def _shallow(value: Any) -> None:
    """Depth and keys, walked without recursion: the input is a stranger's."""
    keys, level, depth = 0, [value], 0
    while level:
        depth += 1
        if depth > LIMITS.metadata_depth:
            raise ValidationError(f"Deeper than {LIMITS.metadata_depth} levels.")
        keys += sum(len(item) for item in level if isinstance(item, dict))
        if keys > LIMITS.metadata_keys:
            raise ValidationError(f"More than {LIMITS.metadata_keys} keys.")
        for item in level:
            if isinstance(item, dict) and not _FORBIDDEN_KEYS.isdisjoint(item):
                raise ValidationError("A reserved key.")
        level = [child for item in level for child in _children(item)]


def _children(item: Any) -> list[Any]:
    inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return [child for child in inner if isinstance(child, dict | list)]
