"""The Chromium that the tests drive: of the npm package on Linux, else one of the machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.helpers.node import ensure_modules, node

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
INFLATE = "(await import('@sparticuz/chromium')).default.executablePath()"

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir></fontconfig>
"""
"""The package looks in /tmp/fonts; without any font Chromium ends at the first form."""
EMOJI = Path("@expo-google-fonts") / "noto-emoji" / "400Regular" / "NotoEmoji_400Regular.ttf"
"""The package's own font has letters only."""


@cache
def executable() -> Path:
    """Path of a Chromium. Raises LookupError where the package has none and the PATH neither."""
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        return packaged()
    on_path = next((path for name in NAMES if (path := shutil.which(name))), None)
    if on_path is None:
        raise LookupError(f"the tests of the page need one of {', '.join(NAMES)} on the PATH")
    return Path(on_path)


def environment(program: Path) -> dict[str, str]:
    """This process's, and the fonts beside the program if it brings its own."""
    fonts = program.parent / "fonts"
    return os.environ | ({"FONTCONFIG_PATH": str(fonts)} if fonts.exists() else {})


def packaged() -> Path:
    """The one of `@sparticuz/chromium`: 200 MB, inflated once, gone with node_modules."""
    modules = ensure_modules() / "node_modules"
    inflated = modules / ".chromium"
    if not inflated.exists():
        # Beside it first: whoever looks meanwhile finds none or a whole one.
        with TemporaryDirectory(dir=modules, ignore_cleanup_errors=True) as fresh:
            subprocess.run(
                [node(), "--input-type=module", "--eval", f"await {INFLATE}"],
                cwd=modules.parent,
                env=os.environ | {"TMPDIR": fresh},
                check=True,
            )
            fonts = Path(fresh) / "fonts"
            (fonts / "fonts.conf").write_text(FONTS)
            shutil.copy(modules / EMOJI, fonts / "fonts")
            Path(fresh).rename(inflated)
    return inflated / "chromium"


if __name__ == "__main__":
    executable()
