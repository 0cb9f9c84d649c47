"""Pictures of the page beside those that are expected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.async_api import Page

from tests.browser.package import executable
from tests.browser.session import frame
from tests.helpers.node import ensure_modules, node

EXPECTED = Path(__file__).parent / "screenshots"
ACTUAL = Path(__file__).parents[2] / "build" / "screenshots"
"""What a run saw, and with `.difference.png` where it differs: the files that CI keeps."""

MOST = 0.02
"""Share of the pixels of any square of 100 px that may differ: another shade of some letters, not
another place of a word."""

CALM = """
const format = Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get;
Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', {
  get() { return this.resolvedOptions().hour ? () => '10:24 AM' : format.call(this); },
});
Date.prototype.toLocaleTimeString = () => '10:24 AM';
Date.prototype.toDateString = () => 'Thu Jan 01 1970';
addEventListener('DOMContentLoaded', () => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('.avatar { --hue: 260 !important }');
  document.adoptedStyleSheets = [sheet];
});
"""
"""A page whose clock stands, so that every message is of this minute of today, and on which all
avatars have one colour: that of a group comes from its id, which is random."""


async def calm(page: Page) -> None:
    """Reload a page so that two runs show the same: one time, nothing that moves or blinks."""
    await page.emulate_media(reduced_motion="reduce")
    await page.add_init_script(CALM)
    await page.reload()


async def looks_as_expected(page: Page, name: str) -> str:
    """Take a picture and compare it; return what is wrong with it, or ''.

    Fonts are those of the packaged Chromium, so other browsers have other pictures: theirs are
    taken, and not compared.
    """
    ACTUAL.mkdir(parents=True, exist_ok=True)
    actual, expected = ACTUAL / f"{name}.png", EXPECTED / f"{name}.png"
    difference = ACTUAL / f"{name}.difference.png"
    difference.unlink(missing_ok=True)
    await page.evaluate("document.activeElement?.blur()")
    await page.mouse.move(0, 0)
    await frame(page)
    await page.screenshot(path=actual)
    if not _is_packaged():
        return ""
    if not expected.exists():
        return f"{expected} is missing; if {actual} is right, copy it there"
    share = _difference(expected, actual, difference)
    if share <= MOST:
        difference.unlink(missing_ok=True)
        return ""
    return (
        f"{name}: {share:.0%} of a square differ, see {difference}; if it is right, copy {actual}"
    )


def _is_packaged() -> bool:
    return sys.platform == "linux" and ensure_modules() in executable().parents


def _difference(expected: Path, actual: Path, difference: Path) -> float:
    compare = [node(), "compare_pictures.mjs", str(expected), str(actual), str(difference)]
    compared = subprocess.run(
        compare, cwd=ensure_modules(), check=True, capture_output=True, text=True
    )
    return float(compared.stdout)
