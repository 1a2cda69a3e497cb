"""SIGINT and SIGTERM that wait for the end of a training step."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, ClassVar, NoReturn

__all__ = ["Interrupts"]


class Interrupts:
    """Inside the block, the first SIGINT or SIGTERM is only noted; a second one is carried out at once.

    A block inside another one notes nothing: the loop around it ends its step first. A signal that was noted and not
    acted upon is carried out at the end of the block. Outside the main thread, where Python allows no handlers, nothing
    is changed.

    Attributes
    ----------
    number : int
        The signal that came, or 0.
    """

    _outermost: ClassVar[Interrupts | None] = None

    def __init__(self) -> None:
        self.number = 0
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if Interrupts._outermost is None and threading.current_thread() is threading.main_thread():
            Interrupts._outermost = self
            for number in (signal.SIGINT, signal.SIGTERM):
                self._earlier[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()
        if Interrupts._outermost is self:
            Interrupts._outermost = None
        if kind is None and self.number:
            _end(self.number)

    def leave(self, message: str, number: int) -> NoReturn:
        """Say something on standard error, and end as a signal asks: one that came here or to another process."""
        print(message, file=sys.stderr)
        _end(number)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        while self._earlier:
            number, handler = self._earlier.popitem()
            signal.signal(number, handler)


def _end(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
