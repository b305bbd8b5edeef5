"""The shim: the small process beside a kernel that keeps it while everything above restarts."""

__version__ = "0.1.0"
