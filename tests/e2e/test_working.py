"""A working day of two members at once: plots, widgets, the debugger, interrupt and restart."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from browser import new_page, picture
from playwright.async_api import Browser, Page, expect
from signed_in import SignedIn

pytestmark = pytest.mark.browser

Pair = tuple[SignedIn, SignedIn]

PLOT = """\
%matplotlib inline
import matplotlib.pyplot as plt
plt.figure(figsize=(4, 2))
plt.plot([1, 4, 9, 16])
plt.title("squares")
plt.show()"""

SLIDER = """\
import ipywidgets as widgets
slider = widgets.IntSlider(value=3, max=100)
seen = widgets.Output()
def changed(change):
    with seen:
        print("the kernel saw", change["new"])
slider.observe(changed, "value")
display(slider, seen)"""

DEBUGGED = """\
def double(number):
    result = 2 * number
    return result
print("answer", double(21))"""


async def both(
    browser: Browser, pair: Pair, work: Callable[[Page, SignedIn, str], Awaitable[None]]
) -> None:
    """Let two members do the same at the same time, each in a browser of their own."""
    pages = [await new_page(browser, member.storage_state) for member in pair]
    await asyncio.gather(*map(work, pages, pair, ("alice", "bob")))


async def test_a_plot_is_shown_and_a_slider_answers(browser: Browser, alice_and_bob: Pair) -> None:
    await both(browser, alice_and_bob, _plot_and_slide)


async def _plot_and_slide(page: Page, member: SignedIn, who: str) -> None:
    notebook = await member.open(page, "plot.ipynb", PLOT, SLIDER, "print(slider.value)")
    await notebook.ready()
    await notebook.run(0)
    image = notebook.output(0).locator("img")
    await expect(image).to_be_visible()
    assert await image.evaluate("image => image.complete && image.naturalWidth > 100")

    await notebook.run(1)
    handle = notebook.output(1).locator(".noUi-handle")
    await handle.focus()
    for _ in range(4):
        await page.keyboard.press("ArrowRight")
    await expect(notebook.output(1).get_by_text("the kernel saw 7")).to_be_visible()
    assert await notebook.run_to_end(2) == "7\n"
    await notebook.cell(0).scroll_into_view_if_needed()
    await picture(page, f"working-{who}-plot-and-slider")


async def test_the_debugger_stops_at_a_breakpoint(browser: Browser, alice_and_bob: Pair) -> None:
    await both(browser, alice_and_bob, _debug)


async def _debug(page: Page, member: SignedIn, who: str) -> None:
    notebook = await member.open(page, "debugged.ipynb", DEBUGGED)
    await notebook.ready()
    await notebook.panel.locator(".jp-DebuggerBugButton").click()
    await expect(page.locator("#jp-debugger-sidebar")).to_be_visible()
    gutter = notebook.cell(0).locator(".cm-gutter.cm-breakpoint-gutter .cm-gutterElement")
    await gutter.nth(2).click()
    await expect(notebook.cell(0).locator(".cm-breakpoint-icon").last).to_be_visible()
    await expect(page.locator(".jp-DebuggerBreakpoint")).to_have_count(1)

    await notebook.run(0)
    frame = page.locator(".jp-DebuggerCallstackFrame").first
    await expect(frame).to_contain_text("double")
    variables = page.locator(".jp-DebuggerVariables-body:not(.lm-mod-hidden)")
    await expect(variables).to_contain_text("number")
    await expect(notebook.cell(0).locator(".jp-DebuggerEditor-highlight")).to_be_visible()
    await expect(notebook.output(0)).to_have_count(0)
    await picture(page, f"working-{who}-debugger-at-a-breakpoint")

    await page.locator("#jp-debugger-sidebar [data-command='debugger:continue']").click()
    await expect(notebook.output(0)).to_contain_text("answer 42")
    await expect(page.locator(".jp-DebuggerCallstackFrame")).to_have_count(0)


async def test_interrupt_and_restart(browser: Browser, alice_and_bob: Pair) -> None:
    await both(browser, alice_and_bob, _interrupt_and_restart)


async def _interrupt_and_restart(page: Page, member: SignedIn, who: str) -> None:
    notebook = await member.open(
        page,
        "interrupted.ipynb",
        "kept = 'before'; print(kept)",
        "print('on my way', flush=True)\nwhile True: pass",
        "kept",
    )
    await notebook.ready()
    assert await notebook.run_to_end(0) == "before\n"
    await notebook.run(1)
    await expect(notebook.output(1).first).to_contain_text("on my way")
    await notebook.shows("busy")
    await notebook.menu("Kernel", "Interrupt Kernel")
    await expect(notebook.output(1).last).to_contain_text("KeyboardInterrupt")
    await notebook.shows("idle")
    await picture(page, f"working-{who}-interrupted")
    # Interrupted, not replaced: the namespace is still there.
    assert await notebook.run_to_end(2) == "'before'"

    await notebook.restart()
    await notebook.run(2)
    await expect(notebook.output(2)).to_contain_text(re.compile("NameError.*kept", re.DOTALL))
    await picture(page, f"working-{who}-restarted")
