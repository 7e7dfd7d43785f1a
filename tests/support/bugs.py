"""
The command line, with the bugs that are in the file BUGS names.

`call` is a bug in calls for the app `faulty`, `render` one in the metrics, and `reload` one in what
a reload prepares. Their exceptions contain what nobody must see. With `block`, each call for that
app blocks the event loop, and with `hang`, rendering does not end until the bug is gone.
"""

import os
import time

from pathlib import Path
from typing import Any

from rk_exporter.api.connection import Connection
from rk_exporter.cli.main import entry_point
from rk_exporter.exporter import Exporter
from rk_exporter.metrics import exposition


BLOCK_SECONDS = 2.0

if __name__ == "__main__":
    bugs = Path(os.environ["BUGS"])
    get, prepare, encode = Connection.get, Exporter.prepare, exposition.encode

    def has(bug: str) -> bool:
        """Return whether the bug is there."""
        return bug in bugs.read_text().split()

    def fail_with(bug: str, *secrets: str) -> None:
        """Raise an exception if the bug is there."""
        if has(bug):
            raise LookupError(*secrets)

    async def buggy_get(connection: Connection, url: str, **options: Any) -> Any:
        """Make a call, unless it is for the app with the bug."""
        if "/faulty/" in url:
            fail_with("call", url, options["token"].reveal())
            if has("block"):
                time.sleep(BLOCK_SECONDS)  # noqa: ASYNC251 # this is the bug
        return await get(connection, url, **options)

    def buggy_prepare(exporter: Exporter, config: Any) -> Any:
        """Prepare a reload."""
        fail_with("reload", *(app.token.current().reveal() for app in config.apps))
        return prepare(exporter, config)

    def buggy_encode(families: Any, form: Any) -> bytes:
        """Render the metrics."""
        fail_with("render", os.environ["CLOUDFLARE_API_TOKEN"])
        while has("hang"):
            time.sleep(0.01)
        return encode(families, form)

    for owner, name, buggy in (
        (Connection, "get", buggy_get),
        (Exporter, "prepare", buggy_prepare),
    ):
        setattr(owner, name, buggy)
    vars(exposition)["encode"] = buggy_encode
    entry_point()
