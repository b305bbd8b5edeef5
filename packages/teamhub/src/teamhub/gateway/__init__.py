"""The gateway: the Jupyter kernel API, per user.

`app` puts it together, `routes` answers REST, `channels` is one client's websocket, `kernels`
knows the living ones, a `kernel` holds a `link` to its shim, `answers` speaks in its place,
`access` asks the hub who a token belongs to, `wire` knows the websocket's formats. Nothing here
may be lost by a restart.
"""
