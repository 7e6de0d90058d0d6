"""A headless Chromium that cannot reach any network, for looking at a report as a person does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
# Text whose contrast with what lies under it is below 4.5, or 3 for large text.
FAINT = """
const parse = (text) => {
  const canvas = parse.canvas ??= Object.assign(document.createElement("canvas"), {width: 1, height: 1});
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, under) => top.slice(0, 3).map((part, at) => part * top[3] + under[at] * (1 - top[3]));
const ground = (node) => {
  if (!node) return [255, 255, 255];
  const own = parse(getComputedStyle(node).backgroundColor);
  return own[3] === 1 ? own.slice(0, 3) : over(own, ground(node.parentElement));
};
const light = (colour) => {
  const [r, g, b] = colour.map((p) => p / 255).map((p) => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const faint = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || node.closest("script, svg, .hidden, [hidden]")) continue;
  if (!node.getClientRects().length || node.matches(":disabled")) continue;
  const style = getComputedStyle(node);
  const under = ground(node);
  const [low, high] = [light(over(parse(style.color), under)), light(under)].sort((a, b) => a - b);
  const size = parseFloat(style.fontSize);
  const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  if ((high + 0.05) / (low + 0.05) < least) faint.push(node.tagName + " " + node.textContent.trim().slice(0, 40));
}
return faint;
"""  # noqa: E501
# Focusable things without a name, and what sticks out to the right.
NAMELESS = """
return [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((node) => !node.textContent.trim() && !node.getAttribute("aria-label"))
  .filter((node) => !node.labels?.length)
  .map((node) => node.outerHTML.slice(0, 80));
"""
WIDER = "return document.documentElement.scrollWidth - document.documentElement.clientWidth;"


@contextmanager
def open_browser() -> Iterator[Any]:
    """A driver of the browser; the test is skipped, with the reason, where there is none."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    from selenium.webdriver.chrome.service import Service

    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        missing = "no browser: needs Debian's packages chromium and chromium-driver"
        # Where every change is tested, browser tests do not skip.
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield chrome
    finally:
        chrome.quit()


def resize(chrome: Any, width: int, height: int = 900, *, dark: bool = False) -> None:
    """A window of a size and colour scheme; below 600 pixels a phone."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def open_page(chrome: Any, path: Path) -> None:
    """Load a file anew; by itself, an address with another `#` would not be."""
    chrome.get("about:blank")
    chrome.get(path.as_uri())


def complaints(chrome: Any) -> list[str]:
    """What the console has said since it was last asked."""
    return [entry["message"] for entry in chrome.get_log("browser")]
