"""A fact of a solution, worked out once, by one thread at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from ..sparse.threads import one_blas_thread

Value = TypeVar("Value")


class once(Generic[Value]):
    """A property computed on first use and kept, under the lock of the solution's system.

    `functools.cached_property` takes no lock (or, up to Python 3.11, one for all instances): two threads would move the
    system under each other.
    """

    def __init__(self, function: Callable[[Any], Value]):
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> once[Value]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: Any, owner: type) -> once[Value] | Value:
        if instance is None:
            return self
        with instance.problem.system.lock:
            if self.name not in instance.__dict__:
                with one_blas_thread():
                    instance.__dict__[self.name] = self.function(instance)
            return instance.__dict__[self.name]
