"""`make nemesis ARGS="--seed 7 --seconds 60"`: random faults, and a checker of the guarantees.

The last line of a run that violates a guarantee is the command that repeats it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.nemesis.cluster import Cluster
from tests.nemesis.plan import plan, shown
from tests.nemesis.report import everything, report
from tests.nemesis.run import once

HISTORY = "history.txt"


def main() -> int:
    """Run the seeds; return exit code 1 if a guarantee was violated."""
    options = _options()
    broken = []
    for seed in options.seeds or [options.seed]:
        rounds = plan(seed, options.seconds, shards=options.shards)
        print(f"seed {seed}, {options.seconds:g} s\n{shown(rounds)}", flush=True)
        began = time.monotonic()
        with _folder(options.data, seed) as folder:
            cluster = Cluster(Path(folder), without=options.without, shards=options.shards)
            outcome = asyncio.run(once(cluster, rounds, seed, _tell))
            (Path(folder) / HISTORY).write_text(everything(outcome.history))
        commands, heard = len(outcome.history.commands), len(outcome.history.heard)
        print(
            f"seed {seed}: {len(outcome.violations)} violations, {commands} commands, "
            f"{heard} events, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if outcome.violations:
            broken.append(seed)
            print(report(outcome.history, outcome.violations))
            more = f" --without {options.without}" if options.without else ""
            more += f" --shards {options.shards}" if options.shards > 1 else ""
            args = f"--seed {seed} --seconds {options.seconds:g}{more}"
            print(f'again: make nemesis ARGS="{args}"', flush=True)
    return 1 if broken else 0


def _folder(data: str, seed: int) -> AbstractContextManager[str]:
    """Return a new folder for a run: below `data` to be kept, else a temporary one."""
    if not data:
        return tempfile.TemporaryDirectory(prefix="nemesis-")
    Path(data).mkdir(parents=True, exist_ok=True)
    return nullcontext(tempfile.mkdtemp(prefix=f"{seed}-", dir=data))


def _tell(line: str) -> None:
    print(line, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make nemesis", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=_seeds, help="several: 1-20")
    parser.add_argument("--seconds", type=float, default=30.0, help="of faults, for each seed")
    parser.add_argument("--without", default="", help="protections, see tests/faulty.py")
    parser.add_argument("--shards", type=int, default=1, help="primaries of Redis; 1: no cluster")
    parser.add_argument("--data", default="", help="keep logs and data there")
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


if __name__ == "__main__":
    sys.exit(main())
