"""Scripts with a part replaced, so that a test can take a protection away or lose a publish."""

from __future__ import annotations

from copy import copy
from typing import TypeVar

from rts_server.persistence.scripts import Script

S = TypeVar("S", bound=Script)


def changed_script(script: S, old: str, new: str) -> S:
    """Return the script with one part of its text replaced."""
    assert old in script.text, old
    changed = copy(script)
    changed._set_text(script.text.replace(old, new))
    return changed
