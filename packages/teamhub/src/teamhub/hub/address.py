"""Where a request came from."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

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


def network_of(address: str) -> str:
    """Return what whoever has an address can change it within: of IPv6 the /64, else nothing.

    For counting: one line to the internet has more IPv6 addresses than could be counted.
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    mapped = found.ipv4_mapped
    return str(mapped or ip_network((found, 64), strict=False))
