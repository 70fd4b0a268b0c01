"""Serve a folder read-only to browsers on this machine.

A page of any site can send requests to a server on loopback. It can read the answers only if its
own host name points to 127.0.0.1 (DNS rebinding). That name is then in the Host header, so other
names than this server's are refused.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote, urlsplit

from bids_inpaint.bids.names import GROUP_PAGE, PAGES

LOGGER = logging.getLogger(__name__)

_ADDRESS = '127.0.0.1'
_TYPES = {'.tsv': 'text/tab-separated-values', '.md': 'text/plain'}
_TEXT = ('text/', 'application/json', 'application/javascript', 'image/svg+xml')
# Nothing from other sites; inline scripts and styles of the pages; blobs of the viewer.
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


class FolderServer(ThreadingHTTPServer):
    """Server of the files of a folder on a port of loopback.

    Parameters
    ----------
    root : Path
        The folder.
    extra : mapping of str to Path
        Further files, by the path of their address without its first slash.
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
        """Address for a browser."""
        return f'http://{_ADDRESS}:{self.server_port}/'

    def find(self, path: str) -> Path | None:
        """Find the file at the path of an address; None if there is none in the folder."""
        name = unquote(path).lstrip('/')
        if name in self.extra:
            return self.extra[name]
        parts = name.split('/')
        if '\0' in name or not parts[-1] or any(part.startswith('.') for part in parts):
            return None
        try:
            found = (self.root / name).resolve()
            return found if found.is_relative_to(self.root) and found.is_file() else None
        except (OSError, RuntimeError):  # name too long, link to itself
            return None

    def start_page(self) -> str | None:
        """Name the first page: of the group, or of the first participant."""
        if (self.root / GROUP_PAGE).is_file():
            return GROUP_PAGE
        return min((path.name for path in self.root.glob(PAGES)), default=None)


class _Handler(SimpleHTTPRequestHandler):
    """Answers one browser."""

    server: FolderServer
    server_version = 'bids_inpaint_view'
    sys_version = ''
    extensions_map = SimpleHTTPRequestHandler.extensions_map | _TYPES

    def _refuse_writing(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, {'Allow': 'GET, HEAD'})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_writing  # noqa: N815

    def send_head(self) -> BinaryIO | None:
        """Send the headers of a file, and return it open; or send an error."""
        if not self._host_is_ours():
            return self._refuse(HTTPStatus.FORBIDDEN)
        path = urlsplit(self.path).path
        start = self.server.start_page() if path == '/' else None
        if start:
            return self._refuse(HTTPStatus.FOUND, {'Location': f'/{quote(start)}'})
        found = self.server.find(path)
        if found is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        try:
            stream = found.open('rb')
        except OSError:  # not readable, or gone
            return self._refuse(HTTPStatus.FORBIDDEN)
        self.send_response(HTTPStatus.OK)
        kind = self.guess_type(found)
        charset = '; charset=utf-8' if kind.startswith(_TEXT) else ''
        self.send_header('Content-Type', f'{kind}{charset}')
        self.send_header('Content-Length', str(os.fstat(stream.fileno()).st_size))
        self.end_headers()
        return stream

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send the content of a file; browsers may disconnect before its end."""
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)

    def _host_is_ours(self) -> bool:
        """Whether the browser asked for this server by its own name."""
        names = {f'{name}:{self.server.server_port}' for name in (_ADDRESS, 'localhost')}
        hosts = self.headers.get_all('Host') or []
        return len(hosts) == 1 and hosts[0].lower() in names

    def _refuse(
        self, status: HTTPStatus, headers: Mapping[str, str] | None = None
    ) -> BinaryIO | None:
        """Send a status, no content, and end the connection: a body was not read."""
        self.close_connection = True
        self.send_response(status)
        for name, value in {'Content-Length': '0', **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        return None

    def end_headers(self) -> None:
        """Add the headers that every answer has."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base names it
        """Log a request, at the level of debugging."""
        LOGGER.debug('%s', format % args)
