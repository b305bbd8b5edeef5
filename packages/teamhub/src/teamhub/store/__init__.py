"""The store: the only truth on what should run. Every SQL statement of ours is in this folder.

`Store` opens it; its parts are `accounts`, `workloads`, `sessions`, `waiting`, `facts`, `lease`
and `revocations`, one file each.
"""

from teamhub.store.store import Store

__all__ = ["Store"]
