"""Text of others (names of files and classes, answers, messages of libraries) made safe for where it is
shown.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

MAX_TEXT = 1000
"""Characters of a message; whatever a client or a file holds, an error is a line."""
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls (C0, DEL, C1), line separators, overrides of the writing direction, and bytes that
were no UTF-8.
"""
CREDENTIALS = re.compile(r"(\w://)[^\s/'\"<>]*@")
MARKDOWN = re.compile(r"[\\`*_\[\]|~]|:(?=//)|(?<=www)\.")


def printable(text: object) -> str:
    r"""The text as one line that no terminal obeys (what it would obey is shown as `\x1b`), without passwords
    in addresses.
    """
    plain = UNPRINTABLE.sub(
        lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text)
    )
    return CREDENTIALS.sub(r"\1", plain)


def shortened(text: str) -> str:
    """As much of it as a message may hold."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}..."


def elided(text: str, most: int) -> str:
    """At most so many characters: the beginning and a little of the end, where names of classes
    often differ.
    """
    return text if len(text) <= most else f"{text[: most - 1 - most // 4]}…{text[-(most // 4) :]}"


def listed(items: Iterable[str], most: int = 5) -> str:
    """The first few, and how many more there are."""
    names = list(items)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def in_markdown(text: object) -> str:
    """The same where Markdown is rendered, also in a table: no tag, link, emphasis or cell of its own."""
    return MARKDOWN.sub(r"\\\g<0>", html.escape(printable(text), quote=False))


def shown_address(address: str) -> str:
    """An address, though malformed, without user, password, query and fragment."""
    return printable(re.split("[?#]", re.sub(r"^([\w+.-]*://)?.*@", r"\1", address, flags=re.DOTALL))[0])


def is_http(address: str) -> bool:
    """Whether it names a host, and a port if any, to be asked by http or https."""
    try:
        parts = urlsplit(address)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
