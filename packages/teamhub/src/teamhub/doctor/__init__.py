"""`teamhub doctor`: every check of a deployment, one file for each group of them.

`check` says what a check is and runs them; `trial` does for real what a member does. `settings` is
what `teamhub config check` uses as well.
"""

from teamhub.doctor import databases, directory, machine, members, network, processes
from teamhub.doctor.check import Check, Finding, Patient, Result, Verdict, examine
from teamhub.doctor.trial import Trial

CHECKS: tuple[Check, ...] = (
    *machine.CHECKS,
    *directory.CHECKS,
    *databases.CHECKS,
    *processes.CHECKS,
    *members.CHECKS,
    *network.CHECKS,
)
"""All that look and change nothing, in the order in which they are run."""

__all__ = ["CHECKS", "Check", "Finding", "Patient", "Result", "Trial", "Verdict", "examine"]
