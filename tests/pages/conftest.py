"""The built book in a browser, with every other host unreachable."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser

from browsing import HTML, SETTINGS, Reader, chromium


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The built book, served on this machine alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=HTML)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module", params=SETTINGS, ids=str)
def reader(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Reader]:
    setting = request.param
    context = browser.new_context(
        viewport={"width": setting.width, "height": setting.height}, color_scheme=setting.theme
    )
    context.set_default_timeout(15_000)
    reader = Reader(context.new_page(), address, setting)
    context.route(re.compile(f"^(?!{re.escape(address)}|data:|blob:)"), reader.block)
    reader.page.on("console", reader.hear)
    reader.page.on("pageerror", reader.fail)
    yield reader
    context.close()
