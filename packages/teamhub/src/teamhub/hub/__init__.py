"""What JupyterHub is told and given: its settings, sign-in with local accounts, the one spawner.

`assemble` is the settings, `accounts` the authenticator, `spawner` the spawner, `pages` the pages.
The hub writes what it wants into the store and waits for the dispatcher's answer; it never talks
to an engine.
"""
