"""A real Chromium, and keys pressed in it as a person presses them who touches no mouse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from packsight.shared.contract.errors import UserError

PATIENCE = 60
"""Seconds for which is waited for what a page shows."""
SHARP = 0.02
"""Seconds between two looks: what a page takes is measured by them."""


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window until the end of the block; raises UserError where there is none."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        raise UserError("There is no browser. Install Debian's chromium and chromium-driver.")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield opened
    finally:
        opened.quit()


def wait(browser: webdriver.Chrome, condition: Any) -> Any:
    """What the condition comes to once it holds; raises TimeoutException where it does not."""
    return WebDriverWait(browser, PATIENCE, poll_frequency=SHARP).until(condition)


def press(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys wherever the browser is."""
    browser.switch_to.active_element.send_keys(*keys)


def go_on(browser: webdriver.Chrome, *keys: str) -> None:
    """Press keys that lead to another page, and wait for that."""
    before = browser.find_element(By.TAG_NAME, "html")
    press(browser, *keys)
    wait(browser, lambda _: browser.find_element(By.TAG_NAME, "html") != before)
    wait(browser, lambda _: browser.execute_script("return document.readyState") == "complete")


def sign_in(browser: webdriver.Chrome, base: str, path: str, name: str, password: str) -> None:
    """Open a page as a stranger who is asked for name and password, and gives them."""
    browser.delete_all_cookies()
    browser.get(f"{base}{path}")
    wait(browser, lambda _: browser.switch_to.active_element.get_attribute("name") == "name")
    press(browser, name, Keys.TAB)
    press(browser, password, Keys.ENTER)
    wait(browser, lambda _: "/sign-in" not in browser.current_url)
