"""Pictures of the pages for docs/: ``python docs/screenshots.py OUT sub-01 GROUP_OUT``.

OUT is an output folder with the page of a participant who has lesions, GROUP_OUT one with the page
of a group. Needs Chromium, as Debian's package of that name.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / 'images'
# Without a GPU, WebGL is drawn so.
OPTIONS = ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader']
PATIENCE_MS = 300_000


def main() -> int:
    """Take the pictures."""
    out, participant, group_out = sys.argv[1:]
    view = 'import sys; from bids_inpaint.cli.view import main; sys.exit(main(sys.argv[1:]))'
    command = [sys.executable, '-c', view, out, '--no-browser']
    with (
        sync_playwright() as playwright,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        browser = playwright.chromium.launch(
            executable_path=shutil.which('chromium'), args=OPTIONS
        )
        page = browser.new_page(viewport={'width': 1000, 'height': 1480})
        page.set_default_timeout(PATIENCE_MS)
        page.goto((Path(out) / f'{participant}.html').resolve().as_uri())
        page.wait_for_timeout(2000)
        page.screenshot(path=IMAGES / 'report-participant.png')
        page.set_viewport_size({'width': 1100, 'height': 1000})
        page.goto((Path(group_out) / 'group_T1w.html').resolve().as_uri())
        page.wait_for_selector('html[data-ready=yes]')
        page.screenshot(path=IMAGES / 'report-group.png')
        try:
            page.goto(f'{server.stdout.readline().strip()}{participant}.html')
            page.wait_for_selector('.viewer[data-ready=yes]')
            page.check('.viewer [data-action=difference] >> nth=0')
            page.wait_for_selector('.viewer[data-shown="after difference"]')
            page.wait_for_timeout(1000)
            page.locator('.viewer').first.screenshot(path=IMAGES / 'report-viewer.png')
        finally:
            server.terminate()
        browser.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
