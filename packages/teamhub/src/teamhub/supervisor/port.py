"""Whether the public address can be ours."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

import psutil

from teamhub.config import ProxySettings
from teamhub.errors import TeamhubError


@contextlib.contextmanager
def public_port_held(proxy: ProxySettings) -> Iterator[None]:
    """Hold the public address while in the block, so that nothing of ours picks its port.

    Raises:
        TeamhubError: it is another program's, or cannot be had; one line that says what to do.
    """
    shown = f"[{proxy.host}]" if ":" in proxy.host else proxy.host
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            proxy.host or None, proxy.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise TeamhubError(
            f"proxy.host: {proxy.host!r} is no address; use 127.0.0.1 for this machine alone, "
            "0.0.0.0 for all that can reach it"
        ) from None
    with socket.socket(family, kind, number) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind(address)
        except OSError as error:
            raise TeamhubError(_why(error, shown, proxy.port)) from None
        yield


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use{_by_whom(port)}; "
            "stop that, or choose another port with --port"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs root's rights; choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"proxy.host: {host} is not an address of this machine; use 127.0.0.1 for this "
            "machine alone, 0.0.0.0 for all that can reach it"
        )
    return (
        f"port {port} of {host} cannot be used: {error.strerror}; choose another with --port, or "
        "another proxy.host"
    )


def _by_whom(port: int) -> str:
    """Name the program, where we may know it."""
    process = listener(port)
    with contextlib.suppress(psutil.Error):
        if process is not None:
            return f" by {process.name()} (process {process.pid})"
    return " by another program"


def listener(port: int) -> psutil.Process | None:
    """Return a process that listens on a TCP port, None where none does or we may not know it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid is not None
            ):
                return psutil.Process(connection.pid)
    return None
