"""What an operator sees when the exporter cannot start: one line, and an exit code."""

import errno
import os
import socket
import subprocess
import sys

from pathlib import Path

import pytest

from click.testing import CliRunner

from rk_exporter.cli.main import main
from tests.support.processes import TOKEN


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "x")
# Without them even root must not read every file and listen on every port.
WITHOUT_CAPABILITIES = ("setpriv", "--bounding-set=-all") if os.geteuid() == 0 else ()


def started(*arguments: str) -> tuple[int, str]:
    """Return the exit code and the error of a command that cannot start, without the log."""
    result = subprocess.run(
        [*WITHOUT_CAPABILITIES, sys.executable, "-m", "rk_exporter", *arguments],
        env=TOKEN,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "" == result.stdout
    lines = result.stderr.splitlines(keepends=True)
    return result.returncode, "".join(line for line in lines if not line.startswith("time="))


def is_one_line(error: str) -> bool:
    """Return whether there is one line, which is no message of Python's."""
    return error.startswith("Error: ") and error.count("\n") == 1 and "Traceback" not in error


class TestAddresses:
    def test_port_in_use(self) -> None:
        """A port in use is named, with what to do about it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            code, error = started("serve", *IDS, "--web.listen-address", address)
        assert (1, True) == (code, is_one_line(error))
        assert error.startswith(f"Error: cannot listen on {address}: Address already in use; stop")

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("192.0.2.1:10058", "Cannot assign requested address; choose an address of this"),
            ("no-such-host.invalid:10058", "correct the host name, or write an IP address"),
            ("a..b:10058", "invalid host name; correct the host name"),
        ],
    )
    def test_no_such_address(self, address: str, message: str) -> None:
        """An address that is not of this machine is named, with what to do about it."""
        code, error = started("serve", *IDS, "--web.listen-address", address)
        assert (1, True) == (code, is_one_line(error))
        assert error.startswith(f"Error: cannot listen on {address}: ")
        assert message in error

    def test_privileged_port(self) -> None:
        """A port that needs privileges is named, with the capability."""
        limit = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        if int(limit.read_text()) <= 80:
            pytest.skip("every user of this machine may use port 80")
        code, error = started("serve", *IDS, "--web.listen-address", "127.0.0.1:80")
        assert (1, True) == (code, is_one_line(error))
        assert "127.0.0.1:80: Permission denied; ports below 1024 need" in error

    def test_one_of_several(self) -> None:
        """If one address cannot be used, the exporter does not start with the others."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            addresses = ("--web.listen-address", "127.0.0.1:0", "--web.listen-address", address)
            code, error = started("serve", *IDS, *addresses)
        assert (1, True) == (code, is_one_line(error))
        assert address in error


FILES = {
    "--config.file": "{path}: ",
    "--api.token-file": "--api.token-file: ",  # perhaps somebody has pasted the token
    "--meetings.file": "--meetings.file: {path}: ",
    "--state.file": "state.file: {path}",
    "--web.config.file": "web.config_file: {path}: ",
}


@pytest.mark.parametrize("option", FILES)
class TestFiles:
    def test_unreadable(self, tmp_path: Path, option: str) -> None:
        """A file that the user must not read is named, with who must be able to read it."""
        path = tmp_path / "file"
        path.touch(mode=0)
        code, error = started("serve", *IDS, option, str(path))
        assert (2, True) == (code, is_one_line(error))
        assert error.startswith(f"Error: {FILES[option].format(path=path)}")
        denied = os.strerror(errno.EACCES)
        assert f"({denied}); allow the user with the id {os.geteuid()}" in error

    def test_folder(self, tmp_path: Path, option: str) -> None:
        """A folder in place of a file is named, with what to give instead."""
        code, error = started("serve", *IDS, option, str(tmp_path))
        assert (2, True) == (code, is_one_line(error))
        assert option.replace("--", "").partition(".")[2] in error or str(tmp_path) in error
        assert error.endswith("; give the path of a file in it\n")

    def test_missing(self, tmp_path: Path, option: str) -> None:
        """A file that does not exist is named, with what to do about it."""
        path = tmp_path / "missing" / "file"
        code, error = started("serve", *IDS, option, str(path))
        assert (2, True) == (code, is_one_line(error))
        assert option.replace("--", "").partition(".")[2] in error or str(path) in error
        assert "; create it, or " in error


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--foo",), "No such option '--foo'. Run 'rk-exporter --help' for help."),
        (
            ("serv",),
            "No such command 'serv'. Did you mean 'serve'? Run 'rk-exporter --help'",
        ),
        (
            ("serve", "--web.lisen-address", ":1"),
            "(Did you mean one of: '--web.listen-address', '--webhook.listen-address'?). Run",
        ),
        (("serve", *IDS, "--nope"), "'--nope'. Run 'rk-exporter serve --help' for help."),
        (
            ("serve", *IDS, "more"),
            "extra argument (more). Run 'rk-exporter serve --help'",
        ),
        (
            ("serve", *IDS, "--api.budget"),
            "requires an argument. Run 'rk-exporter serve --help'",
        ),
        (
            ("simulate", "--seed", "x"),
            "'x' is not a valid integer. Run 'rk-exporter simulate",
        ),
        (("check", "--format", "xml"), "'xml' is not one of 'text', 'json'. Run"),
        (
            ("assets",),
            "Missing argument 'DIR'. Run 'rk-exporter assets --help' for help.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_usage(arguments: tuple[str, ...], error: str) -> None:
    """A mistake on the command line is one line that names it and the help, and exit code 2."""
    result = CliRunner().invoke(main, arguments, prog_name="rk-exporter")
    assert (2, True) == (result.exit_code, is_one_line(result.stderr)), result.stderr
    assert error in result.stderr
