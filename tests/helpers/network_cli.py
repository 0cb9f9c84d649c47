"""Stands in for curl, dig and openssl, whose addresses are not of this machine: checks the words.

Options are those of the manual pages of curl 8, BIND 9 and OpenSSL 3, as far as the pages use them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

DIG_TYPES = ("A", "CNAME", "NS")


def url(text: str) -> str:
    """Return an address with a scheme and a host. Raises ValueError."""
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise ValueError(text)
    return text


def host_and_port(text: str) -> str:
    """Return HOST:PORT. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not 0 < int(port) < 65_536:
        raise ValueError(text)
    return text


def parser_of(program: str) -> argparse.ArgumentParser:
    """Return the parser of the program's command line."""
    parser = argparse.ArgumentParser(program, add_help=False, prefix_chars="-+")
    match program:
        case "curl":
            parser.add_argument("-s", action="store_true")
            parser.add_argument("-I", action="store_true")
            for option in ("-o", "-w", "-X", "-d"):
                parser.add_argument(option)
            parser.add_argument("-H", action="append")
            parser.add_argument("url", type=url)
        case "dig":
            parser.add_argument("+short", action="store_true")
            parser.add_argument("words", nargs="+")
        case "openssl":
            parser.add_argument("command", choices=["s_client"])
            parser.add_argument("-connect", required=True, type=host_and_port)
            parser.add_argument("-tls1_1", action="store_true")
    return parser


def check(program: str, words: Sequence[str]) -> None:
    """Raise SystemExit with status 2 and a message unless the program knows these words."""
    parser = parser_of(program)
    # curl joins flags, as in -sI.
    split = [one for word in words for one in (("-s", "-I") if word == "-sI" else (word,))]
    given = parser.parse_args(split)
    if program == "dig" and len(given.words) > 1 and given.words[0] not in DIG_TYPES:
        parser.error(f"no type of a record: {given.words[0]}")


if __name__ == "__main__":
    check(sys.argv[1], sys.argv[2:])
