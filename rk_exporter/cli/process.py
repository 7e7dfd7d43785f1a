"""Running a program to its end, even if one of its threads never ends."""

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
    Return the result of *program*, without waiting for the threads of its name look-ups.

    asyncio.run waits for them: a resolver that hangs cannot be cancelled, and would delay the end
    of the exporter by half a minute.
    """

    async def replace_executor_at_the_end() -> T:
        try:
            return await program
        finally:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

    return asyncio.run(replace_executor_at_the_end())


def exit_without_waiting(command: Callable[[], object]) -> NoReturn:
    """
    Run *command*, and end the process with the exit code that it asks for.

    A normal exit would wait for threads that hang.
    """
    code: object = 0
    try:
        command()
    except SystemExit as request:
        code = request.code
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
