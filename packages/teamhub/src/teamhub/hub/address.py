"""Where a request came from."""

from __future__ import annotations

from tornado.httputil import HTTPServerRequest


def address_of(request: HTTPServerRequest) -> str:
    """Return the address that a request came from, as our own proxy saw it.

    The proxy adds what it saw to the end of X-Forwarded-For. X-Real-Ip it passes on as it came,
    and tornado believes it: whoever guesses passwords could be somebody else each time.
    """
    connection = getattr(request.connection, "context", None)
    trusted = {_plain(each) for each in getattr(connection, "trusted_downstream", None) or ()}
    seen = request.headers.get("X-Forwarded-For", "").split(",")
    for address in (_plain(each) for each in reversed(seen)):
        if address and address not in trusted:
            return address
    return str(request.remote_ip)


def _plain(address: str) -> str:
    """Return an address as it is written elsewhere: a socket for both kinds has its own way."""
    return address.strip().lower().removeprefix("::ffff:")
