"""The extension: a page says `<!-- generated: NAME -->`, and reads as if it said what is made.

Nothing that is made is kept in a file, so there is nothing to go stale, and a link to a heading
of it is checked as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from reference import commands, decisions, errors, processes, rest, settings

if TYPE_CHECKING:
    from sphinx.application import Sphinx

GENERATED: Mapping[str, Callable[[], str]] = {
    "settings": settings.page,
    "commands": commands.page,
    "errors": errors.page,
    "messages": errors.messages_page,
    "hub": processes.hub_page,
    "files": processes.files_page,
    "programs": processes.programs_page,
    "imports": processes.imports_page,
    "rest": rest.page,
    "decisions": decisions.page,
}
"""What can be asked for, by name."""

MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def filled_in(source: str) -> str:
    """Return a page with what it asks for. Raises KeyError on a name that nobody makes."""
    return MARK.sub(lambda mark: GENERATED[mark[1]](), source)


def setup(app: Sphinx) -> dict[str, bool]:
    """Have Sphinx read pages with what they ask for."""
    app.connect("source-read", lambda _app, _name, source: _read(source))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _read(source: list[str]) -> None:
    source[0] = filled_in(source[0])
