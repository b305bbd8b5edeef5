"""The journal, the sessions' places in it, and what a link is sent: without any socket."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from teamhub_shim.journal import Entry, Feed, Journal, Sessions


def entry(number: int) -> tuple[bytes, ...]:
    return (b"iopub", b"%d" % number)


COST = Entry(entry(1)).cost_bytes


@given(st.lists(st.binary(max_size=300), max_size=60), st.integers(0, 5000))
def test_the_newest_that_fit_are_kept(payloads, maximum_bytes):
    journal = Journal(maximum_bytes)
    for number, payload in enumerate(payloads, 1):
        assert journal.append((b"iopub", payload)) == number
        kept = range(journal.first, journal.last + 1)
        assert [journal[n] for n in kept] == [(b"iopub", payloads[n - 1]) for n in kept]
        assert journal.size_bytes == sum(journal[n].cost_bytes for n in kept)
        assert journal.size_bytes <= maximum_bytes or len(kept) == 1
        if journal.first > 1:
            one_more = Entry((b"iopub", payloads[journal.first - 2])).cost_bytes
            assert journal.size_bytes + one_more > maximum_bytes
    for outside in (0, journal.first - 1, journal.last + 1):
        with pytest.raises(IndexError):
            journal[outside]


def test_the_oldest_detached_sessions_are_forgotten():
    sessions = Sessions(maximum=2)
    feed = Feed(Journal(1000))
    for name in (b"a", b"b", b"c", b"d"):
        feed.attach(sessions.add(name, 0), resumed=False, done=lambda *_: None)
    assert feed.next() is None
    assert len(sessions) == 4  # none that is attached is ever forgotten
    for name in (b"b", b"a", b"c"):
        session = sessions.find(name)
        feed.detach(session)
        sessions.settle(session)
    assert sessions.find(b"b") is None
    assert sessions.find(b"a") is None
    assert sessions.find(b"c") is not None
    assert sessions.find(b"d") is not None


def test_an_acknowledgement_is_believed_no_further_than_what_was_handed_over():
    journal = Journal(10_000)
    feed, session = Feed(journal), Sessions().add(b"s", 0)
    feed.attach(session, resumed=False, done=lambda *_: None)
    assert feed.next() is None
    for number in (1, 2, 3):
        journal.append(entry(number))
        feed.handed(feed.next())
    feed.acknowledge(session, 2)
    feed.acknowledge(session, 1)
    assert session.resume_from == 2
    feed.acknowledge(session, 99)
    assert session.resume_from == 3


class Gateways(RuleBasedStateMachine):
    """Sessions that come and go over two links, which are full or dead at any time.

    Nothing is in flight here: what is handed over has arrived.
    """

    names = st.sampled_from([b"s1", b"s2", b"s3"])
    links = st.integers(0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.journal = Journal(COST * 8)
        self.sessions = Sessions()
        self.feeds = [Feed(self.journal), Feed(self.journal)]
        self.received: dict[bytes, list[int]] = {}
        self.started: dict[bytes, int] = {}
        self.arriving: set[bytes] = set()
        self.answers: list[tuple[bytes, int, int, int, int]] = []

    @rule(count=st.integers(1, 6))
    def kernel_sends(self, count: int) -> None:
        for _ in range(count):
            self.journal.append(entry(self.journal.last + 1))

    @rule(link=links, name=names)
    def attach(self, link: int, name: bytes) -> None:
        session = self.sessions.find(name)
        resumed = session is not None
        if session is None:
            session = self.sessions.add(name, self.journal.last)
            self.received[name], self.started[name] = [], self.journal.last
        elif session.feed is not None:
            session.feed.detach(session)
        place = session.place
        before = len(self.received[name])

        def done(was_resumed: bool, replayed: int, missed: int) -> None:
            assert was_resumed == resumed
            self.arriving.discard(name)
            # All between where it was and where it is now was replayed or is counted as missed.
            assert len(self.received[name]) - before == replayed
            assert session.place == place + replayed + missed

        self.arriving.add(name)
        self.feeds[link].attach(session, resumed, done)

    @rule(name=names)
    def detach(self, name: bytes) -> None:
        session = self.sessions.find(name)
        if session is not None and session.feed is not None:
            session.feed.detach(session)
            self.sessions.settle(session)
            self.arriving.discard(name)

    @rule(link=links)
    def link_dies(self, link: int) -> None:
        for session in self.feeds[link].sessions:
            self.feeds[link].detach(session)
            self.arriving.discard(session.name)
        self.feeds[link] = Feed(self.journal)

    @rule(link=links, count=st.integers(1, 5), all_of_it=st.booleans())
    def link_takes(self, link: int, count: int, all_of_it: bool) -> None:
        feed = self.feeds[link]
        while (count > 0 or all_of_it) and (delivery := feed.next()) is not None:
            assert delivery.entry == entry(delivery.number)
            arrived = [s.name for s in feed.sessions if s.name not in self.arriving]
            for name in [delivery.session] if delivery.session else arrived:
                self.received[name].append(delivery.number)
            feed.handed(delivery)
            count -= 1

    @precondition(lambda self: self.received)
    @invariant()
    def in_order_and_never_twice(self) -> None:
        for name, numbers in self.received.items():
            assert numbers == sorted(set(numbers)), name
            assert all(number > self.started[name] for number in numbers)

    def teardown(self) -> None:
        """With enough room and time everybody gets everything that is still kept."""
        for name in list(self.received):
            session = self.sessions.find(name)
            if session.feed is None:
                self.attach(0, name)
        for link in (0, 1):
            self.link_takes(link, 0, True)
        kept = range(self.journal.first, self.journal.last + 1)
        for name, numbers in self.received.items():
            assert set(kept) - set(range(self.started[name] + 1)) <= set(numbers), name


TestGateways = Gateways.TestCase
TestGateways.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
