"""The outbox keeps what is not acknowledged, in order, and counts it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from teamhub_notebook.outbox import Outbox

STEPS = st.lists(st.one_of(st.binary(max_size=20), st.integers(min_value=0, max_value=30)))


@given(STEPS)
def test_it_is_the_tail_of_what_was_added(steps: list[bytes | int]) -> None:
    outbox = Outbox()
    added: list[bytes] = []
    acknowledged = 0
    for step in steps:
        if isinstance(step, bytes):
            added.append(step)
            assert outbox.add(step) == len(added)
        else:
            outbox.acknowledge(step)
            acknowledged = max(acknowledged, min(step, len(added)))
        kept = added[acknowledged:]
        assert list(outbox) == kept
        assert len(outbox) == len(kept)
        assert outbox.size_bytes == sum(map(len, kept))
        assert outbox.last_number == len(added)
    outbox.clear()
    assert (len(outbox), outbox.size_bytes) == (0, 0)
