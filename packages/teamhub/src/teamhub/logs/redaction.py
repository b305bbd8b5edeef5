"""Tokens and passwords never reach a log.

What leads to them is not written in the first place; this stands behind it, for what libraries
say, for addresses, and for what is quoted in an exception.
"""

from __future__ import annotations

import re

HIDDEN = "…"

# How names end whose value is nobody's business. A ticket replaces a one-time password.
_NAMES = (
    "(?:token|secret|password|passwd|pwd|password_again|api_?key|secret_key|session_id|ticket"
    "|_xsrf)"
)

# name=value in addresses and forms. An address within an address is escaped, once for each time
# that it was handed on; so is the & that ends a value.
_ASSIGNED = re.compile(rf"({_NAMES}(?:=|%(?:25)*3D))(?:[^&\s\"%]|%(?!(?:25)*26))+", re.IGNORECASE)
# "name": "value" in JSON, and 'name': 'value' in what Python shows of a mapping.
_QUOTED = re.compile(
    rf"""({_NAMES}["']\s*:\s*)b?(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", re.IGNORECASE
)
# Headers, as text or shown as a mapping. The scheme may stay; of cookies nothing does.
_AUTHORIZATION = re.compile(
    r"""(authorization["']?\s*[:=]\s*["']?(?:(?:token|bearer|basic)\s+)?)[^\s"',;}]+""",
    re.IGNORECASE,
)
_COOKIE = re.compile(
    r"""(cookie["']?\s*[:=]\s*)(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'…][^\r\n]*)""",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b((?:bearer|token)\s+)[A-Za-z0-9_.~+/-]{20,}=*", re.IGNORECASE)
# user:password@ in an address, as of a database.
_USERINFO = re.compile(r"(://[^\s/:@\"']*:)[^\s/@\"']+(?=@)")

# Most lines have nothing of the kind.
_QUICK = re.compile(rf"{_NAMES}|authorization|cookie|bearer|://[^\s/]*@", re.IGNORECASE)


def redacted(text: str) -> str:
    """Return a text without the secrets in it: their places are marked. Twice is once."""
    if _QUICK.search(text) is None:
        return text
    text = _COOKIE.sub(rf"\1{HIDDEN}", text)
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    text = _QUOTED.sub(rf'\1"{HIDDEN}"', text)
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1{HIDDEN}", text)
    return _USERINFO.sub(rf"\1{HIDDEN}", text)
