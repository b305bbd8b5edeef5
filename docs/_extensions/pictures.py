"""Takes the pictures that the pages name from what the tests have kept: `./dev docs --pictures`.

The tests make them of the real thing, so a picture shows what a reader will see. Here they are only
made small: no wider than a page needs, and of as few colours as still look right.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parents[1]
WIDTH = 1280
"""In pixels, at most."""

_COLOURS = 128
_NAMED = re.compile(r"pictures/([\w-]+)\.png")


def named(pages: Sequence[Path]) -> Sequence[str]:
    """Return the pictures that pages name, without directory and suffix."""
    return sorted({name for page in pages for name in _NAMED.findall(page.read_text())})


def take(source: Path, target: Path) -> None:
    """Write a picture anew, small."""
    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDTH, WIDTH * 2))
        small = small.quantize(_COLOURS, dither=Image.Dither.NONE)
        small.save(target, optimize=True)


def main(artefacts: Path) -> str | None:
    """Take them all; return what is wrong, where something is."""
    wanted = named(sorted(DOCS.rglob("*.md")))
    missing = [name for name in wanted if not (artefacts / f"{name}.png").exists()]
    if missing:
        return (
            f"dev: {artefacts} lacks {', '.join(f'{name}.png' for name in missing)}; "
            "./dev test tests/e2e makes them"
        )
    for old in (DOCS / "pictures").glob("*.png"):
        if old.stem not in wanted:
            old.unlink()
    for name in wanted:
        take(artefacts / f"{name}.png", DOCS / "pictures" / f"{name}.png")
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
