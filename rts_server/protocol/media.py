"""Media types as browsers and recorders write them (RFC 9110, 8.3.1): `audio/webm;codecs=opus`."""

from __future__ import annotations

import re

MAX_MEDIA_TYPE_LENGTH = 255
_WORD = r"[A-Za-z0-9][A-Za-z0-9!#&^_.+-]{0,62}"
# MediaRecorder lists codecs without quotes: `video/webm;codecs=vp8,opus`. No `$`: POST policies
# give it a meaning.
_VALUE = r"(?:[A-Za-z0-9!#%&'*+.,^_`|~/:-]+|\"[ !#%-\[\]-~]*\")"
PATTERN = rf"{_WORD}/{_WORD}(?:[ \t]*;[ \t]*{_WORD}={_VALUE}){{0,8}}\Z"
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*({_WORD})=({_VALUE})")


def essence(media_type: str) -> str:
    """Return type and subtype in lower case, without parameters."""
    return media_type.partition(";")[0].strip().lower()


def normalized(media_type: str) -> str:
    """Return the canonical form: names in lower case, no spaces, parameter values unchanged."""
    parameters = _PARAMETER.findall(media_type)
    return essence(media_type) + "".join(f";{name.lower()}={value}" for name, value in parameters)
