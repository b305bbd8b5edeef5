"""The servers that bench/http_frameworks.py compares: one process each, all doing the same.

    python http_servers.py NAME

prints the port that it listens on, then answers `cpu` and `memory` for every such line on stdin,
and ends with it. Runs in an environment that has the contenders, which the project's has not.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

API = {"version": "2.21.1", "kernels": [{"id": "5b9d2c1e", "name": "python3", "connections": 1}]}

# Each takes a listening socket and serves until it is cancelled.


async def serve_aiohttp(listening: socket.socket) -> None:
    from aiohttp import WSMsgType, web

    async def api(_request: web.Request) -> web.Response:
        return web.json_response(API)

    async def channels(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(compress=False, max_msg_size=0)
        await websocket.prepare(request)
        async for message in websocket:
            if message.type is WSMsgType.BINARY:
                await websocket.send_bytes(message.data)
        return websocket

    app = web.Application()
    app.router.add_get("/api", api)
    app.router.add_get("/channels", channels)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await asyncio.Event().wait()


async def serve_tornado(listening: socket.socket) -> None:
    from tornado import httpserver, log, web, websocket

    class Api(web.RequestHandler):
        def get(self) -> None:
            self.finish(API)

    class Channels(websocket.WebSocketHandler):
        def open(self, *_args: str, **_kwargs: str) -> None:
            self.set_nodelay(True)

        async def on_message(self, message: str | bytes) -> None:
            await self.write_message(message, binary=True)

    log.access_log.setLevel("ERROR")
    app = web.Application(
        [("/api", Api), ("/channels", Channels)], websocket_max_message_size=sys.maxsize
    )
    httpserver.HTTPServer(app).add_socket(listening)
    await asyncio.Event().wait()


async def serve_uvicorn(listening: socket.socket) -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.websockets import WebSocket

    async def api(_request: Request) -> JSONResponse:
        return JSONResponse(API)

    async def channels(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket.iter_bytes():
            await websocket.send_bytes(message)

    app = Starlette(routes=[Route("/api", api), WebSocketRoute("/channels", channels)])
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        access_log=False,
        log_level="warning",
        lifespan="off",
    )
    await uvicorn.Server(config).serve(sockets=[listening])


async def serve_picows(listening: socket.socket) -> None:
    import picows

    class Channels(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type == picows.WSMsgType.BINARY:
                transport.send(picows.WSMsgType.BINARY, frame.get_payload_as_bytes())
            elif frame.msg_type == picows.WSMsgType.CLOSE:
                transport.disconnect()

    server = await picows.ws_create_server(lambda _request: Channels(), sock=listening)
    await server.serve_forever()


SERVERS: dict[str, Callable[[socket.socket], Awaitable[None]]] = {
    "aiohttp": serve_aiohttp,
    "tornado": serve_tornado,
    "uvicorn": serve_uvicorn,
    "picows": serve_picows,
}


def cpu_nanoseconds() -> int:
    """CPU time that this process has used so far."""
    return time.process_time_ns()


def memory_bytes() -> int:
    """Memory that is this process's own at this moment."""
    gc.collect()
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))


QUESTIONS = {"cpu": cpu_nanoseconds, "memory": memory_bytes}


async def serve(name: str) -> None:
    """Be the server of one contender: the port on stdout, then answers the questions on stdin."""
    # asyncio turns TCP_NODELAY on only where the protocol is named, which create_server() does not.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    listening.setblocking(False)
    serving = asyncio.ensure_future(SERVERS[name](listening))

    def on_stdin() -> None:
        if question := sys.stdin.readline():
            print(QUESTIONS[question.strip()](), flush=True)
        else:
            os._exit(0)

    asyncio.get_running_loop().add_reader(sys.stdin, on_stdin)
    print(listening.getsockname()[1], flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
