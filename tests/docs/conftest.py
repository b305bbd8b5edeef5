"""What makes the reference, to be asked as Sphinx asks it."""

from __future__ import annotations

import sys

from documented import DOCS

sys.path.insert(0, str(DOCS / "_extensions"))
