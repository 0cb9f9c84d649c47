"""Scripts run by their paths, with any Python, from a fresh checkout."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rts_server.__main__ import OPERATORS_COMMANDS

ROOT = Path(__file__).parents[2]
OUTSIDE = str(getattr(sys, "_base_executable", sys.executable))
"""A Python without our packages: the one of which the virtual environment was made."""
COMMANDS = [*(str(command.name) for command in OPERATORS_COMMANDS), "build-lambdas"]


def run_script(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script outside the virtual environment."""
    unset = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    command = [OUTSIDE, str(script), *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_script(command: str) -> None:
    """Its name is that of the command, which it runs, and it does nothing else."""
    script = ROOT / "scripts" / f"{command.replace('-', '_')}.py"
    _, *statements = ast.parse(script.read_text()).body  # the first one is the docstring
    assert [ast.unparse(one) for one in statements] == [
        "from checkout import run_command",
        f"run_command({command!r})",
    ]


def test_a_script_runs_outside_the_virtual_environment(tmp_path: Path) -> None:
    """From any folder, whatever modules lie there."""
    (tmp_path / "click.py").write_text("raise SystemExit('a module of the working directory')")
    result = run_script(ROOT / "scripts" / "rooms.py", "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: rts-server rooms ")


def test_exit_codes_and_arguments_pass_through(tmp_path: Path) -> None:
    """What a script says and its exit code are those of the command."""
    result = run_script(ROOT / "scripts" / "rooms.py", "plan", "a b.yaml", cwd=tmp_path)
    assert result.returncode == 2
    assert "'a b.yaml' does not exist" in result.stderr


def test_without_the_packages_a_script_says_what_to_do(tmp_path: Path) -> None:
    """A checkout in which nothing is installed yet: one sentence, exit code 2."""
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts", ignore=shutil.ignore_patterns("__*__"))
    result = run_script(tmp_path / "scripts" / "rooms.py", "plan", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"The packages are missing: run `make setup` in {tmp_path} first.\n"
