"""Tracebacks that may be logged: the messages and values of exceptions may contain secrets."""

import traceback

from pathlib import PurePath


def redacted_traceback(error: BaseException) -> str:
    """
    Return the frames and the type of *error*, of all errors in a group, and of their causes.

    For example `app_collector.py:57 run_pass > reads.py:61 meeting: KeyError`.
    """
    frames = " > ".join(
        f"{PurePath(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    )
    texts = [f"{frames}: {type(error).__name__}" if frames else type(error).__name__]
    if isinstance(error, BaseExceptionGroup):
        texts = [f"{frames} > {redacted_traceback(inner)}" for inner in error.exceptions]
    cause = error.__cause__ or error.__context__
    if cause is not None:
        texts.append(f"caused by {redacted_traceback(cause)}")
    return "; ".join(texts)
