"""teamhub: a JupyterHub team server.

The parts and their borders are drawn in ARCHITECTURE.md; every folder here is one of them.
"""

__version__ = "0.1.0"
