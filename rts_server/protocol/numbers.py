"""Numbers written as text, in queries and in the environment."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import fields

_WHOLE = re.compile(r"-?[0-9]{1,19}\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,3})?\Z")


class IntegerText(fields.Integer):
    """An integer in ASCII digits: unlike `int`, no other digits, no `1_000`, no spaces."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not _WHOLE.match(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class DecimalText(fields.Float):
    """A decimal number in ASCII digits, as strict as `IntegerText`."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not _DECIMAL.match(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)
