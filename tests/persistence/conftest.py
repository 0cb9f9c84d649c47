"""AWS in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.persistence import aws


@pytest.fixture(scope="module")
def tables() -> Iterator[None]:
    """Empty tables for a module; tests keep apart by their rooms."""
    with aws.pretended():
        yield
