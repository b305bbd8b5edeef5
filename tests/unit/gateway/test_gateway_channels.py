"""A kernel's websocket while there is no kernel: what waits, and what is said in its place."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import WSCloseCode, WSMessage, WSMsgType
from gateway_rig import DEADLINE_SECONDS, GatewayRig, Member, Socket
from teamhub.config import Config
from teamhub.gateway import wire
from teamhub.gateway.access import Caller
from teamhub.gateway.channels import Channels
from teamhub.gateway.kernel import Kernel
from teamhub.model import Kind, Status
from teamhub.reasons import Reason

FACTS = {"status": "ok", "banner": "a banner"}
REASON = {
    "reason": Reason.COMMAND_NOT_FOUND.value,
    "detail": "there is no /bin/julia",
    "log_tail": "first line\nlast line\n",
    "execution_state": "dead",
}


async def greeted(socket: Socket) -> Socket:
    """A socket whose kernel starts is told so first."""
    first = await socket.next()
    assert (first["type"], first["content"]) == ("status", {"execution_state": "starting"})
    return socket


async def waiting(rig: GatewayRig, kernel_id: str) -> list[str]:
    return [message.msg_id for message in await rig.store.waiting.of(kernel_id)]


async def kept(rig: GatewayRig, kernel_id: str, *expected: str) -> None:
    """Until these wait in the store: a message that is kept is answered by nothing."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while await waiting(rig, kernel_id) != [*expected]:  # noqa: ASYNC110  tells nobody
            await asyncio.sleep(0.005)


async def told(socket: Socket, msg_id: str, reply: str, channel: str = "shell") -> dict[str, Any]:
    """Take the whole answer to a request; return the reply's content."""
    kinds = []
    content: dict[str, Any] = {}
    while True:
        message = await socket.next()
        if message["content"] == {"execution_state": "starting"}:
            continue  # the gateway had not heard of the failure when it greeted us
        assert message["parent"] == msg_id, message
        kinds.append((message["channel"], message["type"]))
        if message["type"] == reply:
            content = message["content"]
        if message["content"] == {"execution_state": "idle"}:
            break
    expected = [("iopub", "status"), (channel, reply), ("iopub", "status")]
    if reply == "execute_reply":
        expected.insert(1, ("iopub", "error"))
    assert kinds == expected
    return content


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "default"])
async def test_a_failure_answers_what_waits_with_its_reason(
    ada: Member, rig: GatewayRig, v1: bool
) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id, v1=v1))
    assert socket.raw.protocol == (wire.V1 if v1 else None)
    await rig.store.facts.learn("ada", "python3", FACTS)
    ids = [await socket.send("execute_request", code="1"), await socket.send("execute_request")]
    await socket.heard()
    assert await waiting(rig, kernel_id) == ids
    await rig.advance(kernel_id, Status.FAILED, **REASON)
    for msg_id in ids:
        content = await told(socket, msg_id, "execute_reply")
        assert content["status"] == "error"
        assert content["ename"] == "CommandNotFound"
        assert content["evalue"] == "The kernel could not be started: there is no /bin/julia"
        assert "first line" in content["traceback"]
        assert "last line" in content["traceback"]
    again = await socket.send("execute_request")
    assert (await told(socket, again, "execute_reply"))["ename"] == "CommandNotFound"
    assert await waiting(rig, kernel_id) == []
    assert (await ada.ask("GET", f"/api/kernels/{kernel_id}"))[1]["execution_state"] == "dead"
    await socket.raw.close()


async def test_one_that_dies_after_it_had_run_is_said_to_be_dead(
    ada: Member, rig: GatewayRig
) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id))
    await rig.store.facts.learn("ada", "python3", FACTS)
    msg_id = await socket.send("execute_request")
    await socket.heard()
    row = await rig.row(kernel_id)
    await rig.advance(kernel_id, Status.FAILED, **REASON, started_at=row.created_at)
    content = await told(socket, msg_id, "execute_reply")
    assert content["evalue"].startswith("The kernel has died")
    last = await socket.next()
    assert (last["channel"], last["type"]) == ("iopub", "status")
    assert (last["content"], last["parent"]) == ({"execution_state": "dead"}, None)


async def test_one_that_is_stopped_ends_its_sockets(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id))
    await rig.advance(kernel_id, Status.STOPPED, reason=Reason.ASKED.value)
    last = await socket.next()
    assert last["content"] == {"execution_state": "dead"}
    assert await socket.closed() == (WSCloseCode.OK, "the kernel was stopped")


