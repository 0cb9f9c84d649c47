"""Runs a command of this checkout, with the Python of its virtual environment.

It imports only the standard library, because any Python 3 may start a script.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
LEAST_PYTHON = (3, 11)


def run_command(name: str) -> NoReturn:
    """Replace this process by `rts-server NAME` with the same arguments."""
    run_module("rts_server", name)


def run_module(module: str, *arguments: str) -> NoReturn:
    """Replace this process by `python -m MODULE ARGUMENTS`, followed by its own arguments.

    The Python is that of .venv, which `make setup` makes, or this one if there is none. Ends with
    a sentence and exit code 2 if neither has the packages.
    """
    python = ROOT / ".venv" / "bin" / "python"
    if not python.exists():
        if sys.version_info < LEAST_PYTHON or importlib.util.find_spec("aiohttp") is None:
            print(f"The packages are missing: run `make setup` in {ROOT} first.", file=sys.stderr)
            sys.exit(2)
        python = Path(sys.executable)
    # -P: modules of the working directory must not shadow ours.
    command = [str(python), "-P", "-m", module, *arguments, *sys.argv[1:]]
    search_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    os.execve(python, command, os.environ | {"PYTHONPATH": search_path})
