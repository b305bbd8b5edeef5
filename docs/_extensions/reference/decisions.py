"""The decisions, by number and title."""

from __future__ import annotations

import re
from pathlib import Path

DIRECTORY = Path(__file__).parents[2] / "decisions"

_TITLE = re.compile(r"^# 0*(\d+)\. (.+)$")


def page() -> str:
    """Return a list of the records in `docs/decisions`, and have Sphinx know them."""
    records = sorted(DIRECTORY.glob("[0-9]*.md"))
    listed = [f"{number}. [{title}]({path.name})" for path, (number, title) in _titled(records)]
    tree = ["```{toctree}", ":hidden:", "", *[path.stem for path in records], "```"]
    return "\n".join([*listed, "", *tree, ""])


def _titled(records: list[Path]) -> list[tuple[Path, tuple[str, str]]]:
    found = []
    for path in records:
        first = path.read_text().partition("\n")[0]
        match = _TITLE.match(first)
        if match is None or int(match[1]) != int(path.name[:4]):
            raise ValueError(f"{path}: should begin with `# {int(path.name[:4])}. TITLE`")
        found.append((path, (match[1], match[2])))
    return found
