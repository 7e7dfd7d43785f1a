"""Running a program to its end, also where a thread of it never ends."""

import asyncio
import logging
import os
import sys

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NoReturn, TypeVar


T = TypeVar("T")


def run(program: Coroutine[Any, Any, T]) -> T:
    """
    Return what *program* returns, without waiting for the threads of its name look-ups.

    asyncio.run would: a resolver that hangs, and cannot be cancelled, would keep the exporter from
    ending for half a minute.
    """

    async def with_idle_threads_at_the_end() -> T:
        try:
            return await program
        finally:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    return asyncio.run(with_idle_threads_at_the_end())


def leave_at_once(command: Callable[[], object]) -> NoReturn:
    """
    Run *command*, and end the process with the exit code that it asks for.

    Python itself would wait for threads that hang.
    """
    code: object = 0
    try:
        command()
    except SystemExit as leaving:
        code = leaving.code
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
