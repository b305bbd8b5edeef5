"""Markdown from plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\*_\[\]<>{}|$#])")


def plain(text: str) -> str:
    """Return text in which nothing means anything to Markdown but `code` in backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a backtick without its second is one
        return _SPECIAL.sub(r"\\\1", text).replace("`", r"\`")
    return "`".join(
        part if number % 2 else _SPECIAL.sub(r"\\\1", part) for number, part in enumerate(parts)
    )


def code(text: str) -> str:
    """Return text as code within a line."""
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{' '.join(text.split())}{pad}{fence}"


def block(text: str, language: str = "text") -> str:
    """Return text as a block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def heading(text: str, level: int, target: str = "") -> str:
    """Return a heading, with a name by which other pages can link to it."""
    named = f"({target})=\n" if target else ""
    return f"{named}{'#' * level} {text}\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of terms with what they mean; both are Markdown."""
    return "\n".join(f"{term}\n: {meaning}\n" for term, meaning in pairs)


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return short facts, a line each; names are text, values Markdown."""
    return "\n".join(f"- {name}: {value}" for name, value in pairs) + "\n"


def _cell(text: str) -> str:
    # Within code, too, a bar ends a cell.
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))
