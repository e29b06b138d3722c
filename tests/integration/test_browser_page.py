"""The page in a real browser: by keyboard, on a narrow screen, and what it asks for."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions

from bench.browser import chromium, go_on, press, sign_in, wait
from bench.reviewer import Reviewer, agrees
from packsight.deploy.testbed import Servers
from packsight.producer.http.rights import Right
from packsight.producer.report import Report
from packsight.producer.reviews.desk import ReviewDesk
from packsight.producer.rows import Row
from packsight.producer.thumbnails import Thumbnails
from packsight.shared.catalog.told import LISTS
from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Status
from packsight.shared.settings import Decode, Http
from packsight.shared.storage import layout
from packsight.shared.storage.jobs import Job
from packsight.shared.storage.verdicts import Kind
from tests import recognizer
from tests.answered import first_photos, outcome, picture, products, publish, store_job, store_outcomes
from tests.door import PASSWORD, Serving, serving

pytestmark = pytest.mark.browser

LONG = "a-photo-whose-name-goes-on-and-on-without-any-place-where-a-line-could-be-broken-" * 2


@pytest.fixture(scope="module")
def shop(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("browser")
    with serving(servers.settings(folder / "home", "packsight-browser", http=Http(sign_ins_per_minute=100))) as running:
        running.door.client.store.ensure_bucket()
        publish(running.door.client, folder / "version")
        running.door.accounts.add_person("ann", PASSWORD, frozenset(Right), None)
        yield running


@pytest.fixture(scope="module")
def job(shop: Serving) -> Job:
    photos = first_photos()
    outcomes = [outcome(n, Status.AMBIGUOUS, 0.5, first=n, words=["Arvelo"], nearest=photos[n:]) for n in range(6)]
    return store_job(shop.door.client, [f"{n}-{LONG}.jpg" for n in range(6)], outcomes, name=LONG, pictures=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    with chromium() as opened:
        yield opened


def width(browser: webdriver.Chrome, pixels: int) -> None:
    screen = {"width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": pixels < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)


def logged(browser: webdriver.Chrome, kind: str) -> list[str]:
    """What the browser has noted since it was last asked."""
    untyped: Any = browser
    return [str(entry["message"]) for entry in untyped.get_log(kind)]


def body(browser: webdriver.Chrome) -> WebElement:
    return browser.find_element(By.TAG_NAME, "body")


def signed_in(browser: webdriver.Chrome, shop: Serving, path: str) -> None:
    sign_in(browser, shop.stranger.base, path, "ann", PASSWORD)


def test_a_person_signs_in_reviews_and_takes_back_by_keyboard_alone(shop: Serving, job: Job, browser: webdriver.Chrome) -> None:
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={job.id}")
    assert "6 wait" in body(browser).text
    go_on(browser, Keys.ENTER)
    go_on(browser, "2")
    go_on(browser, "n")
    go_on(browser, "b")
    go_on(browser, "u")
    go_on(browser, "s")
    press(browser, "o")
    field = browser.switch_to.active_element
    assert field.get_attribute("name") == "q"
    field.send_keys("beard oil")
    wait(browser, lambda _: len(browser.find_elements(By.CSS_SELECTOR, "#products button")) == 1)
    field.send_keys(Keys.ENTER)
    wait(browser, lambda _: "Kermolo" in browser.switch_to.active_element.text)
    before = browser.find_element(By.TAG_NAME, "html")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait(browser, lambda _: browser.find_element(By.TAG_NAME, "html") != before)
    reviewed = ReviewDesk(shop.door.client, "default").reviewed()
    said = sorted((review.verdict.kind, review.verdict.product == "p10") for review in reviewed.photos.values())
    assert said == sorted([(Kind.RIGHT, False), (Kind.OTHER, False), (Kind.ABSENT, False), (Kind.OTHER, True)])
    assert {review.verdict.by for review in reviewed.photos.values()} == {"ann"}


def test_enter_says_what_the_headline_says_where_no_product_was_found(shop: Serving, browser: webdriver.Chrome) -> None:
    outcomes = [outcome(n, Status.NO_MATCH, 0.2, first=n) for n in range(2)]
    stored = store_job(shop.door.client, ["absent-0.jpg", "absent-1.jpg"], outcomes, pictures=True)
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={stored.id}")
    assert browser.find_element(By.CSS_SELECTOR, ".said h2").text == "Not in the catalog"
    assert browser.find_element(By.CSS_SELECTOR, "button.primary").text == "Enter\nNot in the catalog"
    go_on(browser, Keys.ENTER)
    go_on(browser, "1")
    said = [one.kind for one in ReviewDesk(shop.door.client, "default").store.all() if one.name.startswith("absent-")]
    assert said == [Kind.ABSENT, Kind.RIGHT]


def test_keys_press_by_their_place_where_a_layout_has_no_latin_letters(shop: Serving, browser: webdriver.Chrome) -> None:
    stored = store_job(shop.door.client, ["layout.jpg"], [outcome(0, Status.AMBIGUOUS, 0.5)], pictures=True)
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={stored.id}")
    before = browser.find_element(By.TAG_NAME, "html")
    browser.execute_script("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'т', code: 'KeyN', bubbles: true}))")
    wait(browser, lambda _: browser.find_element(By.TAG_NAME, "html") != before)
    (said,) = [one for one in ReviewDesk(shop.door.client, "default").store.all() if one.name == "layout.jpg"]
    assert said.kind is Kind.ABSENT


def test_no_key_judges_a_photo_that_is_not_to_be_seen_yet(shop: Serving, browser: webdriver.Chrome) -> None:
    stored = store_job(shop.door.client, ["late.jpg"], [outcome(0, Status.AMBIGUOUS, 0.5)], pictures=True)
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={stored.id}")
    photo = browser.find_element(By.CSS_SELECTOR, ".shot img")
    browser.execute_script("Object.defineProperty(arguments[0], 'complete', {value: false, configurable: true})", photo)
    press(browser, Keys.ENTER)
    press(browser, "n")
    assert browser.execute_script("return document.forms.verdict.dataset.sent") is None
    browser.execute_script("delete arguments[0].complete", photo)
    go_on(browser, "n")
    (said,) = [one for one in ReviewDesk(shop.door.client, "default").store.all() if one.name == "late.jpg"]
    assert said.kind is Kind.ABSENT


def test_whoever_knows_the_labels_reviews_a_job_by_keyboard_and_every_verdict_is_theirs(
    shop: Serving, browser: webdriver.Chrome
) -> None:
    outcomes = [outcome(n, Status.AMBIGUOUS, 0.5, first=n) for n in range(10)]
    stored = store_job(shop.door.client, [f"known-{n}.jpg" for n in range(10)], outcomes, pictures=True)
    photos = [str(row.outcome.sha256) for row in shop.door.client.outcomes(stored)]
    names = {one.id: one.name for one in products()}
    labels = dict(zip(photos, ["p0", "p2", "p10", "", "p4", "unknown", "p8", "p7", "p0", "p9"], strict=True))
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={stored.id}")
    given = Reviewer(browser, labels, names).review(60)
    assert "Nothing waits for a person" in body(browser).text
    assert [one.undone for one in given] == [False] * 9 + [True]
    ways = Counter(one.way for one in given)
    assert ways == {"confirmed": 4, "another candidate": 2, "searched for": 2, "not in the catalog": 2}
    assert all(one.keys > 4 for one in given if one.way == "searched for")
    reviewed = ReviewDesk(shop.door.client, "default").reviewed().photos
    assert all(agrees(reviewed[photo].verdict, labels[photo], names) for photo in photos)
    said = reviewed[photos[0]].verdict
    assert not agrees(said, "p1", names) and not agrees(said, "", names)


def test_a_chosen_photo_is_recognised_and_drawn(shop: Serving, browser: webdriver.Chrome, tmp_path: Path) -> None:
    (tmp_path / "tin.jpg").write_bytes(picture("tin"))
    width(browser, 1280)
    signed_in(browser, shop, "/")
    with recognizer.running(shop.door.settings):
        browser.find_element(By.NAME, "photo").send_keys(str(tmp_path / "tin.jpg"))
        wait(browser, lambda _: "/answers/" in browser.current_url)
    assert "Not in the catalog" in body(browser).text
    drawn = browser.find_element(By.CSS_SELECTOR, ".shot img")
    wait(browser, lambda _: browser.execute_script("return arguments[0].complete && arguments[0].naturalWidth", drawn) == 300)


@pytest.mark.parametrize("gives", ["drop", "paste"])
def test_one_photo_that_is_dropped_or_pasted_is_recognised(shop: Serving, browser: webdriver.Chrome, gives: str) -> None:
    client = shop.door.client
    before = set(client.jobs.names())
    width(browser, 1280)
    signed_in(browser, shop, "/")
    with recognizer.running(shop.door.settings) as worker:
        give(browser, gives, **{f"one-{gives}": gives})
        wait(browser, lambda _: "/answers/" in browser.current_url)
    assert browser.find_element(By.TAG_NAME, "h1").text == f"one-{gives}.jpg"
    (reference,) = worker.seen
    assert client.store.read(reference.removeprefix(f"s3://{client.store.bucket}/")).data == gives.encode()
    assert set(client.jobs.names()) == before, "one photo is no job"


def test_words_that_are_pasted_are_no_photo(shop: Serving, browser: webdriver.Chrome) -> None:
    width(browser, 1280)
    signed_in(browser, shop, "/")
    logged(browser, "browser")
    give(browser, "paste")
    assert not browser.find_elements(By.CSS_SELECTOR, "form.busy") and not fault(browser)
    assert logged(browser, "browser") == []


def test_a_photo_that_is_too_large_is_not_sent(shop: Serving, browser: webdriver.Chrome, tmp_path: Path) -> None:
    with (tmp_path / "scan.tif").open("wb") as file:
        file.truncate(shop.door.settings.fetch.max_bytes + 50_001)
    width(browser, 1280)
    signed_in(browser, shop, "/")
    browser.find_element(By.NAME, "photo").send_keys(str(tmp_path / "scan.tif"))
    wait(browser, lambda _: "The photo has 32.1 MB, more than the 32 MB that are taken" in body(browser).text)
    assert browser.current_url.endswith("/") and not browser.find_elements(By.CSS_SELECTOR, "form.busy")


def test_a_job_is_searched_while_one_types(shop: Serving, job: Job, browser: webdriver.Chrome) -> None:
    width(browser, 1280)
    signed_in(browser, shop, f"/jobs/{job.id}")
    wait(browser, lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".results li")) == 6)
    browser.find_element(By.NAME, "q").send_keys("castoly")
    wait(browser, lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".results li")) == 1)
    assert "q=castoly" in browser.current_url


def test_the_way_back_from_one_product_keeps_the_order_that_was_chosen(
    shop: Serving, job: Job, browser: webdriver.Chrome
) -> None:
    width(browser, 1280)
    signed_in(browser, shop, f"/jobs/{job.id}")
    wait(browser, lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".results li")) == 6)
    browser.find_element(By.CSS_SELECTOR, ".results .only").click()
    wait(browser, lambda _: browser.find_elements(By.LINK_TEXT, "all products"))
    words = browser.find_element(By.ID, "counted").text
    order = browser.find_element(By.NAME, "sort")
    browser.execute_script("arguments[0].value = 'sure'; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", order)
    wait(browser, lambda _: "sort=sure" in browser.current_url)
    assert browser.find_element(By.ID, "counted").text == words, "else it would be renewed for its words"
    back = str(browser.find_element(By.LINK_TEXT, "all products").get_attribute("href"))
    assert "sort=sure" in back and "product=" not in back
    assert browser.find_elements(By.CSS_SELECTOR, "#counted a") == [], "a region that is listened to holds words only"


def test_how_many_are_found_is_said_where_a_screen_reader_listens(shop: Serving, job: Job, browser: webdriver.Chrome) -> None:
    width(browser, 1280)
    for path, words, before, after in (
        (f"/jobs/{job.id}", "castoly", "6 photos", "1 photo"), ("/products", "beard oil", "12 products", "1 found of 12"),
        (f"/review?job={job.id}", "beard oil", "", "1 found"),
    ):  # fmt: skip
        signed_in(browser, shop, path)
        heard = browser.find_element(By.ID, "counted")
        assert heard.aria_role == "status" and before in heard.text
        browser.find_element(By.NAME, "q").send_keys(words)
        wait(browser, lambda _, heard=heard, after=after: after in heard.text)  # the element that was there before
    browser.execute_script(SILENT)
    browser.find_element(By.NAME, "q").send_keys(" x")
    wait(browser, lambda _: browser.find_elements(By.CSS_SELECTOR, "#products [role=alert]"))
    assert heard.text == ""


SILENT = "window.fetch = async () => new Response('', {status: 503})"


def test_a_search_that_fails_leaves_no_product_that_nobody_searched_for(shop: Serving, browser: webdriver.Chrome) -> None:
    stored = store_job(shop.door.client, ["search.jpg"], [outcome(0, Status.AMBIGUOUS, 0.5)], pictures=True)
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={stored.id}&q=beard+oil")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#products button")) == 1
    browser.execute_script(SILENT)
    press(browser, "o")
    press(browser, "cream", Keys.ENTER)
    wait(browser, lambda _: "The server does not answer" in browser.find_element(By.ID, "products").text)
    assert browser.find_elements(By.CSS_SELECTOR, "#products button") == []
    assert browser.switch_to.active_element.get_attribute("name") == "q"
    logged(browser, "browser")
    browser.execute_script("document.getElementById('counted').remove(); document.getElementById('products').replaceChildren()")
    press(browser, "s", Keys.ENTER)
    wait(browser, lambda _: "The server does not answer" in browser.find_element(By.ID, "products").text)
    assert [told for told in logged(browser, "browser") if "TypeError" in told] == [], "a form may have nothing that is counted"


def test_a_filter_that_is_refused_says_why_and_keeps_the_address(shop: Serving, job: Job, browser: webdriver.Chrome) -> None:
    width(browser, 1280)
    signed_in(browser, shop, f"/jobs/{job.id}")
    browser.find_element(By.NAME, "least").send_keys("abc")
    wait(browser, lambda _: "abc is no number" in browser.find_element(By.ID, "found").text)
    assert "least" not in browser.current_url
    browser.find_element(By.NAME, "least").send_keys(Keys.BACKSPACE * 3, "40")
    wait(browser, lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".results li")) == 6)


def test_a_filter_after_the_session_has_ended_leads_to_the_door_and_back(
    shop: Serving, job: Job, browser: webdriver.Chrome
) -> None:
    width(browser, 1280)
    signed_in(browser, shop, f"/jobs/{job.id}")
    browser.delete_all_cookies()
    browser.find_element(By.NAME, "q").send_keys("castoly")
    wait(browser, lambda _: "/sign-in" in browser.current_url)
    assert "q%3Dcastoly" in browser.current_url


def test_what_can_be_done_with_a_job_follows_its_filter_and_its_end(shop: Serving, browser: webdriver.Chrome) -> None:
    client = shop.door.client
    outcomes = [outcome(0, Status.MATCHED, 0.99), outcome(1, Status.FAILED, 0, failure=ErrorCode.HOST_UNREACHABLE)]
    stored = client.submit([f"https://shop.example/{name}.jpg" for name in ("fine", "away")])
    width(browser, 1280)
    signed_in(browser, shop, f"/jobs/{stored.id}")

    def actions() -> str:
        return str(browser.execute_script("return document.getElementById('actions').textContent"))

    assert "Cancel" in actions() and "Ask" not in actions()
    store_outcomes(client, stored, outcomes)
    client.ledger.jobs.forget(stored.id)
    wait(browser, lambda _: "Ask the failed ones again" in actions())
    assert "Cancel" not in actions()
    browser.find_element(By.CSS_SELECTOR, "#failures select").send_keys(Keys.DOWN)
    wait(browser, lambda _: "Ask again: its server cannot be reached" in actions())
    assert browser.find_element(By.CSS_SELECTOR, "#actions [name=code]").get_attribute("value") == "host_unreachable"


def give(browser: webdriver.Chrome, how: str, /, **photos: str) -> None:
    """Drop files of this content on the page, or paste them."""
    browser.execute_script(
        "const some = new DataTransfer(), [how, photos] = arguments, event = { bubbles: true, cancelable: true };"
        "for (const [name, text] of Object.entries(photos))"
        "  some.items.add(new File([text], `${name}.jpg`, { lastModified: 7 }));"
        "document.body.dispatchEvent(how === 'drop' ? new DragEvent('drop', {dataTransfer: some, ...event})"
        "  : new ClipboardEvent('paste', {clipboardData: some, ...event}))", how, photos
    )  # fmt: skip


def drop(browser: webdriver.Chrome, **photos: str) -> None:
    """Drop files of this content on the page."""
    give(browser, "drop", **photos)


def fault(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, ".ask .fault").text


def test_several_photos_that_are_dropped_or_chosen_become_a_job(
    shop: Serving, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    client = shop.door.client
    for number in range(3):
        (tmp_path / f"tin {number}.jpg").write_bytes(picture(f"tin {number}"))
    width(browser, 390)
    signed_in(browser, shop, "/")
    drop(browser, a="a", b="b")
    wait(browser, lambda _: "/jobs/" in browser.current_url)
    assert "a.jpg and 1 more" in body(browser).text
    browser.get(shop.stranger.base)
    browser.find_element(By.NAME, "several").click()
    browser.find_element(By.NAME, "photo").send_keys("\n".join(str(tmp_path / f"tin {number}.jpg") for number in range(3)))
    wait(browser, lambda _: "/jobs/" in browser.current_url)
    job = client.load(browser.current_url.rpartition("/")[2])
    (batch,) = job.batches
    assert [image.name for image in batch.images] == [f"tin {number}.jpg" for number in range(3)]
    key = batch.images[0].reference.removeprefix(f"s3://{client.store.bucket}/")
    assert client.store.read(key).data == (tmp_path / "tin 0.jpg").read_bytes()
    assert (job.manifest.max_products, job.manifest.catalog, job.manifest.source) == (10, "default", "HTTP, ann")


def test_several_photos_become_one_job_however_often_its_answer_is_lost(shop: Serving, browser: webdriver.Chrome) -> None:
    signed_in(browser, shop, "/")
    before = set(shop.door.client.jobs.names())
    browser.execute_script(
        "const send = window.fetch; const lost = arguments[0]; window.fetch = async (...how) => {"
        "  const answer = await send(...how), end = how[0] === '/v1/jobs' && lost.shift();"
        "  if (end === 'cut') throw new TypeError('the connection was cut');"
        "  if (end === 'half') return new Response('{\"id\":', { status: 202 });"
        "  return end ? new Response('<html>', { status: Number(end) }) : answer; };",
        ["cut", "half", "502", "504", "503"],
    )  # fmt: skip
    drop(browser, c="c", d="d")
    wait(browser, lambda _: fault(browser))
    assert fault(browser) == "The server does not answer. Try again in a moment. It may have been begun: look at Jobs."
    drop(browser, c="c", d="d")
    wait(browser, lambda _: "/jobs/" in browser.current_url)
    (made,) = set(shop.door.client.jobs.names()) - before
    assert made in browser.current_url


def test_of_several_photos_that_cannot_all_be_taken_no_job_is_made(shop: Serving, browser: webdriver.Chrome) -> None:
    before = list(shop.door.client.jobs.names())
    width(browser, 1280)
    signed_in(browser, shop, "/")
    drop(browser, a="a", empty="", b="b")
    wait(browser, lambda _: "empty.jpg: The photo has no content." in fault(browser))
    drop(browser, a="a", scan="x" * (shop.door.settings.fetch.max_bytes + 1))
    assert "None of these 2 photos was sent: scan.jpg has 32.1 MB" in fault(browser)
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    drop(browser, a="a", b="b")
    wait(browser, lambda _: "a.jpg: You are not signed in any more. Load the page again." in fault(browser))
    assert not browser.find_elements(By.CSS_SELECTOR, "form.busy")
    assert list(shop.door.client.jobs.names()) == before


def test_of_several_photos_none_is_taken_for_one_where_somebody_may_make_no_job(shop: Serving, browser: webdriver.Chrome) -> None:
    shop.door.accounts.add_person("eve", PASSWORD, frozenset({Right.RECOGNISE}), None)
    width(browser, 1280)
    sign_in(browser, shop.stranger.base, "/", "eve", PASSWORD)
    assert "become a job" not in body(browser).text
    drop(browser, a="a", b="b", c="c")
    assert "None of these 3 photos was sent: one is recognised here at a time" in fault(browser)
    assert not browser.find_elements(By.CSS_SELECTOR, "form.busy")


def test_a_photo_whose_sending_was_stopped_can_be_followed_by_another(
    shop: Serving, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    width(browser, 1280)
    signed_in(browser, shop, "/")
    stopped = "addEventListener('submit', (event) => { if (!event.defaultPrevented) window.sent++; event.preventDefault(); })"
    browser.execute_script(f"window.sent = 0; {stopped}")
    for count in (1, 2):
        (tmp_path / f"{count}.jpg").write_bytes(picture("tin"))
        browser.execute_script("document.querySelector('[name=photo]').value = ''")  # else the driver adds to what was chosen
        browser.find_element(By.NAME, "photo").send_keys(str(tmp_path / f"{count}.jpg"))
        assert browser.execute_script("return window.sent") == count
    browser.find_element(By.NAME, "address").send_keys("h")
    assert not browser.find_elements(By.CSS_SELECTOR, "form.busy")


def test_who_has_signed_out_is_told_so_and_sees_nothing_by_going_back(shop: Serving, job: Job, browser: webdriver.Chrome) -> None:
    width(browser, 1280)
    signed_in(browser, shop, f"/review?job={job.id}")
    browser.execute_script(f"window.known = window.fetch; {SILENT}")
    browser.find_element(By.CSS_SELECTOR, "[data-sign-out]").click()
    wait(browser, expected_conditions.alert_is_present())
    browser.switch_to.alert.accept()
    browser.execute_script("window.fetch = window.known")
    browser.find_element(By.CSS_SELECTOR, "[data-sign-out]").click()
    wait(browser, lambda _: "/sign-in" in browser.current_url)
    browser.back()
    wait(browser, lambda _: "/sign-in?next" in browser.current_url)


def test_words_of_a_list_are_whole_on_a_phone(shop: Serving, browser: webdriver.Chrome) -> None:
    store = shop.door.client.store
    version = next(key.split("/")[3] for key in store.list(layout.versions("default")))
    row = {"list": "twins", "id": "p1", "name": "Unwahrscheinlichkeit", "like": "p2"}
    store.write(layout.reports("default", version, LISTS), gzip.compress(json.dumps(row).encode()))
    width(browser, 390)
    signed_in(browser, shop, "/products/lists/twins")
    script = "const words = document.createRange(); words.selectNodeContents(arguments[0]); return words.getClientRects().length"
    (cell,) = [one for one in browser.find_elements(By.TAG_NAME, "td") if one.text == "Unwahrscheinlichkeit"]
    assert browser.execute_script(script, cell) == 1


def test_no_page_scrolls_sideways_on_a_phone_nor_asks_another_host(shop: Serving, job: Job, browser: webdriver.Chrome) -> None:
    width(browser, 390)
    signed_in(browser, shop, "/")
    logged(browser, "performance")
    logged(browser, "browser")
    for path in ("/", "/jobs", f"/jobs/{job.id}", f"/jobs/{job.id}/photos/0", f"/review?job={job.id}&q=a", "/products?q=cream",
                 "/product?id=p1", "/jobs/nothing"):  # fmt: skip
        browser.get(f"{shop.stranger.base}{path}")
        root = browser.find_element(By.TAG_NAME, "html")
        assert (root.get_property("scrollWidth"), root.get_property("clientWidth")) == (390, 390), path
    browser.get(f"{shop.stranger.base}/jobs/{job.id}")
    name = "const name = document.querySelector('.what a'); name.textContent = 'Kermolo Beard Oil '.repeat(9);"
    assert browser.execute_script(f"{name} return name.scrollWidth <= name.clientWidth")
    asked = [message for message in logged(browser, "performance") if '"Network.requestWillBeSent"' in message]
    hosts = {urlsplit(part.split('"')[0]).netloc for message in asked for part in message.split('"url":"')[1:]}
    assert hosts == {urlsplit(shop.stranger.base).netloc}
    complaints = [message for message in logged(browser, "browser") if "/jobs/nothing" not in message]
    assert complaints == []


def test_a_report_says_so_where_a_filter_leaves_no_photo(browser: webdriver.Chrome, tmp_path: Path) -> None:
    report = Report(tmp_path / "report.html", Thumbnails(lambda _: b"", lambda _: b"", Decode()))
    report.add(Row("job", 0, "tin.jpg", outcome(0, Status.MATCHED, 0.99)))
    report.finish()
    width(browser, 1280)
    browser.get((tmp_path / "report.html").as_uri())
    seen = {}
    for name in ("all", "failed", "ambiguous", "no_match", "matched"):
        browser.find_element(By.CSS_SELECTOR, f"[for=f-{name}]").click()
        seen[name] = re.findall(r"tin\.jpg|.*no photo.*", browser.find_element(By.TAG_NAME, "main").text)
    assert seen == {
        "all": ["tin.jpg"], "matched": ["tin.jpg"], "failed": ["Failed: no photo."], "ambiguous": ["Ambiguous: no photo."],
        "no_match": ["Not in the catalog: no photo."],
    }  # fmt: skip
