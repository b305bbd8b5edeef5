"""A page as everybody meets it: on a desktop and on a phone, light and dark, seen or heard."""

from __future__ import annotations

from typing import Any

from browser import DESKTOP, PHONE
from playwright.async_api import Page, expect
from team import ROOT, artefact_dir

AXE = ROOT / "tests/js/node_modules/axe-core/axe.min.js"
TAGS = ("wcag2a", "wcag2aa", "wcag21aa")
FAILING = ("serious", "critical")
TAB_PRESSES = 60

_RUN = """
async (tags) => {
  const { violations } = await axe.run(document, {
    runOnly: { type: "tag", values: tags },
    resultTypes: ["violations"],
  });
  return violations.map(({ id, impact, help, helpUrl, nodes }) => ({
    id, impact, help, helpUrl,
    nodes: nodes.map((node) => ({
      target: node.target.join(" "), failureSummary: node.failureSummary,
    })),
  }));
}
"""


async def look_at(page: Page, name: str) -> None:
    """Look at a page as it is now, at both widths and in both themes.

    In each it has to pass axe and fit the width. What it looks like is kept as
    `page-NAME[-phone][-dark].png`. Afterwards the page is as wide and as light as before.
    """
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        await expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        for width, size in (("", DESKTOP), ("-phone", PHONE)):
            await page.set_viewport_size(size)
            view = f"page-{name}{width}{'-dark' if scheme == 'dark' else ''}"
            await page.screenshot(path=artefact_dir() / f"{view}.png", full_page=True)
            shown = await page.evaluate("document.documentElement.scrollWidth")
            assert shown <= size["width"], f"{view} is {shown} pixels wide"
            await check_accessibility(page, view)
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(DESKTOP)


async def check_accessibility(page: Page, view: str) -> None:
    """Fail where axe finds what keeps people out, and say where it is.

    Args:
        page: as it is now, all of it.
        view: what the message calls it.
    """
    if not await page.evaluate("'axe' in window"):
        await page.add_script_tag(path=AXE)
    found = [each for each in await page.evaluate(_RUN, TAGS) if each["impact"] in FAILING]
    assert not found, "\n".join([f"{view} is not accessible:", *map(_told, found)])


def _told(violation: dict[str, Any]) -> str:
    head = f"  {violation['impact']} {violation['id']}: {violation['help']} {violation['helpUrl']}"
    places = [
        f"    {node['target']}\n      {node['failureSummary']}".replace("\n  ", "\n        ")
        for node in violation["nodes"]
    ]
    return "\n".join([head, *places])


async def tab_to(page: Page, selector: str) -> None:
    """Press Tab until something has the focus, as somebody without a mouse does."""
    reached = "(selector) => document.activeElement.matches(selector)"
    for _ in range(TAB_PRESSES):
        if await page.evaluate(reached, selector):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached with the Tab key")


async def type_into(page: Page, selector: str, text: str) -> None:
    """Go to a field with the Tab key and type."""
    await tab_to(page, selector)
    await page.keyboard.type(text)
