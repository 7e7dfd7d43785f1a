"""The command line, with an exporter that waits for events for five seconds, not two minutes."""

from rk_exporter.cli.main import entry_point
from rk_exporter.collector import announcements


if __name__ == "__main__":
    vars(announcements)["ANNOUNCED_WITHIN_SECONDS"] = 5.0
    entry_point()
