"""An operator at the one deployment."""

from tests.tools.cli.conftest import ops

__all__ = ["ops"]
