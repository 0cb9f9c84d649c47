"""A quick way to load a payload, made from its schema, without marshmallow's bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from marshmallow import Schema, ValidationError, fields, missing

from rts_server.errors import Refusal
from rts_server.protocol.fields import StrictBoolean, StrictInteger

_PLAIN_TYPES: dict[type, type] = {fields.String: str, StrictInteger: int, StrictBoolean: bool}
"""Kinds of fields that return a value of this type as it is, if their validators accept it."""
_CHANGING_HOOKS = ("pre_load", "post_load", "validates")


class _Field(NamedTuple):
    """A field; values of `plain_type` need its validators only, others are deserialized."""

    plain_type: type | None
    validators: Sequence[Callable[[Any], Any]]
    deserialize: Callable[[Any, str, dict[str, Any]], Any]


class PlainCheck:
    """Accepts right payloads at a fraction of marshmallow's cost, with the fields of the schema.

    It refuses nothing: a payload that it does not accept is for the schema to decide.
    """

    def __init__(self, schema: Schema) -> None:
        loaded, hooks = schema.load_fields, schema._hooks
        self._fields = {
            name: _Field(_PLAIN_TYPES.get(type(field)), field.validators, field.deserialize)
            for name, field in loaded.items()
        }
        self._required = {name for name, field in loaded.items() if field.required}
        self._defaults = {
            name: field.load_default
            for name, field in loaded.items()
            if field.load_default is not missing
        }
        self._of_schema = [getattr(schema, name) for name, _, _ in hooks["validates_schema"]]
        self._applies = not any(hooks[name] for name in _CHANGING_HOOKS)

    def accepted(self, payload: dict[str, Any]) -> dict[str, Any] | None:
        """Return the payload as the schema would load it; None where the schema must decide."""
        if not self._applies or not self._required <= payload.keys():
            return None
        loaded = {**self._defaults, **payload}
        try:
            for name, value in payload.items():
                field = self._fields.get(name)
                if field is None:
                    return None
                if type(value) is not field.plain_type:
                    loaded[name] = field.deserialize(value, name, payload)
                    continue
                for validate in field.validators:
                    validate(value)
            for validate in self._of_schema:
                validate(loaded)
        except (ValidationError, Refusal):
            return None
        return loaded
