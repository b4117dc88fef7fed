"""Live progress in the terminal, by rich."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

BAR_COLUMNS, LEAST_BAR_COLUMNS = 20, 5
_SHOWN = {"loss": "loss", "eval_rouge1": "validation R-1"}


def start_console(**settings: Any) -> Console:
    """The terminal, on which names and paths are what they are: `[bold]` in one is no markup, `:x:` no picture."""
    return Console(markup=False, emoji=False, **settings)


class LiveProgress:
    """A line that is redrawn: arm, stage, steps, loss, time. Where there is no terminal, one line at the end of every stage."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._stage, self._done, self._before, self._total, self._started = "", 0, 0, 0, 0.0
        self._values: dict[str, float] = {}
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "LiveProgress":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._finish()
        self._live.stop()

    def start(self, stage: str, total: int | None, *, done: int = 0) -> None:
        """Close the stage before and begin another."""
        self._finish()
        self._stage, self._done, self._total, self._started, self._values = stage, done, total or 0, time.monotonic(), {}
        self._before = done
        self._draw()

    def advance(self, done: int, total: int, values: dict[str, float]) -> None:
        """Draw the step."""
        self._done, self._total = done, total
        self._values |= {label: float(values[key]) for key, label in _SHOWN.items() if key in values}
        self._draw()

    def say(self, text: str) -> None:
        """Close the stage and print a line below it."""
        self._finish()
        self.console.print(Text(f"  ✓ {text}"), soft_wrap=True)

    def _describe(self) -> str:
        steps = f" {self._done:,}/{self._total:,}" if self._total else ""
        values = "".join(f"  {label} {value:.3g}" for label, value in self._values.items())
        seconds = time.monotonic() - self._started
        fresh = self._done - self._before  # a stage that was interrupted does not take again what it has
        pace = f"  {_format_rate(fresh / seconds)}/s" if self._total and fresh > 0 and seconds >= 1 else ""
        left = f", {_format_time(seconds * (self._total - self._done) / fresh)} left" if pace and self._done < self._total else ""
        return f"{self._stage}{steps}{values}  {_format_time(seconds)}{pace}{left}"

    def _draw(self) -> None:
        if self.console.is_terminal:
            self._live.update(self._render())

    def _render(self) -> RenderableType:
        line = Text(f"  … {self._describe()}", no_wrap=True, overflow="ellipsis")
        room = min(BAR_COLUMNS, self.console.width - line.cell_len - 2)
        if not self._total or room < LEAST_BAR_COLUMNS:
            return line
        grid = Table.grid(padding=(0, 1))
        grid.add_row(line, ProgressBar(total=self._total, completed=self._done, width=room))
        return grid

    def _finish(self) -> None:
        if self._stage:
            self.console.print(Text(f"  ✓ {self._describe()}"))
        self._stage = ""


def _format_rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _format_time(seconds: float) -> str:
    minutes = round(seconds) // 60
    if minutes < 10:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
