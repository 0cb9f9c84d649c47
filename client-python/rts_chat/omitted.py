"""The default of a field that may be null: None is sent as null, and this is not sent."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal


class _Omitted(Enum):
    OMITTED = "omitted"


Omitted = Literal[_Omitted.OMITTED]
OMITTED: Final = _Omitted.OMITTED
