"""The Unicode rules for names, texts, emoji and file names.

Refused are control characters, line and paragraph separators, and the controls of direction
(Bidi_Control): they break lines, or make a text look like another. Joiners, variation selectors,
tags and spaces of any width belong to scripts and emoji (`👨‍👩‍👧`, `می‌خواهم`, `🏴󠁧󠁢󠁥󠁮󠁧󠁿`) and
are kept. A text must have at least one visible character.
"""

from __future__ import annotations

import re
import unicodedata

_C0 = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_BREAKS = r"\t\n\r"
_SEPARATORS = r"\u2028\u2029"
_DIRECTION = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SURROGATES = r"\ud800-\udfff"
_NEVER = _C0 + _SEPARATORS + _DIRECTION + _SURROGATES

_NOT_IN_TEXT = re.compile(f"[{_NEVER}]")
_NOT_IN_LINE = re.compile(f"[{_NEVER}{_BREAKS}]")

# White space, Default_Ignorable_Code_Point (DerivedCoreProperties.txt) and the empty Braille cell.
# Written out, so that a character newer than Python's own tables counts as visible.
_VISIBLE = re.compile(
    r"[^\x00-\x20\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

VARIATION = "\ufe0f"
"""VS16 asks to show the character before it as an emoji. `❤` and `❤️` are one reaction."""

RESERVED = frozenset(
    {
        "__proto__",
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "prototype",
        "toLocaleString",
        "toString",
        "valueOf",
    }
)
"""Properties of every JavaScript object: a client that looks up a reaction would find them."""


def fits_text(written: str) -> bool:
    """Return whether a text of several lines has no refused character."""
    return _NOT_IN_TEXT.search(written) is None


def fits_line(written: str) -> bool:
    """Return whether a single line has no refused character, tab or line break."""
    return _NOT_IN_LINE.search(written) is None


def is_visible(written: str) -> bool:
    """Return whether a text has a visible character."""
    return _VISIBLE.search(written) is not None


def is_name(written: object, most: int) -> bool:
    """Return whether a value is a visible single line of at most `most` code points."""
    if not isinstance(written, str) or len(written) > most:
        return False
    return fits_line(written) and is_visible(written)


def is_emoji(written: str) -> bool:
    """Return whether a text can be a reaction: an emoji or a short name of one.

    It must not begin with a combining mark, which would attach to the text before it.
    """
    if written in RESERVED or not (fits_line(written) and is_visible(written)):
        return False
    added = unicodedata.category(written[0]).startswith("M")
    return not added and not any(c.isspace() for c in written)


def without_variation(emoji: str) -> str:
    """Return the key of a reaction: VS16 only affects how it is shown."""
    return emoji.replace(VARIATION, "")


def remove_refused(written: str) -> str:
    """Return a line without its refused characters."""
    return _NOT_IN_LINE.sub("", written)
