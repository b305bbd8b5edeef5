"""Links that break, sessions that come back, readers that are slow."""

from __future__ import annotations

import json
import os
import signal

COUNTING = "for i in range({n}): print(i, flush=True)"


def counted(link, msg_id):
    """Return the numbers that a cell printed, as this link received them."""
    return [int(word) for word in link.stdout(msg_id).split()]


def test_a_session_that_returns_gets_the_rest(start_shim):
    shim = start_shim()
    first = shim.ready_link("s1")
    asked = first.execute(COUNTING.format(n=3000))
    first.until(lambda: len(first.messages) > 200)
    last = first.messages[-1].number
    first.ack(last)
    first.ping(b"")  # answered on the same way: the acknowledgement has been taken
    first.until(lambda: bool(first.pongs))
    received = [m for m in first.messages if m.number <= last]
    first.close()  # as a killed gateway would: what was on its way to it is lost

    second = shim.link()
    second.hello()
    result = second.attach("s1")
    assert result["resumed"] is True
    assert result["missed"] == 0
    assert result["replayed"] > 0
    second.until(lambda: bool(second.of(asked, "execute_reply")))
    second.until(
        lambda: (
            [m.content for m in second.of(asked, "status")][-1:] == [{"execution_state": "idle"}]
        )
    )
    numbers = [m.number for m in second.messages]
    assert numbers == list(range(last + 1, last + 1 + len(numbers)))
    assert {m.session for m in second.messages} <= {"s1", ""}
    before = "".join(
        m.content["text"] for m in received if m.type == "stream" and m.parent["msg_id"] == asked
    )
    assert (before + second.stdout(asked)).split() == [str(i) for i in range(3000)]


def test_a_dead_link_freezes_its_sessions_without_acknowledgements(start_shim):
    shim = start_shim()
    first = shim.ready_link("s1")
    first.reply(first.execute("1"))
    first.call("sync")
    handed = first.messages[-1].number
    first.close()
    second = shim.link()
    second.hello()
    second.attach("s2")
    asked = second.execute("print('gone')")
    second.reply(asked)
    result = second.attach("s1")
    # The shim may have handed some to the dead link before it noticed; never the other way.
    assert result["resumed"] is True
    replays = [m for m in second.messages if m.session == "s1"]
    assert len(replays) == result["replayed"]
    assert all(m.number > handed for m in replays)


def test_a_new_session_gets_nothing_old(start_shim):
    link = start_shim().ready_link("s1")
    link.reply(link.execute("print('old')"))
    last = link.messages[-1].number
    assert link.attach("s2") == {"resumed": False, "replayed": 0, "missed": 0}
    assert all(m.session == "" for m in link.messages)
    assert link.messages[-1].number == last


def test_detach_keeps_the_place(start_shim):
    shim = start_shim()
    link, observer = shim.ready_link("s1"), shim.ready_link("s2")
    link.reply(link.execute("1"))
    assert link.call("detach", session="s1") == {"result": {}}
    last = link.messages[-1].number
    asked = link.execute("print('meanwhile')")
    observer.reply(asked)
    link.ping(b"")
    link.until(lambda: bool(link.pongs))
    assert link.messages[-1].number == last  # nothing comes to a link where nobody is attached
    result = link.attach("s1")
    link.reply(asked)
    assert result["replayed"] > 0
    assert link.messages[-result["replayed"]].number == last + 1
    assert link.stdout(asked) == "meanwhile\n"


def test_the_newest_link_wins_a_session(start_shim):
    shim = start_shim()
    first, second = shim.ready_link("s1"), shim.link()
    second.hello()
    assert second.attach("s1")["resumed"] is True
    first.until(lambda: first.detached == ["s1"])
    seen = len(first.messages)
    asked = second.execute("print('mine')")
    second.reply(asked)
    assert second.stdout(asked) == "mine\n"
    first.ping(b"")
    first.until(lambda: bool(first.pongs))
    assert len(first.messages) == seen


def test_broadcasts_go_to_all_links(start_shim):
    shim = start_shim()
    first, second = shim.ready_link("s1"), shim.ready_link("s2")
    asked = first.execute("print('for all')")
    first.reply(asked)
    second.reply(asked)
    assert first.stdout(asked) == second.stdout(asked) == "for all\n"


def test_what_does_not_fit_the_journal_is_counted(start_shim):
    shim = start_shim(journal_bytes=20_000)
    link, observer = shim.ready_link("s1"), shim.ready_link("s2")
    link.reply(link.execute("1"))
    link.call("detach", session="s1")
    last = link.messages[-1].number
    observer.reply(link.execute(COUNTING.format(n=500)))
    result = link.attach("s1")
    assert result["missed"] > 0
    assert result["replayed"] > 0
    assert link.messages[-1].number == last + result["missed"] + result["replayed"]


def test_a_gateway_that_stops_reading_costs_the_kernel_nothing(start_shim):
    """120 MB for a reader that is stopped: the kernel goes on, and everything arrives later."""
    shim = start_shim(journal_bytes=256 * 1024**2)
    quick, slow = shim.ready_link("quick"), shim.link(queue_messages=1)
    slow.hello()
    slow.attach("slow")
    code = (
        "from IPython.display import publish_display_data as p\n"
        "for i in range(1200): p({'text/plain': str(i) + ' ' * 100_000})"
    )
    asked = slow.execute(code)
    quick.reply(asked)
    slow.reply(asked)
    for link in (slow, quick):
        shown = [int(m.content["data"]["text/plain"]) for m in link.of(asked, "display_data")]
        assert shown == list(range(1200))
        numbers = [m.number for m in link.messages]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_beyond_the_journal_a_slow_reader_sees_a_hole(start_shim):
    shim = start_shim(journal_bytes=1024**2)
    quick, slow = shim.ready_link("quick"), shim.link(queue_messages=1)
    slow.hello()
    slow.attach("slow")
    code = (
        "from IPython.display import publish_display_data as p\n"
        "for i in range(1200): p({'text/plain': str(i) + ' ' * 100_000})"
    )
    asked = slow.execute(code)
    quick.reply(asked)
    slow.until(lambda: bool(slow.of(asked, "execute_reply")))
    numbers = [m.number for m in slow.messages]
    assert numbers == sorted(set(numbers))
    assert len(numbers) < numbers[-1] - numbers[0] + 1


def test_the_shims_end_is_told_on_all_links(start_shim):
    shim = start_shim()
    first, second = shim.ready_link("s1"), shim.ready_link("s2")
    os.kill(shim.process.pid, signal.SIGTERM)
    for link in (first, second):
        link.until(lambda link=link: link.states[-1].execution_state == "dead")
        link.until(lambda link=link: bool(link.of("", "status")))
    assert shim.wait()[1].reason == "asked"


def test_the_log_says_which_request_asked_for_what(start_shim):
    shim = start_shim()
    link = shim.ready_link()
    link.call("attach", session="s2", request_id="0123456789abcdef")
    link.call("interrupt", request_id="1123456789abcdef")
    link.call("restart", request_id="2123456789abcdef")
    link.call("interrupt")  # as older gateways do
    link.call("interrupt", request_id="forged\nline")
    lines = [json.loads(line) for line in shim.log().splitlines() if line[:1] == "{"]
    told = [(line["message"], line.get("request_id")) for line in lines]
    for first, method in enumerate(("attach", "interrupt", "restart")):
        assert (f"{method} of kernel kernel-1", f"{first}123456789abcdef") in told
    assert told.count(("interrupt of kernel kernel-1", None)) == 2
    assert {line["kernel_id"] for line in lines} == {"kernel-1"}
