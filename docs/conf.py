"""Sphinx's settings. `./dev docs` builds, with warnings as errors and every reference checked."""

import sys
from pathlib import Path

import teamhub

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "teamhub"
author = "the teamhub authors"
version = release = teamhub.__version__

extensions = ["myst_parser", "reference.pages"]
exclude_patterns = ["_extensions"]
# Settings and commands are shown as they are typed: "auto" stays "auto".
smartquotes = False
# Some headings are in both the included and the including page.
suppress_warnings: list[str] = []

myst_heading_anchors = 3
myst_enable_extensions = ["deflist", "colon_fence"]

html_theme = "furo"
html_title = f"teamhub {release}"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_static_path: list[str] = []
