"""Messages between a gateway and a real kernel through a real shim."""

from __future__ import annotations

import zmq


def test_execute_gives_stream_and_reply(start_shim):
    link = start_shim().ready_link()
    asked = link.execute("print(6 * 7)")
    assert link.reply(asked).content["status"] == "ok"
    assert link.stdout(asked) == "42\n"
    numbers = [message.number for message in link.messages]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert not any(m.type == "iopub_welcome" for m in link.messages)


def test_state_tells_kernel_info_and_busy(start_shim):
    link = start_shim().ready_link()
    state = link.states[-1]
    assert state.kernel_info is not None
    assert state.kernel_info["implementation"] == "ipython"
    assert state.restarts == 0
    asked = link.execute("input()", allow_stdin=True)
    link.until(lambda: link.states[-1].execution_state == "busy")
    link.until(lambda: bool(link.of(asked, "input_request")))
    # A question on control is soon idle again: the cell on shell is not.
    control = link.send("control", "kernel_info_request", {})
    link.reply(control, "kernel_info_reply")
    link.ping(b"1")
    link.until(lambda: b"1" in link.pongs)
    assert link.states[-1].execution_state == "busy"
    link.send(
        "stdin", "input_reply", {"value": "x"}, parent=link.of(asked, "input_request")[0].header
    )
    link.reply(asked)
    link.until(lambda: link.states[-1].execution_state == "idle")


def test_another_key_gets_nothing(start_shim):
    shim = start_shim()
    stranger = shim.link(keys=zmq.curve_keypair())
    events = stranger.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    stranger.socket.send_multipart([b"hello", b"{}"])
    assert events.poll(10_000), "the handshake was not refused"
    assert not stranger.socket.poll(0)
    events.close()
    # And the shim is none the worse for it.
    link = shim.ready_link()
    assert link.reply(link.execute("1")).content["status"] == "ok"


def test_what_is_sent_before_the_kernel_is_ready_is_delivered_in_order(start_shim):
    shim = start_shim()
    link = shim.link(ready=False)
    assert link.hello().execution_state == "starting"
    link.attach("s1")
    first = link.execute("order = [1]")
    second = link.execute("order.append(2); print(order)")
    assert "result" in link.call("sync")
    link.reply(first)
    link.reply(second)
    assert link.stdout(second) == "[1, 2]\n"


def test_a_message_is_sent_to_the_kernel_once(start_shim):
    link = start_shim().ready_link()
    link.reply(link.execute("n = 0"))
    content = {"code": "n += 1", "silent": False}
    for _ in range(3):
        link.send("shell", "execute_request", content, msg_id="again")
    asked = link.execute("print(n)")
    link.reply(asked)
    assert link.stdout(asked) == "1\n"


def test_input_request_goes_round(start_shim):
    link = start_shim().ready_link()
    asked = link.execute("print(input('name? ') * 2)", allow_stdin=True)
    link.until(lambda: bool(link.of(asked, "input_request")))
    request = link.of(asked, "input_request")[0]
    assert request.channel == "stdin"
    assert request.content["prompt"] == "name? "
    link.send("stdin", "input_reply", {"value": "ab"}, parent=request.header)
    link.reply(asked)
    assert link.stdout(asked) == "abab\n"


def test_debug_request_on_control(start_shim):
    link = start_shim().ready_link()
    content = {"seq": 1, "type": "request", "command": "debugInfo"}
    asked = link.send("control", "debug_request", content)
    reply = link.reply(asked, "debug_reply")
    assert reply.channel == "control"
    assert reply.content["success"] is True


def test_large_binary_buffers_both_ways(start_shim):
    link = start_shim().ready_link()
    setup = (
        "def opened(comm, message):\n"
        "    comm.on_msg(lambda m: comm.send({'n': 1}, buffers=[bytes(m['buffers'][0])[::-1]]))\n"
        "get_ipython().kernel.comm_manager.register_target('echo', opened)\n"
    )
    assert link.reply(link.execute(setup)).content["status"] == "ok"
    link.send("shell", "comm_open", {"comm_id": "c", "target_name": "echo", "data": {}})
    data = bytes(range(256)) * (10 * 1024 * 1024 // 256)
    asked = link.send("shell", "comm_msg", {"comm_id": "c", "data": {}}, buffers=[data])
    link.until(lambda: bool(link.of(asked, "comm_msg")))
    assert link.of(asked, "comm_msg")[0].buffers == [data[::-1]]


def test_a_burst_loses_nothing(start_shim):
    link = start_shim().ready_link()
    code = (
        "from IPython.display import publish_display_data as p\n"
        "for i in range(20000): p({'text/plain': str(i)})"
    )
    asked = link.execute(code)
    link.reply(asked)
    shown = [int(m.content["data"]["text/plain"]) for m in link.of(asked, "display_data")]
    assert shown == list(range(20000))


def test_a_link_must_say_hello(start_shim):
    link = start_shim().link()
    assert "error" in link.call("attach", session="s1")
    link.ping(b"unanswered")
    link.hello()
    link.ping(b"answered")
    link.until(lambda: bool(link.pongs))
    assert link.pongs == [b"answered"]
    assert "error" in link.call("fly")


def test_a_message_that_makes_no_sense_is_dropped(start_shim):
    link = start_shim().ready_link()
    for frames in ([b"send", b"iopub"], [b"?"], [b"call", b"1", b"attach", b"{"], [b"send"]):
        link.socket.send_multipart(frames)
    assert link.reply(link.execute("1")).content["status"] == "ok"
