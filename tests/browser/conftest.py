"""A browser, and the pages that npalexnet writes.

``NPALEXNET_CHROMIUM`` names the program of Chromium or Chrome. Without it these tests are skipped; with it none is: a
browser that doesn't start fails them.
"""

import os

import pytest

PROGRAM = os.environ.get("NPALEXNET_CHROMIUM")
TIME_LIMIT = 30_000  # milliseconds, for each step in the browser: a page on a busy machine takes one or two thousand


def pytest_collection_modifyitems(items):
    if PROGRAM is None:
        skip = pytest.mark.skip(reason="NPALEXNET_CHROMIUM does not name a Chromium: see tests/browser/README.md")
        for item in items:
            if item.path.parent.name == "browser":
                item.add_marker(skip)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=PROGRAM, timeout=60_000)
        yield found
        found.close()


@pytest.fixture
def opened(browser):
    """Return what opens a file: it may ask for nothing beside itself, log nothing, and raise no error."""
    contexts, complaints = [], []

    def open_file(path, *, width=1280, scheme="light", touch=False):
        address = path.as_uri()
        size = {"width": width, "height": 800}
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=touch)
        contexts.append(context)
        context.set_default_timeout(TIME_LIMIT)
        context.route("**/*", lambda route: route.continue_() if route.request.url == address else route.abort())
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: _within(request.url, address) or complaints.append(f"asks: {request.url}"))
        page.goto(address)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []


def _within(url, address):
    return url == address or url.startswith("data:")


@pytest.fixture(scope="session")
def pages(_trained_run, tmp_path_factory):
    """The pages, each written once, when it is first asked for: see `tests.browser.pages`."""
    from tests.browser.pages import Pages

    return Pages(_trained_run, tmp_path_factory)
