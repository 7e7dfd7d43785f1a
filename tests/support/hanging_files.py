"""
The command line, with files that hang.

While the file `hang` exists in a folder, no access to any other file in this folder returns, as on
a network file system whose server is gone.
"""

import os
import threading

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rk_exporter.cli.main import entry_point


def _hanging(function: Callable[..., Any], real_stat: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(path, int):
            switch = Path(path).with_name("hang")
            try:
                real_stat(switch)
            except OSError:
                pass
            else:
                threading.Event().wait()
        return function(path, *arguments, **options)

    return call


if __name__ == "__main__":
    for name in ("open", "lstat", "rename", "replace", "unlink", "stat"):
        setattr(os, name, _hanging(getattr(os, name), os.stat))
    entry_point()
