"""The command line: `teamhub COMMAND`. One file for each group of commands.

Results go to stdout, everything else to stderr. Every command takes `--data-dir` or `--config` to
name the deployment, and `--json`. A problem that a user can understand is one line and an exit
status of its own (see errors.py); wrong usage is 2; a fault of ours is a line and a log.
"""

from teamhub.cli.main import main

__all__ = ["main"]
