"""How commands answer: JSON for programs, tables and short words for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from teamhub.supervisor.terminal import printable

_LAST_COLUMN = 20
"""In characters, what the last column of a table has at least on a narrow terminal."""


def print_json(value: Any) -> None:
    """Print a JSON document on stdout; moments as ISO 8601."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on stdout, whole also where it goes to a file or a pipe.

    On a terminal the last column, which is to be the one for long texts, is folded; no other is
    ever cut, for an id that is cut is none. Control characters are escaped: names, notes and paths
    are what people make of them.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headings, *cells, strict=True)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, width in zip(headings[:-1], widths, strict=False):
        table.add_column(heading, no_wrap=True, min_width=width)
    table.add_column(headings[-1], overflow="fold")
    for row in cells:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        # As wide as it is, and without the blanks that fill a line.
        console = Console(highlight=False, markup=False, width=sum(widths) + 2 * len(widths))
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            click.echo(line.rstrip())
        return
    narrowest = sum(widths[:-1]) + 2 * len(widths) + min(widths[-1], _LAST_COLUMN)
    Console(highlight=False, markup=False, width=max(console.width, narrowest)).print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print a label and a value a line on stdout; those without a value are left out."""
    shown = [(label, printable(value)) for label, value in fields if value]
    width = max((len(label) for label, _ in shown), default=0)
    for label, value in shown:
        click.echo(f"{label:<{width}}  {value}")


def print_lines(text: str, *, indent: str = "") -> None:
    """Print what a kernel or server has written on stdout, its control characters escaped."""
    for line in text.replace("\r\n", "\n").rstrip("\n").split("\n") if text else ():
        click.echo(indent + printable(line, lines=True))


def moment(value: datetime | str | None) -> datetime | None:
    """Return a moment as the hub writes it as one in UTC."""
    if value is None or isinstance(value, datetime):
        return value
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return "1 kernel" or "2 kernels"."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def ago(moment: datetime | None) -> str:
    """Return how long ago a moment was, in its largest unit: "3 min"; "-" for none."""
    if moment is None:
        return "-"
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
