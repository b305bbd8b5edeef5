"""What JupyterHub is told and given: its settings, sign-in with local accounts, the one spawner.

The hub writes what it wants into the store and waits for the dispatcher's answer; it never talks
to an engine.
"""
