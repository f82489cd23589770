"""Photographs the waiting page in every state: ``python tests/screenshots.py [DIRECTORY]``.

Desktop, phone and dark; the folder (by default ``build/screenshots``) is not committed. ``docs --best`` makes
the four of the README, ``docs --console`` its fifth: the console of a sale that has a made-up hour behind it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from chromium import CHROMIUM_FLAGS
from made_up_sale import open_sale
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import WSGIRequestHandler, make_server

from admitgate.preview import SCENES, Preview

LOOKS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}
BEST = {"waiting": "light", "message": "dark", "admitted": "light", "offline": "dark"}


@contextmanager
def preview(application: Preview | None = None) -> Iterator[str]:
    """The preview on a free port; its address."""
    with make_server(
        "127.0.0.1", 0, application or Preview(), threaded=True, request_handler=Quiet
    ) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def open_scene(page: Page, address: str, name: str, query: str = "") -> None:
    """The scene as it is once the page has asked. The page's clock must be installed: it is hurried."""
    page.goto(f"{address}/{name}/{query}")
    state = {"message": "waiting", "posted": "waiting", "drawn": "waiting", "lottery": "opens"}.get(
        name, name
    )
    is_there = f"document.querySelector('main[data-state={state}]') !== null"
    for _ in range(100):
        if page.evaluate(is_there):
            return
        page.clock.run_for(300)
    raise AssertionError(f"{name} never came")


def photograph(browser: Browser, address: str, folder: Path) -> int:
    """Every scene in every look."""
    count = 0
    for look, options in LOOKS.items():
        with browser.new_context(**options) as context:  # type: ignore[arg-type]
            page = context.new_page()
            page.clock.install()
            for name in SCENES:
                open_scene(page, address, name)
                page.screenshot(path=folder / f"{name}-{look}.png")
                count += 1
    return count


def photograph_best(browser: Browser, address: str, folder: Path) -> int:
    """The four that the README shows, as telephones do."""
    for name, scheme in BEST.items():
        with browser.new_context(viewport={"width": 390, "height": 720}, color_scheme=scheme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            page.clock.install()
            open_scene(page, address, name)
            page.wait_for_timeout(700)  # what moves has come to its end
            page.screenshot(path=folder / f"page-{name}.png")
    return len(BEST)


def photograph_console(browser: Browser, folder: Path) -> int:
    """The console of an event, in a window of a usual size."""
    with open_sale() as address, browser.new_context(viewport={"width": 1280, "height": 960}) as context:
        page = context.new_page()
        page.goto(address)
        page.screenshot(path=folder / "console.png")
    return 1


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    folder = Path(arguments[0] if arguments else "build/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    take = photograph_best if "--best" in sys.argv else photograph
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with preview() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        is_console = "--console" in sys.argv
        count = photograph_console(browser, folder) if is_console else take(browser, address, folder)
        print(f"{count} pictures in {folder}")
        browser.close()


if __name__ == "__main__":
    main()
