"""Show which scan is at which step, and how many steps are left."""

import logging
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LOGGER = logging.getLogger(__name__)


class ProgressDisplay:
    """Follows the nodes of a workflow; a context manager around its run.

    A bar on a terminal, a plain line for each step otherwise. Pass `update` to nipype as
    `status_callback`.

    Parameters
    ----------
    scans : dict of str to str
        Name of the sub-workflow of each scan, to the name of the scan.
    steps : int
        Steps of all scans.

    """

    def __init__(self, scans: dict[str, str], steps: int) -> None:
        self.scans, self.steps, self.done = scans, steps, 0
        self.finished_nodes: set[str] = set()
        self.started = time.monotonic()
        console = Console(stderr=True)
        self.bar = _bar(console) if console.is_terminal else None
        self.task = self.bar.add_task('', total=steps, status='starting') if self.bar else None

    def __enter__(self) -> Self:
        """Start the display."""
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the display."""
        if self.bar:
            self.bar.stop()

    def update(self, node: Any, status: str) -> None:
        """Handle that a node started ('start'), ended ('end') or failed ('exception')."""
        names = node.fullname.split('.')
        scan = next((self.scans[name] for name in names if name in self.scans), '')
        step = names[-1]
        if status == 'start':
            self._show(f'{scan}: {step}')
        elif node.fullname not in self.finished_nodes:
            self.finished_nodes.add(node.fullname)
            self.done += 1
            self._show(f'{scan}: {step} {"FAILED" if status == "exception" else "done"}')

    def _show(self, text: str) -> None:
        """Show the state of the run."""
        if self.bar and self.task is not None:
            self.bar.update(self.task, completed=self.done, status=text)
        else:
            elapsed = time.strftime('%H:%M:%S', time.gmtime(time.monotonic() - self.started))
            LOGGER.info('[%s, %d of %d steps] %s', elapsed, self.done, self.steps, text)


def _bar(console: Console) -> Progress:
    """Make the bar for a terminal."""
    return Progress(
        TimeElapsedColumn(),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[status]}'),
        console=console,
    )
