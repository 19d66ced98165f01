"""Python's garbage collection, held off while a report is made: its libraries loaded, its objects built."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """A large campaign and large libraries make millions of objects that stay, none of them in a cycle: looking for
    cycles among them again and again would take a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
