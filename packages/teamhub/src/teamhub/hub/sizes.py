"""What a member may choose when starting a notebook server: one of `servers.sizes`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from teamhub.config import Config
from teamhub.errors import RefusedError
from teamhub.model import Size

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

_FIELDS = Markup('<fieldset class="th-choices"><legend>How much it gets</legend>{rows}</fieldset>')
_ROW = Markup(
    '<label class="th-choice"><input type="radio" name="size" value="{name}"{checked} required>'
    '<span><strong>{title}</strong><span class="th-choice-words">{words}</span></span></label>'
)


@dataclass(frozen=True)
class Choice:
    """One of the sizes, as a form shows it."""

    name: str
    title: str
    words: str


def choices(config: Config) -> Sequence[Choice]:
    """Return what there is to choose from, the proposed one first; empty: nothing to choose."""
    names = config.servers.sizes or ()
    if len(names) < 2:
        return ()
    return [
        Choice(size.name, size.display_name or size.name, in_words(size))
        for size in map(config.size, names)
    ]


def chosen(config: Config, options: Mapping[str, Any]) -> dict[str, str]:
    """Return what counts of what somebody asks for: a size, or nothing. The rest is ignored.

    Args:
        config: the settings.
        options: a form's (lists of one text) or those of the hub's API (texts).

    Raises:
        RefusedError: the size is not one of those on offer.
    """
    wanted = options.get("size")
    if isinstance(wanted, list) and len(wanted) == 1:
        wanted = wanted[0]
    if wanted is None:
        return {}
    offered = config.servers.sizes or ()
    if wanted not in offered:
        what = f"choose one of {', '.join(offered)}" if offered else "leave it out"
        raise RefusedError(f"there is no notebook server of the size {_shown(wanted)}: {what}")
    return {"size": str(wanted)}


def form(offered: Sequence[Choice]) -> Markup:
    """Return the fields of a form to choose one, the first being proposed."""
    rows = Markup("").join(
        _ROW.format(
            name=one.name,
            title=one.title,
            words=one.words,
            checked=Markup(" checked") if position == 0 else "",
        )
        for position, one in enumerate(offered)
    )
    return _FIELDS.format(rows=rows)


def size_to_start(config: Config, options: Mapping[str, Any]) -> str | None:
    """Return the size for a server that starts now, None for one without limits.

    A size that was chosen before and is no longer on offer is not held against anybody: the
    proposed one is taken.
    """
    offered = config.servers.sizes or ()
    wanted = options.get("size")
    if isinstance(wanted, str) and wanted in offered:
        return wanted
    return offered[0] if offered else None


def in_words(size: Size) -> str:
    """Return what a size gives: "2 CPUs, 4 GiB of memory"."""
    parts = []
    if size.cpus is not None:
        parts.append(f"{size.cpus:g} CPU{'' if size.cpus == 1 else 's'}")
    if size.memory_bytes is not None:
        parts.append(f"{bytes_in_words(size.memory_bytes)} of memory")
    if not parts:
        return "CPUs and memory are not limited"
    if size.cpus is None:
        parts.append("CPUs not limited")
    if size.memory_bytes is None:
        parts.append("memory not limited")
    return ", ".join(parts)


def bytes_in_words(number: int) -> str:
    """Return a number of bytes as people write it: "512 MiB"."""
    value, unit = float(number), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g} {_UNITS[unit]}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= 40 else text[:40] + "...")
