"""A browser for all tests that look at what a reader sees."""

import os

import pytest

from tools import site

ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"  # there is no other host


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for the whole session.

    Without a Chromium the tests are skipped, unless ``RNNCOURSE_REQUIRE_BROWSER=1`` says that this
    machine must have one.
    """
    path = site.browser()
    if path is None:
        message = f"no Chromium is installed (looked for {', '.join(site.BROWSERS)})"
        if os.environ.get("RNNCOURSE_REQUIRE_BROWSER") == "1":
            pytest.fail(f"{message}, and RNNCOURSE_REQUIRE_BROWSER=1 asks for one", pytrace=False)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", ALONE])
        yield chromium
        chromium.close()
