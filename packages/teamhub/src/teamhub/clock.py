"""Whether this machine's clock can be right: before anything that carries a moment is written.

Pure functions of moments, so that what they say can be tried for any clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right is before this: the code is of that month."""

BACK = timedelta(minutes=5)
"""How far behind the newest moment in the database a clock may be without a word: clocks that are
set by the network jump by less."""

_REMEDY = "set the clock (`timedatectl set-ntp true` has the network do it)"


def before_release(now: datetime) -> str | None:
    """Return what to say of a clock that is before this release, None of one that is not.

    Such a clock is refused: what is written under it looks older than all there is, and whatever
    is good for a time has ended once the clock is set.

    Args:
        now: what the clock says; aware.
    """
    if now >= RELEASED:
        return None
    return (
        f"the clock of this machine says {_shown(now)}, which is before this teamhub was made "
        f"({RELEASED:%B %Y}); {_REMEDY}, then try again"
    )


def went_back(now: datetime, newest: datetime | None) -> str | None:
    """Return what to say of a clock that is behind what it has already said, None otherwise.

    Args:
        now: what the clock says; aware.
        newest: the newest moment that was ever written, None where there is none.
    """
    if newest is None or newest - now <= BACK:
        return None
    return (
        f"the clock of this machine says {_shown(now)}, {_length(newest - now)} before the newest "
        f"moment in the database ({_shown(newest)}): times are shown wrong until it is right; "
        f"{_REMEDY}"
    )


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _length(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{seconds // 60} minutes"
