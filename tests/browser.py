"""A real browser for the tests of pages."""

import os
import shutil

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.wait import WebDriverWait

DESKTOP = (1400, 1000)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium; it knows nothing yet. Skipped only where there is none and nobody promised one."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        reason = "needs Debian's packages chromium and chromium-driver"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars",
                 f"--user-data-dir={tmp_path_factory.mktemp('chromium')}", "--no-first-run", "--lang=en"):  # fmt: skip
        options.add_argument(flag)
    browser = webdriver.Chrome(options, webdriver.ChromeService(driver))
    browser.set_window_size(*DESKTOP)
    yield browser
    browser.quit()


def wait(browser, condition, seconds: float = 30):
    """What the condition gives as soon as it gives something; a page that is just drawn anew is looked at again."""
    return WebDriverWait(browser, seconds, ignored_exceptions=[StaleElementReferenceException]).until(condition)
