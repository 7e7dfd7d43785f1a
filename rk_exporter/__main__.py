"""Run `rk-exporter` or `python -m rk_exporter`."""

import signal


def entry_point() -> None:
    """Run the command line as a program."""
    # Until a command handles them: the imports take a while, and the first process of a container
    # ignores signals that it does not handle.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    from rk_exporter.cli.main import entry_point as run  # noqa: PLC0415 # after the line above

    run()


if __name__ == "__main__":
    entry_point()
