"""Who is next: a pure function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from teamhub.model import Kind, Workload


def order(queued: Iterable[Workload], starting: Iterable[Workload]) -> Sequence[Workload]:
    """Return what is queued in the order in which it should start.

    Notebook servers before kernels, since somebody looks at a page meanwhile. Then in turns: a
    member's first before anybody's second, what already starts for them counted; so fifty starts
    of one member do not keep another waiting. Then who came first.

    Args:
        queued: what waits for a place, in any order.
        starting: what has a place and is not running yet.
    """
    turns = Counter((workload.owner, workload.kind) for workload in starting)
    keyed = []
    for workload in sorted(queued, key=lambda each: (each.created_at, each.id)):
        turn = turns[workload.owner, workload.kind]
        turns[workload.owner, workload.kind] += 1
        keyed.append(((workload.kind is not Kind.SERVER, turn, workload.created_at), workload))
    return [workload for _, workload in sorted(keyed, key=lambda pair: (pair[0], pair[1].id))]
