"""The documentation as text: its pages, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"^(?:<!-- script: (?P<name>\w+) -->\n)?"
    r"(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page. `name`: that of a script that is to be run."""

    page: Path
    language: str
    text: str
    name: str | None


def pages() -> Sequence[Path]:
    """Return all pages that somebody has written: those of docs/, and the README."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(language: str) -> Sequence[Block]:
    """Return the blocks of a language in all pages."""
    found = []
    for page in pages():
        for match in _BLOCK.finditer(page.read_text()):
            if match["language"] == language:
                indent = len(match["indent"])
                lines = [line[indent:] for line in match["text"].splitlines()]
                found.append(Block(page, language, "\n".join(lines) + "\n", match["name"]))
    return found


def script(name: str) -> str:
    """Return the one script of this name, as it stands in the documentation."""
    (found,) = [each for each in [*blocks("python"), *blocks("sh")] if each.name == name]
    return found.text


def named(path: Path) -> str:
    """Return a page's name, for messages of tests."""
    return str(path.relative_to(ROOT))
