"""Serve a folder to browsers of this machine, and to nobody else; nothing can be written.

A page of any site can send requests to a server on loopback. It cannot read the answers, but for
one way: a name of its own that it lets point to 127.0.0.1. The name is then in the Host header,
which is why others than this server's are refused.
"""

import logging
import mimetypes
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

LOGGER = logging.getLogger(__name__)

_ADDRESS = '127.0.0.1'
_TYPES = {'.gz': 'application/gzip', '.tsv': 'text/tab-separated-values', '.md': 'text/plain'}
_TEXT = ('text/', 'application/json', 'application/javascript', 'image/svg+xml')
# Nothing from other places; scripts and styles of the pages themselves; what the viewer makes.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self' data: blob:; font-src 'self' data:; "
    "worker-src 'self' blob:; object-src 'self'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'"
)
_HEADERS = {
    'Content-Security-Policy': _POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'Cache-Control': 'no-store',
}
_START_PAGES = ('group_T1w.html',)


class FolderServer(ThreadingHTTPServer):
    """Server of the files of a folder on a port of loopback.

    Parameters
    ----------
    root : Path
        The folder.
    extra : mapping of str to Path
        Further files by the path in their address, without its first slash.
    port : int
        0 for any that is free.

    """

    daemon_threads = True

    def __init__(self, root: Path, extra: Mapping[str, Path], *, port: int = 0) -> None:
        self.root = root.resolve()
        self.extra = extra
        super().__init__((_ADDRESS, port), _Handler)

    @property
    def address(self) -> str:
        """Where a browser finds it."""
        return f'http://{_ADDRESS}:{self.server_port}/'

    def find(self, path: str) -> Path | None:
        """Find the file of an address' path; None if there is none within the folder."""
        name = unquote(path).lstrip('/')
        if name in self.extra:
            return self.extra[name]
        parts = name.split('/')
        if '\0' in name or not parts[-1] or any(part.startswith('.') for part in parts):
            return None
        try:
            found = (self.root / name).resolve()
            return found if found.is_relative_to(self.root) and found.is_file() else None
        except (OSError, RuntimeError):  # a name too long, a link to itself
            return None

    def start_page(self) -> str | None:
        """Name the page to begin with: of the group, or the first participant."""
        pages = [name for name in _START_PAGES if (self.root / name).is_file()]
        pages += sorted(path.name for path in self.root.glob('sub-*.html'))
        return pages[0] if pages else None


class _Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    server: FolderServer
    server_version = 'bids_inpaint_view'
    sys_version = ''

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send what is known of a file."""
        self._answer(body=False)

    def _refuse_writing(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, {'Allow': 'GET, HEAD'})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_writing  # noqa: N815

    def _answer(self, *, body: bool) -> None:
        """Send a file, or say why not."""
        if not self._host_is_ours():
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        path = urlsplit(self.path).path
        start = self.server.start_page() if path == '/' else None
        if start:
            self._refuse(HTTPStatus.FOUND, {'Location': f'/{quote(start)}'})
            return
        found = self.server.find(path)
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        try:
            stream = found.open('rb')
        except OSError:  # not for us to read, or gone
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        with stream, suppress(ConnectionError):  # browsers leave when they have seen enough
            self.send_response(HTTPStatus.OK)
            size = os.fstat(stream.fileno()).st_size
            self._send_headers({'Content-Type': content_type(found), 'Content-Length': str(size)})
            if body:
                shutil.copyfileobj(stream, self.wfile)

    def _host_is_ours(self) -> bool:
        """Tell whether the browser asked for this server by its own name."""
        names = {f'{name}:{self.server.server_port}' for name in (_ADDRESS, 'localhost')}
        hosts = self.headers.get_all('Host') or []
        return len(hosts) == 1 and hosts[0].lower() in names

    def _refuse(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> None:
        """Send a status without content, and end the connection: a body was not read."""
        self.close_connection = True
        self.send_response(status)
        self._send_headers({'Content-Length': '0', **(headers or {})})

    def _send_headers(self, headers: Mapping[str, str]) -> None:
        """Send the headers of this answer and of every one."""
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base names it
        """Note a request, for those who want to see much."""
        LOGGER.debug('%s', format % args)


def content_type(path: Path) -> str:
    """Type of a file by its name; what is not known is bytes."""
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
    if kind is None:
        return 'application/octet-stream'
    return f'{kind}; charset=utf-8' if kind.startswith(_TEXT) else kind
