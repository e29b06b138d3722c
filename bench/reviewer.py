"""Somebody who knows the labels and reviews by keyboard: looks at the page, presses what it says, and counts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from bench.browser import go_on, press, wait
from packsight.shared.storage.verdicts import Kind, Verdict

UNDONE_EVERY = 10
"""Of so many photos one is called a bad photo first, which is taken back."""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer. way: how it was given; keys: pressed, letters of a search among them; seconds: to the next page's photo."""

    sha256: str
    way: str
    keys: int
    seconds: float
    undone: bool


@dataclass
class Reviewer:
    """Goes through what waits. shown: what each photo shows, by its sha256; names: of the catalog's products, by id."""

    browser: webdriver.Chrome
    shown: Mapping[str, str]
    names: Mapping[str, str]

    def review(self, count: int) -> list[Given]:
        """Answer so many photos, or as many as wait."""
        given: list[Given] = []
        while len(given) < count and (sha256 := self._photo()):
            begun, undone = time.perf_counter(), len(given) % UNDONE_EVERY == UNDONE_EVERY - 1
            keys = self._slip(sha256) if undone else 0
            way, more = self._answer(self.shown[sha256])
            self._photo()
            given.append(Given(sha256, way, keys + more, time.perf_counter() - begun, undone))
        return given

    def _photo(self) -> str:
        """sha256 of the photo that is shown, once it can be seen; empty where none waits."""
        if not (fields := self.browser.find_elements(By.NAME, "sha256")):
            return ""
        seen = "const one = document.querySelector('.shot img'); return one.complete && one.naturalWidth > 0"
        wait(self.browser, lambda _: self.browser.execute_script(seen))
        return str(fields[0].get_attribute("value"))

    def _slip(self, sha256: str) -> int:
        """Press a wrong key and take that back; raises RuntimeError where the photo does not come again."""
        go_on(self.browser, "b")
        go_on(self.browser, "u")
        if self._photo() != sha256:
            raise RuntimeError(f"The photo {sha256} was taken back and did not come again.")
        return 2

    def _answer(self, product: str) -> tuple[str, int]:
        """Say that the photo shows a product, or with another id, or none, that it is not in the catalog."""
        if product not in self.names:
            go_on(self.browser, "n")
            return "not in the catalog", 1
        for place, offer in enumerate(self._offers("#verdict .offers button")):
            if offer == product:
                go_on(self.browser, str(place + 1))
                return "confirmed" if place == 0 else "another candidate", 1
        return "searched for", self._search(product)

    def _search(self, product: str) -> int:
        """Type the product's name, word by word, until it is among what is found; then go to it and take it."""
        press(self.browser, "o")
        keys = 1
        for word in self.names[product].split():
            before = self._products()
            press(self.browser, f"{word} ")
            keys += len(word) + 1
            wait(self.browser, lambda _, before=before: self._products() != before)
            if product in self._found():
                break
        wait(self.browser, lambda _: product in self._found())
        before = self._products()
        press(self.browser, Keys.ENTER)
        wait(self.browser, lambda _: self._products() != before and self.browser.switch_to.active_element.tag_name == "button")
        after = self._found().index(product)
        for _ in range(after):
            press(self.browser, Keys.TAB)
        go_on(self.browser, Keys.ENTER)
        return keys + 2 + after

    def _found(self) -> list[str]:
        return self._offers("#products button")

    def _products(self) -> WebElement:
        return self.browser.find_element(By.ID, "products")

    def _offers(self, selector: str) -> list[str]:
        """Ids of the products that buttons offer: what stands last below the name, before how sure it is."""
        try:
            return [
                one.text.split(" · ")[0].split()[-1]
                for one in self.browser.find_elements(By.CSS_SELECTOR, f"{selector} b + small")
            ]
        except StaleElementReferenceException:  # replaced by what was found meanwhile
            return self._offers(selector)


def agrees(said: Verdict, product: str, names: Mapping[str, str]) -> bool:
    """Whether a verdict says what a label does: its product, or that it is none of the catalog."""
    return said.product == product if product in names else said.kind is Kind.ABSENT
