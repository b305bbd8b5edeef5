"""What differs between two sets of settings, and what has to be started again for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from teamhub.config.documentation import ENTRIES, setting
from teamhub.config.settings import Config, Part


@dataclass(frozen=True)
class Change:
    """One setting that has another value.

    Attributes:
        path: dotted; an entry's name where a whole entry came or went: `sizes.big`.
        before: its value, None for unset or not there.
        after: the same.
        restarts: what has to be started again for it to hold; none: it holds at once.
    """

    path: str
    before: Any
    after: Any
    restarts: tuple[Part, ...]


def changes(before: Config, after: Config) -> Sequence[Change]:
    """Return what differs, in the order of the file; nothing for equal settings."""
    return list(_changes(before, after, ""))


def parts_of(found: Sequence[Change]) -> frozenset[Part]:
    """Return what has to be started again for changes to hold. All of it swallows the rest."""
    parts = frozenset(part for change in found for part in change.restarts)
    return frozenset({Part.SERVER}) if Part.SERVER in parts else parts


def _changes(before: BaseModel, after: BaseModel, prefix: str) -> Iterator[Change]:
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        filled = not prefix and name in ENTRIES
        # The first size is the default one, so the order of entries counts.
        if old == new and not (filled and list(old) != list(new)):
            continue
        path = f"{prefix}{name}"
        if isinstance(old, BaseModel):
            yield from _changes(old, new, f"{path}.")
        elif filled:
            yield from _entries(name, old, new)
        else:
            known = setting(path)
            assert known is not None
            yield Change(path, old, new, known.restarts)


def _entries(
    table: str, before: Mapping[str, BaseModel], after: Mapping[str, BaseModel]
) -> Iterator[Change]:
    parts = ENTRIES[table][1].restarts.parts
    for name in {**before, **after}:
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None:
            yield from _changes(old, new, f"{table}.{name}.")
        elif old != new:
            yield Change(f"{table}.{name}", old, new, parts)
    if list(before) != list(after) and before.keys() == after.keys():
        yield Change(table, list(before), list(after), parts)
