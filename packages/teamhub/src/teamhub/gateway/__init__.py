"""The gateway: the Jupyter kernel API, per user.

`app` puts it together, `routes` answers REST, `channels` is one client's websocket, `kernels`
knows the living kernels and holds a `link` to each one's shim, `access` asks the hub who a token
belongs to, `wire` knows the websocket's formats. Nothing here may be lost by a restart.
"""
