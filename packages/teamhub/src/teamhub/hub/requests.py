"""What the hub takes of anybody who can reach it."""

from __future__ import annotations

from tornado.httpserver import HTTPServer

BODY_BYTES = 4 * 1024**2
"""The longest body of a request. The longest form of ours has a user file in it, escaped."""


def bound() -> None:
    """Have the servers that this process makes from now on take no longer bodies.

    Tornado takes 100 MiB and keeps them in memory, before anybody has looked who sends them.
    JupyterHub makes its server itself and has no setting for it.
    """
    HTTPServer.configure(None, max_body_size=BODY_BYTES)
