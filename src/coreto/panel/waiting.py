"""Waiting for one thing or another, and leaving nothing behind."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def unless(work: Coroutine[Any, Any, T], other: "asyncio.Future[Any]") -> "asyncio.Task[T]":
    """Do ``work`` until it is done or ``other`` is, and return its task, which has ended: it was cancelled if ``other``
    came first and it did not end otherwise."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, other}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await ended([task])
    return task


async def ended(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """Cancel ``tasks`` and return when all have ended, even if the caller is cancelled meanwhile."""
    left = set(tasks)
    for task in left:
        task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in left if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in left:
        if not task.cancelled():
            task.exception()  # seen: nobody else asks for it
    if cancelled is not None:
        raise cancelled
