"""An operator at the one deployment."""

from __future__ import annotations

import pytest

from tests.tools.cli.operator import Operator
from tests.world import World


@pytest.fixture
def ops(world: World) -> Operator:
    """His commands find server and token in the environment."""
    return Operator(world)
