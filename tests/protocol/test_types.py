"""The TypedDicts agree with the schemas they are generated from."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from marshmallow import Schema, fields
from marshmallow.validate import Equal, OneOf

from rts_server.protocol import answers, commands, events, objects
from scripts.wire.python import PACKAGE, type_of, typed_dicts


class Inner(Schema):
    """A schema to be nested."""

    __module__ = objects.__name__


@pytest.mark.parametrize("source", [objects, answers, events])
def test_required_keys_are_those_whose_absence_is_an_error(source: ModuleType) -> None:
    """A schema misses each required key of its TypedDict in an empty object, and no other."""
    types = import_module(f"{PACKAGE}.{source.__name__.rpartition('.')[2]}")
    required = {name: vars(types)[name].__required_keys__ for name in typed_dicts(source)}
    assert required == {name: set(k().validate({})) for name, k in typed_dicts(source).items()}


def test_a_payload_has_its_defaults() -> None:
    """A field with a default is a required key: validation has set it."""
    types = import_module(f"{PACKAGE}.commands")
    loaded = typed_dicts(commands)["RoomListPayload"]().load({})
    assert set(loaded) == types.RoomListPayload.__required_keys__


@pytest.mark.parametrize(
    ("field", "python"),
    [
        (fields.String(), "str"),
        (fields.Integer(allow_none=True), "int | None"),
        (fields.String(validate=OneOf(["a", "b"])), 'Literal["a", "b"]'),
        (fields.String(validate=Equal("a")), 'Literal["a"]'),
        (fields.List(fields.Nested(Inner)), "list[Inner]"),
        (fields.Dict(keys=fields.String(), values=fields.Boolean()), "dict[str, bool]"),
        (fields.Dict(), "dict[str, Any]"),
    ],
)  # fmt: skip
def test_a_field_becomes_a_python_type(field: fields.Field[Any], python: str) -> None:
    """What may be null is `| None`, a choice is a Literal, free JSON stays Any."""
    assert type_of(field) == python


def test_a_field_of_an_unknown_kind_has_no_type() -> None:
    """A new kind of field is refused instead of becoming Any."""
    with pytest.raises(TypeError, match="DateTime"):
        type_of(fields.DateTime())
