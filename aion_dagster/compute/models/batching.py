"""Batches that fit: the size is halved where memory runs out, and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_SIGNS: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""How torch's CPU allocator and others word it, as a RuntimeError."""


@dataclass
class BatchSize:
    """How many pictures are computed together at present."""

    value: int


def in_batches(
    items: Iterable[T], compute: Callable[[list[T]], list[R]], size: BatchSize
) -> Iterator[R]:
    """Results in the order of `items`, which are taken batch by batch.

    Args:
        items: consumed lazily, `size` at a time.
        compute: one result per item of a batch.
        size: halved when memory runs out, for the batches that follow too.

    Raises:
        MemoryError: one item alone does not fit (or whatever torch raises for it).
    """
    waiting = iter(items)
    while batch := list(islice(waiting, size.value)):
        yield from _fitting(batch, compute, size)


def _fitting(batch: list[T], compute: Callable[[list[T]], list[R]], size: BatchSize) -> list[R]:
    try:
        return compute(batch)
    except (MemoryError, RuntimeError) as error:
        if len(batch) == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler: the traceback would keep what the failed batch had taken.
    _release()
    size.value = min(size.value, (len(batch) + 1) // 2)
    middle = (len(batch) + 1) // 2
    return [*_fitting(batch[:middle], compute, size), *_fitting(batch[middle:], compute, size)]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether fewer at once may help; torch's own error for graphics memory is a RuntimeError too."""
    return isinstance(error, MemoryError) or any(s in str(error).lower() for s in _SIGNS)


def _release() -> None:
    """Give back what the allocator of a graphics card keeps for later."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
