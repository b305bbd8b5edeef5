"""The dispatcher's pure functions: the whole of the life cycle, fairness, placement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from teamhub.dispatcher.placement import Load, Place, place
from teamhub.dispatcher.queue import order
from teamhub.dispatcher.reconcile import Act, Step, next_step
from teamhub.model import (
    Address,
    Desired,
    Handle,
    Kind,
    Node,
    Observed,
    Phase,
    Size,
    Status,
    Workload,
)
from teamhub.reasons import Reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HANDLE = Handle("fake", 1, {})
HERE = Address("127.0.0.1", 4000)
TIMEOUT_SECONDS = 60.0
RANK = {status: rank for rank, status in enumerate(Status)}
BASE = Workload(
    id="w",
    kind=Kind.KERNEL,
    owner="ada",
    name="python3",
    environment="python3",
    size="standard",
    desired=Desired.RUNNING,
    status=Status.QUEUED,
    attempt=1,
    created_at=NOW,
    changed_at=NOW,
)


def row(status: Status, desired: Desired = Desired.RUNNING, *, handle: bool = True) -> Workload:
    known = HANDLE if handle and RANK[Status.STARTING] <= RANK[status] else None
    return replace(BASE, status=status, desired=desired, handle=known)


def seen(phase: Phase, **more: object) -> Observed:
    return Observed("w", phase, 1, HANDLE, **more)  # type: ignore[arg-type]


workloads = st.builds(
    lambda status, desired, handle, age, address: replace(
        row(status, desired, handle=handle),
        changed_at=NOW - timedelta(seconds=age),
        address=address,
    ),
    st.sampled_from(Status),
    st.sampled_from(Desired),
    st.booleans(),
    st.floats(0, 1000),
    st.sampled_from([None, HERE]),
)
observations = st.none() | st.builds(
    lambda phase, code, reason, address: seen(
        phase, exit_code=code, reason=reason, address=address
    ),
    st.sampled_from(Phase),
    st.none() | st.integers(-64, 255),
    st.none() | st.sampled_from(Reason),
    st.sampled_from([None, HERE, Address("10.0.0.1", 1)]),
)


@given(workloads, observations)
def test_never_backwards_and_ended_stays_ended(workload: Workload, observed: Observed) -> None:
    step = next_step(workload, observed, NOW, TIMEOUT_SECONDS)
    if workload.status.ended:
        assert step == Step(Act.NOTHING)
    if step.status is not None:
        assert RANK[step.status] >= RANK[workload.status]
    if step.act is Act.PLACE:
        assert workload.status is Status.QUEUED
    if step.act is Act.BURY:
        assert step.status is not None
        assert step.status.ended
        assert step.reason is not None
        assert step.detail
        assert "\n" not in step.detail
    if step.act is Act.REMOVE:
        assert workload.desired is Desired.STOPPED or workload.status is Status.STOPPING


@given(workloads, observations)
def test_the_engine_is_asked_only_from_starting_on(workload: Workload, observed: Observed) -> None:
    """So nothing can run of a row that was never STARTING, wherever a crash was."""
    step = next_step(workload, observed, NOW, TIMEOUT_SECONDS)
    if step.act in {Act.LAUNCH, Act.REMOVE, Act.BURY}:
        assert RANK[workload.status] >= RANK[Status.STARTING]
    if step.act is Act.LAUNCH:
        assert workload.handle is None or observed is None


def steps(workload: Workload, observed: Observed | None) -> Iterator[Workload]:
    """What becomes of a row while the engine says the same all the time."""
    for _ in range(9):
        step = next_step(workload, observed, NOW, TIMEOUT_SECONDS)
        if step.act in {Act.NOTHING, Act.PLACE}:
            return
        status = step.status or workload.status
        handle = HANDLE if step.act is Act.LAUNCH else workload.handle
        address = step.address or workload.address
        workload = replace(workload, status=status, handle=handle, address=address)
        yield workload
    raise AssertionError(f"no end: {workload}")


@given(workloads, observations)
def test_a_wish_to_stop_always_leads_to_an_end(workload: Workload, observed: Observed) -> None:
    if workload.status.ended:
        return
    workload = replace(workload, desired=Desired.STOPPED)
    *_, last = steps(workload, observed)
    assert last.status is Status.STOPPED


@given(workloads, st.sampled_from([seen(phase, exit_code=1) for phase in Phase]))
def test_every_row_comes_to_rest(workload: Workload, observed: Observed) -> None:
    *_, last = [workload, *steps(workload, observed)]
    if observed.phase in {Phase.EXITED, Phase.GONE} and workload.status is not Status.QUEUED:
        assert last.status.ended
    if observed.phase is Phase.READY and workload.status is Status.PLACED:
        assert last.status is (
            Status.RUNNING if workload.desired is Desired.RUNNING else Status.STOPPED
        )


@given(workloads, observations)
def test_doing_a_step_twice_comes_to_the_same(workload: Workload, observed: Observed) -> None:
    first = next_step(workload, observed, NOW, TIMEOUT_SECONDS)
    assert next_step(workload, observed, NOW, TIMEOUT_SECONDS) == first


STOP = Desired.STOPPED
RUN = Desired.RUNNING


@pytest.mark.parametrize(
    ("workload", "observed", "act", "status", "reason"),
    [
        (row(Status.QUEUED), None, Act.PLACE, None, None),
        (row(Status.PLACED), None, Act.MOVE, Status.STARTING, None),
        (row(Status.STARTING, handle=False), None, Act.LAUNCH, None, None),
        (row(Status.STARTING), seen(Phase.STARTING), Act.NOTHING, None, None),
        (
            row(Status.STARTING),
            seen(Phase.STARTING, address=HERE),
            Act.MOVE,
            Status.STARTING,
            None,
        ),
        (row(Status.STARTING), seen(Phase.READY, address=HERE), Act.MOVE, Status.RUNNING, None),
        (row(Status.RUNNING), seen(Phase.READY), Act.NOTHING, None, None),
        (row(Status.QUEUED, STOP), None, Act.MOVE, Status.STOPPED, None),
        (row(Status.PLACED, STOP), None, Act.MOVE, Status.STOPPED, None),
        (row(Status.STARTING, STOP, handle=False), None, Act.MOVE, Status.STOPPING, None),
        (row(Status.RUNNING, STOP), seen(Phase.READY), Act.MOVE, Status.STOPPING, None),
        (row(Status.STOPPING, STOP), seen(Phase.EXITED), Act.REMOVE, Status.STOPPED, None),
        (
            row(Status.STARTING),
            seen(Phase.EXITED, exit_code=0),
            Act.BURY,
            Status.FAILED,
            Reason.EXITED_AT_START,
        ),
        (
            row(Status.RUNNING),
            seen(Phase.EXITED, exit_code=0),
            Act.BURY,
            Status.STOPPED,
            Reason.EXITED,
        ),
        (
            row(Status.RUNNING),
            seen(Phase.EXITED, exit_code=3),
            Act.BURY,
            Status.FAILED,
            Reason.EXITED,
        ),
        (
            row(Status.RUNNING),
            seen(Phase.EXITED, exit_code=-9),
            Act.BURY,
            Status.FAILED,
            Reason.KILLED,
        ),
        (
            row(Status.RUNNING),
            seen(Phase.EXITED, exit_code=-9, reason=Reason.OUT_OF_MEMORY, detail="it was full"),
            Act.BURY,
            Status.FAILED,
            Reason.OUT_OF_MEMORY,
        ),
        (
            row(Status.RUNNING),
            seen(Phase.EXITED),
            Act.BURY,
            Status.FAILED,
            Reason.EXITED,
        ),
        (row(Status.RUNNING), seen(Phase.GONE), Act.BURY, Status.FAILED, Reason.VANISHED),
        (row(Status.STARTING), seen(Phase.GONE), Act.BURY, Status.FAILED, Reason.VANISHED),
    ],
)
def test_the_table(
    workload: Workload,
    observed: Observed | None,
    act: Act,
    status: Status | None,
    reason: Reason | None,
) -> None:
    step = next_step(workload, observed, NOW, TIMEOUT_SECONDS)
    assert (step.act, step.status, step.reason) == (act, status, reason)


def test_how_it_ended_is_a_sentence() -> None:
    running = row(Status.RUNNING)

    def detail(**more: object) -> str:
        return next_step(running, seen(Phase.EXITED, **more), NOW, TIMEOUT_SECONDS).detail

    assert detail(exit_code=3) == "it ended with exit code 3"
    assert detail(exit_code=-11) == "it was ended by signal 11"
    assert detail() == "it ended"
    assert detail(reason=Reason.OUT_OF_MEMORY, detail="full") == "full"


def test_a_start_has_a_deadline() -> None:
    at = lambda seconds: next_step(  # noqa: E731
        row(Status.STARTING),
        seen(Phase.STARTING),
        NOW + timedelta(seconds=seconds),
        TIMEOUT_SECONDS,
    )
    assert at(TIMEOUT_SECONDS) == Step(Act.NOTHING)
    late = at(TIMEOUT_SECONDS + 1)
    assert (late.act, late.status, late.reason) == (
        Act.BURY,
        Status.FAILED,
        Reason.START_TIMEOUT,
    )
    assert late.detail == "it was not ready within 60 seconds"


# Who is next


def asking(owner: str, second: int, kind: Kind = Kind.KERNEL) -> Workload:
    created = NOW + timedelta(seconds=second)
    return replace(BASE, id=f"{owner}{second}", owner=owner, kind=kind, created_at=created)


def ids(rows: object) -> list[str]:
    return [each.id for each in rows]  # type: ignore[attr-defined]


def test_members_take_turns() -> None:
    queued = [asking("ada", n) for n in range(3)] + [asking("bob", 10), asking("bob", 11)]
    assert ids(order(queued, [])) == ["ada0", "bob10", "ada1", "bob11", "ada2"]


def test_what_starts_already_counts() -> None:
    queued = [asking("ada", 5), asking("bob", 10)]
    assert ids(order(queued, [asking("ada", 0)])) == ["bob10", "ada5"]
    server = asking("ada", 0, Kind.SERVER)
    assert ids(order(queued, [server])) == ["ada5", "bob10"], "of the same kind"


def test_servers_first() -> None:
    queued = [asking("ada", 1), asking("bob", 2, Kind.SERVER), asking("ada", 3, Kind.SERVER)]
    assert ids(order(queued, [])) == ["bob2", "ada3", "ada1"]


askers = st.lists(
    st.builds(
        lambda n, owner, kind, second: replace(asking(owner, second, kind), id=f"{n}"),
        st.integers(0, 10**9),
        st.sampled_from(["ada", "bob", "eve"]),
        st.sampled_from(Kind),
        st.integers(0, 5),
    ),
    max_size=12,
    unique_by=lambda each: each.id,
)


@given(askers, askers, st.randoms())
def test_nobody_is_lost_and_nobody_waits_for_anothers_second(
    queued: list[Workload], starting: list[Workload], random: object
) -> None:
    found = order(queued, starting)
    assert sorted(ids(found)) == sorted(ids(queued))
    shuffled = list(queued)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ids(order(shuffled, starting)) == ids(found)
    for kind in Kind:
        mine = [each for each in found if each.kind is kind]
        count = {
            owner: sum(s.owner == owner and s.kind is kind for s in starting)
            for owner in ("ada", "bob", "eve")
        }
        turns = []
        for each in mine:
            turns.append(count[each.owner])
            count[each.owner] += 1
        assert turns == sorted(turns)
        for owner in count:
            own = [each.created_at for each in mine if each.owner == owner]
            assert own == sorted(own)
    kinds = [each.kind is Kind.KERNEL for each in found]
    assert kinds == sorted(kinds)


# Where

GIB = 2**30
BIG = Node("big", 16, 64 * GIB)
SMALL = Node("small", 4, 8 * GIB)
AWAY = Node("away", 64, 256 * GIB, ready=False)


@pytest.mark.parametrize(
    ("size", "nodes", "loads", "expected"),
    [
        (Size("s", ""), [], {}, Place(None, "there is no node")),
        (Size("s", ""), [SMALL, BIG], {}, Place("big")),
        (Size("s", ""), [SMALL, BIG], {"big": Load(0, 1)}, Place("small")),
        (Size("s", "", cpus=8), [SMALL, BIG], {"big": Load(0, 9)}, Place("big")),
        (Size("s", "", None, 8 * GIB), [SMALL], {}, Place("small")),
        (Size("s", "", 4, 8 * GIB), [SMALL], {"small": Load(0, 99)}, Place("small")),
        (Size("s", ""), [AWAY], {}, Place(None, "1 node: not ready")),
        (
            Size("s", "", None, 8 * GIB),
            [SMALL],
            {"small": Load(1, 1)},
            Place(None, "1 node: no memory free for this size now"),
        ),
        (
            Size("s", "", cpus=32),
            [SMALL, BIG, AWAY],
            {},
            Place(None, "2 nodes: too few CPUs for this size; 1 node: not ready"),
        ),
        (
            Size("s", "", None, 16 * GIB),
            [SMALL, BIG],
            {"big": Load(60 * GIB, 2)},
            Place(
                None,
                "1 node: less memory than this size; 1 node: no memory free for this size now",
            ),
        ),
    ],
)
def test_places(size: Size, nodes: list[Node], loads: dict[str, Load], expected: Place) -> None:
    assert place(size, nodes, loads) == expected


sizes = st.builds(
    Size,
    st.just("s"),
    st.just(""),
    st.none() | st.floats(0.5, 64),
    st.none() | st.integers(1, 64 * GIB),
)
clusters = st.lists(
    st.builds(
        Node,
        st.sampled_from("abcdef"),
        st.floats(1, 64),
        st.integers(0, 64 * GIB),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda node: node.name,
)


@given(clusters, st.lists(sizes, max_size=20))
def test_memory_is_never_promised_twice(nodes: list[Node], asked: list[Size]) -> None:
    loads: dict[str, Load] = {}
    by_name = {node.name: node for node in nodes}
    for size in asked:
        found = place(size, nodes, loads)
        if found.node is None:
            assert found.explanation
            assert "\n" not in found.explanation
            continue
        assert by_name[found.node].ready
        assert (size.cpus or 0) <= by_name[found.node].cpus
        load = loads.get(found.node, Load())
        loads[found.node] = Load(load.memory_bytes + (size.memory_bytes or 0), load.workloads + 1)
        assert loads[found.node].memory_bytes <= by_name[found.node].memory_bytes
