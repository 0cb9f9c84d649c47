"""What keeps the stack from starting."""

from __future__ import annotations


class StackError(Exception):
    """One sentence for the person at the terminal."""
