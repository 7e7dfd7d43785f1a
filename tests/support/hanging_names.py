"""
The command line, with a resolver that follows the file in the variable NAMES.

If the file contains `hang`, no name is resolved before that changes; with `fail` there is no such
name. Otherwise each name ending in `.test` is this machine.
"""

import os
import socket
import time

from pathlib import Path
from typing import Any

from rk_exporter.cli.main import entry_point


if __name__ == "__main__":
    mode = Path(os.environ["NAMES"])
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        """Resolve a name as the file says."""
        name = host.decode() if isinstance(host, bytes) else host
        if not name or not name.endswith(".test"):
            return real(host, *arguments, **options)
        while mode.read_text() == "hang":
            time.sleep(0.05)
        if mode.read_text() == "fail":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *arguments, **options)

    vars(socket)["getaddrinfo"] = getaddrinfo
    entry_point()