async def test_what_waits_outlives_the_gateway_and_its_client(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    await rig.store.facts.learn("ada", "python3", FACTS)
    socket = await greeted(await ada.socket(kernel_id))
    msg_id = await socket.send("execute_request")
    await socket.heard()
    await rig.close()
    other = Member(await rig.start(), "ada")
    await rig.advance(kernel_id, Status.FAILED, **REASON)
    assert await waiting(rig, kernel_id) == [msg_id], "nobody is there to be told"
    socket = await other.socket(kernel_id)
    content = await told(socket, msg_id, "execute_reply")
    assert content["ename"] == "CommandNotFound"
    await told(socket, await socket.send("execute_request"), "execute_reply")
    assert await waiting(rig, kernel_id) == []


async def test_a_message_waits_once(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    await rig.store.facts.learn("ada", "python3", FACTS)
    socket = await greeted(await ada.socket(kernel_id))
    header = {"msg_id": "same", "msg_type": "execute_request", "session": "s1"}
    parts = [json.dumps(header).encode(), b"{}", b"{}", b"{}", b"\xff\x00buffer"]
    for _ in range(9):
        await socket.raw.send_bytes(wire.to_client("shell", parts, v1=True))
    await socket.heard()
    (message,) = await rig.store.waiting.of(kernel_id)
    assert (message.msg_id, message.channel) == ("same", "shell")
    assert list(message.frames) == parts


async def test_more_than_may_wait_is_refused_with_a_word(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id))
    ids = [await socket.send("execute_request") for _ in range(4)]
    code, reason = await socket.closed()
    assert code == WSCloseCode.TRY_AGAIN_LATER
    assert "wait for this kernel already" in reason
    assert await waiting(rig, kernel_id) == ids[:3]


async def test_kernel_info_is_answered_at_once_where_it_is_known(
    ada: Member, rig: GatewayRig
) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id))
    first = await socket.send("kernel_info_request")
    await kept(rig, kernel_id, first)
    await rig.store.facts.learn("ada", "r", {"status": "ok", "banner": "another environment's"})
    execution = await socket.send("execute_request")
    await kept(rig, kernel_id, first, execution)
    await rig.store.facts.learn("ada", "python3", FACTS)
    msg_id = await socket.send("kernel_info_request", "control")
    content = await told(socket, msg_id, "kernel_info_reply", "control")
    assert content == FACTS
    assert await waiting(rig, kernel_id) == [first, execution]


async def test_an_interrupt_answers_what_waits_to_run_and_nothing_else(
    ada: Member, rig: GatewayRig
) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id))
    info = await socket.send("kernel_info_request")
    await kept(rig, kernel_id, info)
    await rig.store.facts.learn("ada", "python3", FACTS)
    execution = await socket.send("execute_request")
    comm = await socket.send("comm_open")
    await socket.heard()
    assert await waiting(rig, kernel_id) == [info, execution, comm]
    assert (await ada.ask("POST", f"/api/kernels/{kernel_id}/interrupt"))[0] == 204
    content = await told(socket, execution, "execute_reply")
    assert content["ename"] == "KeyboardInterrupt"
    assert await waiting(rig, kernel_id) == [info, comm]


