"""Measure speed and memory: `make bench`; one section alone: `python -m bench SECTION`."""

import argparse
import logging
import os
import platform

from bench.apps import print_apps
from bench.archives import print_archives
from bench.budgets import print_budgets
from bench.cases import print_fleets
from bench.connections import print_connections
from bench.downloads import print_downloads
from bench.expositions import print_expositions
from bench.following import print_following
from bench.monitoring import print_monitoring
from bench.neighbours import print_neighbours
from bench.passes import print_processes
from bench.protection import print_protection
from bench.serving import print_serving
from bench.starts import print_starts
from bench.webhooks import print_webhooks
from rk_exporter import __version__


SECTIONS = {
    "starts": print_starts,
    "processes": print_processes,
    "serving": print_serving,
    "connections": print_connections,
    "protection": print_protection,
    "neighbours": print_neighbours,
    "expositions": print_expositions,
    "downloads": print_downloads,
    "archives": print_archives,
    "apps": print_apps,
    "budgets": print_budgets,
    "fleet": print_fleets,
    "following": print_following,
    "webhooks": print_webhooks,
    "monitoring": print_monitoring,
}


def main() -> None:
    """Print all figures, or those of one section."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("section", nargs="?", choices=SECTIONS, help="all of them by default")
    chosen = parser.parse_args().section
    # Warnings about the budget are expected: fleets larger than the budget are measured.
    logging.getLogger("rk_exporter").setLevel(logging.ERROR)
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(
        f"rk-exporter {__version__}, Python {platform.python_version()}, "
        f"{os.cpu_count()} processors, {memory_gib:.0f} GiB of memory\n"
    )
    for section, print_section in SECTIONS.items():
        if chosen in (None, section):
            print_section()


if __name__ == "__main__":
    main()
