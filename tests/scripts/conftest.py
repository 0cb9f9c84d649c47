"""An operator at the one deployment."""

from tests.cli.conftest import ops

__all__ = ["ops"]