class LinkStandIn:
    """Takes calls, as a shim that has just been reached."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def call(self, method: str, **_: Any) -> None:
        self.calls.append(method)


async def test_an_interrupt_while_what_waited_is_handed_over_reaches_the_kernel(
    rig: GatewayRig,
) -> None:
    await rig.start()
    workload = await rig.store.workloads.add(Kind.KERNEL, "ada", "python3", environment="python3")
    kernel = Kernel(workload, Config(), rig.store)
    link = LinkStandIn()
    async with kernel._lock:  # as the gateway has it while it hands over
        interrupting = asyncio.create_task(kernel.interrupt())
        await asyncio.sleep(0)
        kernel.link = link  # type: ignore[assignment]
        kernel._linked.set()
    await interrupting
    assert link.calls == ["interrupt"]


async def test_the_reply_is_for_who_asked_and_the_error_for_all(
    ada: Member, rig: GatewayRig
) -> None:
    kernel_id = await ada.kernel()
    await rig.store.facts.learn("ada", "python3", FACTS)
    one = await greeted(await ada.socket(kernel_id, "one"))
    other = await greeted(await ada.socket(kernel_id, "other"))
    msg_id = await one.send("execute_request")
    await one.heard()
    await rig.advance(kernel_id, Status.FAILED, **REASON)
    await told(one, msg_id, "execute_reply")
    kinds = []
    while len(kinds) < 3:
        message = await other.next()
        if message["parent"] == msg_id:
            kinds.append((message["channel"], message["type"]))
    assert kinds == [("iopub", "status"), ("iopub", "error"), ("iopub", "status")]


async def test_of_two_sockets_with_one_session_the_newer_stays(ada: Member) -> None:
    kernel_id = await ada.kernel()
    older = await greeted(await ada.socket(kernel_id, "same"))
    newer = await greeted(await ada.socket(kernel_id, "same"))
    other = await greeted(await ada.socket(kernel_id, "other"))
    code, reason = await older.closed()
    assert (code, reason) == (WSCloseCode.OK, "another connection with this session took over")
    assert (await ada.ask("GET", f"/api/kernels/{kernel_id}"))[1]["connections"] == 2
    await newer.raw.close()
    await other.raw.close()


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "default"])
@pytest.mark.parametrize(
    "data",
    [b"", b"\xff" * 40, b"[]", b'{"header": {}}', b'{"header": {"msg_id": "\\ud800"}}'],
)
async def test_what_is_no_message_ends_the_socket_with_a_word(
    ada: Member, v1: bool, data: bytes
) -> None:
    socket = await greeted(await ada.socket(await ada.kernel(), v1=v1))
    if v1:
        await socket.raw.send_bytes(data)
    else:
        await socket.raw.send_str(data.decode("utf-8", "replace"))
    code, reason = await socket.closed()
    assert code == WSCloseCode.UNSUPPORTED_DATA
    assert reason.startswith("not a Jupyter message")
    assert (await ada.ask("GET", "/api/kernels"))[0] == 200


async def test_a_revoked_token_ends_the_socket_and_an_absent_hub_does_not(
    rig: GatewayRig,
) -> None:
    ada = Member(await rig.start(gateway={"token_cache_seconds": 0.02}), "ada")
    kernel_id = await ada.kernel()
    await rig.store.facts.learn("ada", "python3", FACTS)
    socket = await greeted(await ada.socket(kernel_id))
    asked = asyncio.Event()
    caller = rig.access.caller

    async def watched(token: str) -> Caller:
        asked.set()
        return await caller(token)

    rig.access.caller = watched  # type: ignore[method-assign]
    rig.access.away = True
    for _ in range(2):
        asked.clear()
        async with asyncio.timeout(10):
            await asked.wait()
    await socket.heard()
    rig.access.away = False
    rig.access.revoked.add("ada-token")
    code, reason = await socket.closed()
    assert (code, reason) == (
        WSCloseCode.POLICY_VIOLATION,
        "this token is not valid for the gateway; make a new one",
    )


async def test_a_revocation_ends_the_socket_at_once(rig: GatewayRig) -> None:
    client = await rig.start(gateway={"token_cache_seconds": 3600})
    ada, bob = Member(client, "ada"), Member(client, "bob")
    await rig.store.facts.learn("ada", "python3", FACTS)
    await rig.store.facts.learn("bob", "python3", FACTS)
    socket = await greeted(await ada.socket(await ada.kernel()))
    other = await greeted(await bob.socket(await bob.kernel()))
    rig.access.revoked.add("ada-token")
    async with asyncio.timeout(10):
        # Counted up by the command line, which is another process.
        await rig.store.revocations.add()
        assert (await socket.closed())[0] == WSCloseCode.POLICY_VIOLATION
    await other.heard()


async def test_a_new_attempt_takes_messages_again(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    await rig.store.facts.learn("ada", "python3", FACTS)
    socket = await greeted(await ada.socket(kernel_id))
    first = await socket.send("execute_request")
    await socket.heard()
    await rig.advance(kernel_id, Status.FAILED, **REASON)
    await told(socket, first, "execute_reply")
    assert (await ada.ask("POST", f"/api/kernels/{kernel_id}/restart"))[0] == 200
    second = await socket.send("execute_request")
    await socket.heard()
    assert await waiting(rig, kernel_id) == [second]


async def test_a_broken_message_of_a_kernel_does_not_keep_back_what_follows() -> None:
    written: list[str] = []
    ended = asyncio.Event()

    class Raw:
        async def send_str(self, data: str) -> None:
            written.append(data)

        async def ping(self, data: bytes) -> None: ...

        async def close(self, **_: Any) -> None:
            ended.set()

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            await ended.wait()
            raise StopAsyncIteration

    class Kernel:
        async def connect(self, client: Channels) -> None:
            client.deliver("iopub", [b"no header", b"{}", b"{}", b"{}"])
            client.deliver("iopub", [b"{}", b"{}"])
            client.deliver("iopub", [b"[]", b"{}", b"{}", b"{}"])
            client.deliver("iopub", wire.reply("status", {}, b"{}"), 7)
            client.end("over")

        async def disconnect(self, client: Channels) -> None: ...

    channels = Channels(Raw(), "s", v1=False)  # type: ignore[arg-type]
    await channels.serve(Kernel(), None, "t", 60)  # type: ignore[arg-type]
    assert [json.loads(data)["msg_type"] for data in written] == ["status"]
    assert channels.written == 7


async def test_a_client_has_got_what_its_pong_says() -> None:
    received: asyncio.Queue[WSMessage | None] = asyncio.Queue()
    arrived: list[int] = []
    ponged: list[bytes] = []

    class Raw:
        async def send_str(self, data: str) -> None: ...

        async def ping(self, data: bytes) -> None:
            assert data == b"7"
            for pong in (b"", b"none of ours", b"5", b"999999999999999999999999", data):
                received.put_nowait(WSMessage(WSMsgType.PONG, pong, None))
            received.put_nowait(WSMessage(WSMsgType.PING, b"the client's", None))
            received.put_nowait(None)

        async def pong(self, data: bytes) -> None:
            ponged.append(data)

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            if (message := await received.get()) is None:
                raise StopAsyncIteration
            return message

    class Kernel:
        async def connect(self, client: Channels) -> None:
            client.deliver("iopub", wire.reply("status", {}, b"{}"), 7)

        async def disconnect(self, client: Channels) -> None: ...

        def arrived(self, client: Channels, number: int) -> None:
            arrived.append(number)

    async with asyncio.timeout(10):
        channels = Channels(Raw(), "s", v1=False)  # type: ignore[arg-type]
        await channels.serve(Kernel(), None, "t", 60)  # type: ignore[arg-type]
    assert arrived == [5, 7, 7], "never more than was sent"
    assert ponged == [b"the client's"]


async def test_a_client_that_reads_nothing_is_sent_away_before_it_costs_much() -> None:
    aborted = asyncio.Event()
    message = wire.reply("stream", {"text": "x" * 1000}, b"{}")
    waiting_most = 0

    class Raw:
        async def send_str(self, data: str) -> None:
            await asyncio.Event().wait()

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> Any:
            await aborted.wait()
            raise StopAsyncIteration

    class Kernel:
        async def connect(self, client: Channels) -> None:
            nonlocal waiting_most
            for number in range(1, 1000):
                client.deliver("iopub", message, number)
                waiting_most = max(waiting_most, client._outgoing.qsize())
                await asyncio.sleep(0)

        async def disconnect(self, client: Channels) -> None: ...

    channels = Channels(
        Raw(),  # type: ignore[arg-type]
        "s",
        v1=False,
        abort=aborted.set,
        outgoing_bytes=20_000,
        farewell_seconds=0,
    )
    async with asyncio.timeout(10):
        await channels.serve(Kernel(), None, "t", 60)  # type: ignore[arg-type]
    assert waiting_most < 20
    assert channels._outgoing.qsize() <= 1
    assert channels.written == 0, "so the shim hands it all over again"


async def test_a_message_of_any_size_passes_when_nothing_waits() -> None:
    channels = Channels(None, "s", v1=False, outgoing_bytes=100)  # type: ignore[arg-type]
    channels.deliver("iopub", wire.reply("stream", {"text": "x" * 1000}, b"{}"), 1)
    assert channels._outgoing.qsize() == 1


async def test_nothing_waits_for_a_kernel_that_was_stopped(ada: Member, rig: GatewayRig) -> None:
    kernel_id = await ada.kernel()
    socket = await greeted(await ada.socket(kernel_id))
    await rig.store.facts.learn("ada", "python3", FACTS)
    await socket.send("execute_request", code="x" * 1000)
    await socket.heard()
    assert len(await waiting(rig, kernel_id)) == 1
    await socket.raw.close()
    assert (await ada.ask("DELETE", f"/api/kernels/{kernel_id}"))[0] == 204
    await rig.advance(kernel_id, Status.STOPPED)
    async with asyncio.timeout(10):
        while await waiting(rig, kernel_id):  # noqa: ASYNC110  forgetting sends no event
            await asyncio.sleep(0.01)
