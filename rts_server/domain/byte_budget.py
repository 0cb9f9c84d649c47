"""The byte budget of one answer."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from typing import TypeVar

import orjson

T = TypeVar("T")


class ByteBudget:
    """Counts down the bytes an answer may still take.

    `first_always_fits`: the first item is taken whatever its size, so that every page of a client
    that pages on makes progress.
    """

    def __init__(self, size: int, *, first_always_fits: bool = True) -> None:
        self.left = size
        self._must_fit = not first_always_fits

    def take(self, size: int) -> bool:
        """Reserve `size` bytes. Returns False, and reserves nothing, if they do not fit."""
        if self._must_fit and size > self.left:
            return False
        self.left -= size
        self._must_fit = True
        return True


def fitting_items(items: Iterable[T], size: int, *, first_always_fits: bool = True) -> list[T]:
    """Return the first items whose JSON array fits into `size` bytes; see `ByteBudget`."""
    budget = ByteBudget(size, first_always_fits=first_always_fits)
    return list(takewhile(lambda item: budget.take(len(orjson.dumps(item)) + 1), items))
