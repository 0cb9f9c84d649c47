"""Numbers as text, in queries and in the environment: ASCII digits alone."""

from __future__ import annotations

import re
from typing import Any

from marshmallow import fields

_WHOLE = re.compile(r"-?[0-9]{1,19}\Z")
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?([eE][+-]?[0-9]{1,3})?\Z")


class WholeText(fields.Integer):
    """A whole number: no digits of other scripts, no `1_000`, no space."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not _WHOLE.match(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class DecimalText(fields.Float):
    """A decimal number, as strictly."""

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and not _DECIMAL.match(value):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)
