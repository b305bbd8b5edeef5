"""The journal: the numbered record of what the kernel has sent, and each session's place in it.

Nothing here touches a socket. A `Feed` says what is to be sent next on one link; whoever sends
tells it what went out, so that a link that is full or dead loses nothing that is still kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

ENTRY_OVERHEAD_BYTES = 256
PART_OVERHEAD_BYTES = 48
"""What Python needs for a message beside its bytes, so that the bound means real memory."""

MAXIMUM_SESSIONS = 1000
"""How many sessions' places are remembered once nobody is attached to them."""


class Entry(tuple[bytes, ...]):
    """A message as it is kept: channel, header, parent, metadata, content, buffers."""

    __slots__ = ()

    @property
    def cost_bytes(self) -> int:
        """What it counts for against the journal's bound."""
        return ENTRY_OVERHEAD_BYTES + sum(map(len, self)) + PART_OVERHEAD_BYTES * len(self)


class Journal:
    """The last messages of a kernel, numbered from 1 without a hole.

    Args:
        maximum_bytes: the memory they may take together. The newest is always kept, however
            large: so the true bound is this or one message.
    """

    def __init__(self, maximum_bytes: int) -> None:
        self._maximum_bytes = maximum_bytes
        self._entries: deque[tuple[Entry, int]] = deque()
        self._bytes = 0
        self.last = 0
        """The number of the newest message, 0 before the first."""

    @property
    def first(self) -> int:
        """The number of the oldest message still kept; `last + 1` where none is."""
        return self.last - len(self._entries) + 1

    @property
    def size_bytes(self) -> int:
        """What the kept messages count for now."""
        return self._bytes

    def append(self, parts: Iterable[bytes]) -> int:
        """Keep a message (channel first), forget old ones beyond the bound, return its number."""
        entry = Entry(parts)
        cost = entry.cost_bytes
        self._entries.append((entry, cost))
        self._bytes += cost
        self.last += 1
        while self._bytes > self._maximum_bytes and len(self._entries) > 1:
            self._bytes -= self._entries.popleft()[1]
        return self.last

    def __getitem__(self, number: int) -> Entry:
        """Return the message of a number. Raises IndexError where it is not (or no longer) kept."""
        if not self.first <= number <= self.last:
            raise IndexError(number)
        # The ends of a deque are cheap; those who lag far behind pay for it, the others do not.
        return self._entries[number - self.last - 1][0]


@dataclass(eq=False)
class Session:
    """A client's session: how far it has come. Attached to one feed at most."""

    name: bytes
    place: int
    """The number of the last message handed to it, while it is not live on a feed."""
    acknowledged: int | None = None
    """The last number that is known to have arrived, where its gateway tells."""
    feed: Feed | None = field(default=None, repr=False)

    @property
    def resume_from(self) -> int:
        """After which number a later attach goes on."""
        return self.place if self.acknowledged is None else self.acknowledged


class Sessions:
    """Every session that has been seen, the oldest detached ones forgotten beyond a bound."""

    def __init__(self, maximum: int = MAXIMUM_SESSIONS) -> None:
        self._maximum = maximum
        self._all: dict[bytes, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    def find(self, name: bytes) -> Session | None:
        """Return a remembered session, None where it was never seen or is forgotten."""
        return self._all.get(name)

    def add(self, name: bytes, place: int) -> Session:
        """Remember a new session that has everything up to `place`."""
        session = self._all[name] = Session(name, place)
        return session

    def settle(self, session: Session) -> None:
        """Note that a session was detached just now: it becomes the last to be forgotten."""
        if self._all.pop(session.name, None) is None:
            return
        self._all[session.name] = session
        if len(self._all) <= self._maximum:
            return
        for other in list(self._all.values()):
            if other.feed is None:
                del self._all[other.name]
                if len(self._all) <= self._maximum:
                    return


@dataclass
class Arrival:
    """A session on its way to being live on a feed.

    `done` is called with (resumed, replayed, missed) once it is.
    """

    session: Session
    resumed: bool
    done: Callable[[bool, int, int], None]
    until: int | None = None
    replayed: int = 0
    missed: int = 0


@dataclass(frozen=True)
class Delivery:
    """What to send next: a message, for one session (a replay) or, with none, for all live ones."""

    number: int
    session: bytes
    entry: Entry


class Feed:
    """What one link is still to be sent, in order.

    Sessions that arrive are brought up to where the link is by replays of their own, and then
    share its live messages. A number that follows its predecessor with a hole means: what lay
    between no longer fitted the journal.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._place = journal.last
        self._live: dict[bytes, Session] = {}
        self._arrivals: deque[Arrival] = deque()

    @property
    def wanted(self) -> bool:
        """True while any session is attached or arriving."""
        return bool(self._live or self._arrivals)

    @property
    def sessions(self) -> list[Session]:
        """Every session that is attached or arriving."""
        return [*self._live.values(), *(arrival.session for arrival in self._arrivals)]

    def attach(
        self, session: Session, resumed: bool, done: Callable[[bool, int, int], None]
    ) -> None:
        """Let a session that is on no feed come in."""
        session.place = session.resume_from
        session.feed = self
        self._arrivals.append(Arrival(session, resumed, done))

    def detach(self, session: Session) -> None:
        """Freeze a session at the last message handed to it. Does nothing if it is not here."""
        if session.feed is not self:
            return
        session.feed = None
        if self._live.pop(session.name, None) is not None:
            session.place = self._place
        self._arrivals = deque(a for a in self._arrivals if a.session is not session)

    def acknowledge(self, session: Session, number: int) -> None:
        """Note that everything up to `number` has arrived; never beyond what was handed out."""
        handed = self._place if session.name in self._live else session.place
        session.acknowledged = max(session.acknowledged or 0, min(number, handed))

    def next(self) -> Delivery | None:
        """Return what to send now, None when everything is sent.

        Calls `done` of every arrival that needs nothing more. Returns the same again until
        `handed` says that it went out, unless the journal has forgotten it meanwhile.
        """
        while self._arrivals:
            arrival = self._arrivals[0]
            session = arrival.session
            if arrival.until is None:
                if not self._live:
                    self._place = self._journal.last
                if self._place < session.place:
                    break  # the link lags behind what this session has: let it catch up first
                arrival.until = self._place
            first = max(session.place + 1, self._journal.first)
            if first <= arrival.until:
                return Delivery(first, session.name, self._journal[first])
            arrival.missed += arrival.until - session.place
            session.place = arrival.until
            self._arrivals.popleft()
            self._live[session.name] = session
            arrival.done(arrival.resumed, arrival.replayed, arrival.missed)
        number = max(self._place + 1, self._journal.first)
        if not self._live or number > self._journal.last:
            return None
        return Delivery(number, b"", self._journal[number])

    def handed(self, delivery: Delivery) -> None:
        """Note that what `next` returned last went out."""
        if not delivery.session:
            self._place = delivery.number
            return
        arrival = self._arrivals[0]
        arrival.missed += delivery.number - arrival.session.place - 1
        arrival.replayed += 1
        arrival.session.place = delivery.number
