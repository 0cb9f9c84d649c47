"""The error of a stack that cannot start."""

from __future__ import annotations


class StackError(Exception):
    """One sentence for the developer at the terminal."""
