from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from ecr_cleanup.page import render, template
from ecr_cleanup.report_page import PLACEHOLDER, fill
from page.make_report import make_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
HOSTILE = "</script><script>document.title='taken'</script><!-- \u2028 ' \" <img src=x onerror=alert(1)>"

in_a_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and its driver, such as Debian's chromium and chromium-driver"
)


class Page:
    """The page with a report, open in a browser."""

    def __init__(self, driver: Chrome, directory: Path) -> None:
        self.driver = driver
        self._file = directory / "report.html"

    def open(self, report: dict[str, Any], *, width: int = 1440, dark: bool = False) -> float:
        """Open it, and return after how many seconds it was ready, as the page itself measured."""
        self._file.write_text(render(report), encoding="utf-8")
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get_log("browser")
        self.driver.get(self._file.as_uri())
        ready = WebDriverWait(self.driver, 30).until(
            lambda _: self.run("return document.documentElement.dataset.ready")
        )
        return float(ready) / 1000

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def rows(self) -> list[str]:
        """The texts of the shown rows of images."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll('#images tbody tr')].map(it => it.textContent)"
        )
        return texts

    @property
    def count(self) -> str:
        text: str = self.run("return document.getElementById('count').textContent")
        return text

    def search(self, text: str) -> None:
        before = self.count
        self.driver.find_element(By.ID, "search").send_keys(text)
        WebDriverWait(self.driver, 5).until(lambda _: self.count != before)

    def choose(self, name: str, value: str) -> None:
        Select(self.driver.find_element(By.ID, name)).select_by_value(value)

    def errors(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


@pytest.fixture(scope="module")
def driver() -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(executable_path=DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(driver: Chrome, tmp_path: Path) -> Page:
    return Page(driver, tmp_path)


def test_what_is_no_template_is_refused() -> None:
    with pytest.raises(ValueError, match="once"):
        fill("<html></html>", "{}")


def test_nothing_in_a_report_ends_its_element() -> None:
    report = make_report(1)
    report["images"][0]["reason"] = HOSTILE
    page = render(report)
    assert page.count("<script") == template().count("<script")
    before = template().partition(PLACEHOLDER)[0]
    assert json.loads(page[len(before) :].partition("</script>")[0]) == report


@in_a_browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("images", [0, 5, 600])
def test_looks_right_at_any_width(page: Page, images: int, width: int, dark: bool) -> None:
    page.open(make_report(images), width=width, dark=dark)
    assert page.errors() == []
    assert page.run("return document.documentElement.scrollWidth") <= width
    colour = page.run("return getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(16, 21, 28)" if dark else "rgb(246, 247, 249)")
    assert len(page.rows()) == min(images, 50)


@in_a_browser
@pytest.mark.timed
def test_50_000_images_are_there_in_two_seconds(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    report = make_report(50_000)
    # What else the machine does can make it slower and never faster.
    seconds = min(page.open(report) for _ in range(3))
    with capsys.disabled():
        print(f"\n50,000 images: ready after {seconds:.2f} s")
    assert page.errors() == []
    assert "50 of 50,000 images" in page.count
    assert seconds < 2


@in_a_browser
def test_search_finds_by_tag_digest_reason_and_user(page: Page) -> None:
    report = make_report(300)
    image = next(it for it in report["images"] if it["users"] and it["tags"])
    for text in (image["tags"][0], image["digest"][7:40], f"{image['users'][0]} {image['tags'][0]}"):
        page.open(report)
        page.search(text)
        (row,) = page.rows()
        assert image["digest"][:19] in row
    page.open(report)
    page.search("no such thing")
    assert page.count == "No image matches."
    assert page.rows() == []


@in_a_browser
def test_filters_narrow_down_and_can_be_taken_back(page: Page) -> None:
    report = make_report(300)
    page.open(report)
    page.choose("verdict", "remove")
    removed = [it for it in report["images"] if it["verdict"] == "remove"]
    assert f"of {len(removed)} images" in page.count
    page.choose("repository", "team-0/api")
    assert f"of {sum(it['repository'] == 'team-0/api' for it in removed)} images" in page.count
    page.driver.find_element(By.ID, "reset").click()
    assert "of 300 images" in page.count


@in_a_browser
def test_the_largest_come_first_and_columns_sort(page: Page) -> None:
    report = make_report(120)
    page.open(report)
    largest = max(report["images"], key=lambda it: it["bytes"])
    assert largest["digest"][:19] in page.rows()[0]
    heading = page.driver.find_element(By.CSS_SELECTOR, "th[data-column=bytes] button")
    heading.click()
    smallest = min(report["images"], key=lambda it: it["bytes"])
    assert smallest["digest"][:19] in page.rows()[0]
    sorting = "return document.querySelector('th[data-column=bytes]').getAttribute('aria-sort')"
    assert page.run(sorting) == "ascending"
    page.driver.find_element(By.CSS_SELECTOR, "th[data-column=pushed] button").click()
    youngest = max(report["images"], key=lambda it: it["pushed_at"])
    assert youngest["digest"][:19] in page.rows()[0]


@in_a_browser
def test_pages_through_all_images(page: Page) -> None:
    page.open(make_report(120))
    seen = set(page.rows())
    for _ in range(2):
        page.driver.find_element(By.ID, "next").click()
        seen |= set(page.rows())
    assert len(seen) == 120
    assert not page.driver.find_element(By.ID, "next").is_enabled()


@in_a_browser
def test_hostile_texts_are_shown_as_they_are(page: Page) -> None:
    report = make_report(3)
    for image in report["images"]:
        image |= {"reason": HOSTILE, "tags": [HOSTILE], "rule": HOSTILE, "users": [HOSTILE], "accounts": [HOSTILE]}
    report["repositories"][0]["repository"] = HOSTILE
    problem = {"account": "222222222222", "region": None, "reason": HOSTILE, "repair": HOSTILE}
    page.open({**report, "trusted": False, "problems": [problem]})
    assert page.errors() == []
    assert page.driver.title == "ECR clean-up report · 111111111111"
    assert HOSTILE in page.rows()[0]
    assert page.run("return document.querySelectorAll('main script, main img').length") == 0


@in_a_browser
def test_says_what_is_not_known(page: Page) -> None:
    problem = {"account": "222222222222", "region": "eu-central-1", "reason": "is stopped", "repair": "start it"}
    unknown: dict[str, Any] = {
        "trusted": False,
        "problems": [problem] * 9,
        "failures": ["team/app: AccessDenied"] * 9,
        "asked_what_runs": False,
        "images_left_out": 7,
    }
    page.open(make_report(5, **unknown, assumed_opted_in=True))
    notes = page.run("return document.getElementById('notes').textContent")
    for said in (
        "222222222222 / eu-central-1",
        "and 1 more",
        "team/app: AccessDenied",
        "not asked what runs",
        "7 images are not listed",
        "opting in",
    ):
        assert said in notes
