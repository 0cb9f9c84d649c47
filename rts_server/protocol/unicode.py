"""What people may write: the one rule of Unicode for names, texts, emoji and names of files.

Refused are control characters, line and paragraph separators and the controls of direction
(Bidi_Control): they break lines, or show another text than there is. Joiners, variation selectors,
tags and spaces of any width are writing (`👨‍👩‍👧`, `می‌خواهم`, `🏴󠁧󠁢󠁥󠁮󠁧󠁿`) and are kept. What
is written holds something that can be seen.
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
# Written out: a character that is newer than Python's own tables is one that can be seen.
_SEEN = re.compile(
    r"[^\x00-\x20\x7f-\xa0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f"
    r"\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

VARIATION = "\ufe0f"
"""VS16: the character before it is to be shown as an emoji. `❤` and `❤️` are one reaction."""

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
"""What every JavaScript object has under these names is no reaction of anybody."""


def fits_text(written: str) -> bool:
    """Whether a text of several lines holds no character that is refused."""
    return _NOT_IN_TEXT.search(written) is None


def fits_line(written: str) -> bool:
    """The same of one line: no tab either."""
    return _NOT_IN_LINE.search(written) is None


def is_seen(written: str) -> bool:
    """Whether anything of it can be seen."""
    return _SEEN.search(written) is not None


def is_name(written: object, most: int) -> bool:
    """Whether it is one line of at most so many code points that can be seen."""
    if not isinstance(written, str) or len(written) > most:
        return False
    return fits_line(written) and is_seen(written)


def is_emoji(written: str) -> bool:
    """Whether it can be a reaction: an emoji or a short name of one, no mark on another."""
    if written in RESERVED or not (fits_line(written) and is_seen(written)):
        return False
    added = unicodedata.category(written[0]).startswith("M")
    return not added and not any(c.isspace() for c in written)


def folded(emoji: str) -> str:
    """The one key of a reaction, however it is to be shown."""
    return emoji.replace(VARIATION, "")


def without_refused(written: str) -> str:
    """What is left of a line when what is refused is taken out."""
    return _NOT_IN_LINE.sub("", written)
