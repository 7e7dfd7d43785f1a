import json
import re
import signal
import subprocess
import sys
import time

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rk_exporter import __version__
from rk_exporter.cli.options import OPTIONS
from rk_exporter.simulator import Fault, ScriptedScenario, Simulator
from tests.support.building import NOW, life, samples, value
from tests.support.processes import TOKEN, invoke, started, url_in
from tests.support.serving import served


IDS = ("--account-id", "account", "--app-id", "app")


@pytest.fixture
def simulator() -> Simulator:
    story = ScriptedScenario(meetings=["idle"], recordings=[life("weekly")])
    return Simulator(story, clock=lambda: NOW + 35, linger_seconds=1e9)


@pytest.fixture
def base_url(simulator: Simulator) -> Iterator[str]:
    with served(simulator) as url:
        yield f"{url}/client/v4"


class TestServe:
    def test_from_start_to_stop(self, base_url: str, tmp_path: Path) -> None:
        """It says where it listens, answers scrapes, and ends with 0 when it is asked to."""
        (tmp_path / "token").write_text("simulated\n")
        arguments = (
            "serve",
            *IDS,
            *("--meeting-id", "weekly", "--meeting-id", "idle"),
            *("--api.token-file", str(tmp_path / "token"), "--api.base-url", base_url),
            *("--web.listen-address", "127.0.0.1:0,127.0.0.1:0"),
        )
        with started(*arguments, environment={"RK_API_BUDGET": "1200"}) as process:
            assert process.stderr
            urls = [url_in(process.stderr.readline()) for _ in range(2)]
            assert 503 == httpx.get(f"{urls[0]}/-/ready").status_code
            for url in urls:
                text = httpx.get(f"{url}/metrics").text
                assert 1 == value(text, "rk_recording_status", status="PAUSED")
                assert 0 == value(text, "rk_meeting_active_recordings", meeting_id="idle")
            assert 200 == httpx.get(f"{urls[0]}/-/ready").status_code
            (tmp_path / "token").write_text("revoked\n")
            assert 0 == value(httpx.get(f"{urls[0]}/metrics").text, "rk_up")
            (tmp_path / "token").write_text("simulated\n")
            assert 1 == value(httpx.get(f"{urls[0]}/metrics").text, "rk_up")
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=10)
        assert 0 == process.returncode
        assert "Traceback" not in errors
        assert "msg=stopped" in errors

    def test_configuration_from_the_environment(self, base_url: str) -> None:
        """Everything can be given by variables, a list of meetings with commas and blanks."""
        environment = {
            **TOKEN,
            "CLOUDFLARE_ACCOUNT_ID": "account",
            "RK_APP_ID": "app",
            "RK_MEETING_IDS": "weekly, idle\nthird",
            "RK_API_BASE_URL": base_url,
            "RK_WEB_LISTEN_ADDRESS": "127.0.0.1:0",
            "RK_LOG_FORMAT": "json",
        }
        with started("serve", environment=environment) as process:
            assert process.stderr
            event = json.loads(process.stderr.readline())
            assert "listening" == event["msg"]
            assert 3 == value(httpx.get(event["url"]).text, "rk_meetings")

    def test_address_in_use(self, base_url: str) -> None:
        """An address that is taken is one line and exit code 1."""
        taken = base_url.removeprefix("http://").removesuffix("/client/v4")
        result = invoke("serve", *IDS, "--meeting-id", "x", "--web.listen-address", taken)
        assert (1, f"Error: cannot listen on {taken}: Address already in use\n") == (
            result.exit_code,
            result.output,
        )

    def test_hanging_name_lookups(self) -> None:
        """A resolver that hangs keeps neither scrapes waiting nor the process from ending."""
        hang = "import socket, time; socket.getaddrinfo = lambda *_, **__: time.sleep(60)"
        program = f"{hang}; from rk_exporter.cli.main import entry_point; entry_point()"
        arguments = (
            *("serve", *IDS, "--meeting-id", "x", "--api.base-url", "https://api.test"),
            *("--web.listen-address", "127.0.0.1:0"),
        )
        with started(*arguments, environment=TOKEN, program=("-c", program)) as process:
            assert process.stderr
            url = url_in(process.stderr.readline())
            short = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
            text = httpx.get(f"{url}/metrics", headers=short).text
            assert 0 == value(text, "rk_up")
            assert 1 == value(
                text, "rk_api_request_failures_total", endpoint="active-recording", reason="timeout"
            )
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(15)


class TestRefusals:
    @pytest.mark.parametrize("command", ["serve", "scrape", "check"])
    def test_configuration_errors(self, command: str) -> None:
        """A bad configuration is one line that names the option, and exit code 2."""
        result = invoke(command, *IDS, "--meeting-id", "../escape")
        assert 2 == result.exit_code
        assert "Error: --meeting-id: '../escape' is no id: 1 to 128 letters" in result.output
        assert 1 == result.output.count("\n")

    def test_variables_are_named(self) -> None:
        """A bad value from the environment is refused by the variable's name."""
        environment = {**TOKEN, "RK_SCRAPE_STALE_AFTER": "soon"}
        result = invoke("check", *IDS, "--meeting-id", "x", environment=environment)
        assert (
            2,
            "Error: RK_SCRAPE_STALE_AFTER: 'soon' is no duration; write 500ms, 5s, 5m or 1h30m\n",
        ) == (
            result.exit_code,
            result.output,
        )

    @pytest.mark.parametrize(
        ("environment", "base_url", "message"),
        [
            ({"SSL_CERT_FILE": "/nowhere"}, "https://api.test", "SSL_CERT_FILE and SSL_CERT_DIR: "),
            ({}, "https://xn--a", "api.base_url: its host can be no name"),
        ],
    )
    def test_no_way_to_the_api(
        self, environment: dict[str, str], base_url: str, message: str
    ) -> None:
        """Unreadable certificates, or a host that is none, are one line and exit code 2."""
        arguments = ("check", *IDS, "--meeting-id", "x", "--api.base-url", base_url)
        result = invoke(*arguments, environment={**TOKEN, **environment})
        assert 2 == result.exit_code
        assert result.output.startswith(f"Error: {message}")
        assert 1 == result.output.count("\n")

    def test_token_is_no_option(self) -> None:
        """The token cannot be given on the command line, where everybody could read it."""
        assert not any(option.flag.endswith(("token", "api-token")) for option in OPTIONS)


class TestScrape:
    def test_exposition_on_standard_output(self, base_url: str) -> None:
        """It prints the exposition of one pass and nothing else."""
        result = invoke("scrape", *IDS, "--meeting-id", "weekly", "--api.base-url", base_url)
        assert 0 == result.exit_code
        assert result.output.startswith("# HELP rk_recording_status")
        assert 1 == value(result.output, "rk_recording_status", status="PAUSED")
        assert "" == result.stderr

    def test_full_disk(self, base_url: str) -> None:
        """Where the exposition cannot be written one line says so, and the exit code is 1."""
        arguments = ("scrape", *IDS, "--meeting-id", "weekly", "--api.base-url", base_url)
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(
                [sys.executable, "-m", "rk_exporter", *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=TOKEN,
                check=False,
            )
        assert (1, "Error: cannot write: No space left on device\n") == (
            result.returncode,
            result.stderr,
        )

    def test_failure(self, base_url: str, simulator: Simulator) -> None:
        """Where an app could not be read the exposition says so, and the exit code is 1."""
        simulator.inject("weekly", Fault.UNAUTHORIZED)
        result = invoke("scrape", *IDS, "--meeting-id", "weekly", "--api.base-url", base_url)
        assert (1, 0) == (result.exit_code, value(result.stdout, "rk_up"))
        assert "reasons=auth:1" in result.stderr

    def test_what_was_before_is_shown_and_not_counted(self) -> None:
        """Also a recording that has ended is shown, as it is in the list of the app."""
        begin = time.time() - 300
        uploaded = life(
            "weekly",
            invoked_at=begin,
            started_at=begin + 2,
            paused=(),
            stopped_at=begin + 60,
            uploaded_at=begin + 70,
        )
        with served(Simulator(ScriptedScenario(recordings=[uploaded]))) as url:
            base_url = ("--api.base-url", f"{url}/client/v4")
            result = invoke("scrape", *IDS, "--meeting-id", "weekly", *base_url)
        assert 1 == value(result.stdout, "rk_recording_status", status="UPLOADED")
        assert 0 == value(result.stdout, "rk_recordings_started_total")
        assert {0.0} == {*samples(result.stdout, "rk_recordings_finished_total").values()}


class TestCheck:
    def test_nothing_is_restored(self, base_url: str, simulator: Simulator) -> None:
        """A check reads what goes on now: a call for each meeting, and none for the list."""
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        result = invoke("check", *IDS, *meetings, "--api.base-url", base_url)
        assert (0, 2) == (result.exit_code, simulator.requests.total)

    def test_all_is_well(self, base_url: str) -> None:
        """A line for the app and one for each meeting, and exit code 0."""
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        result = invoke("check", *IDS, *meetings, "--api.base-url", base_url)
        app, weekly, idle = result.output.splitlines()
        assert "app: account account, app app: ok, 2 of 2 meetings read" == app
        assert re.fullmatch(r"  weekly  PAUSED \(recording [0-9a-f-]+\), .* long", weekly)
        assert "  idle    no active recording" == idle
        assert 0 == result.exit_code

    def test_hanging_meetings(self, base_url: str, simulator: Simulator) -> None:
        """Meetings that hang do not keep the others from being read."""
        hanging = [f"hanging-{number}" for number in range(8)]
        for name in hanging:
            simulator.inject(name, Fault.HANG)
        meetings = [part for name in (*hanging, "weekly") for part in ("--meeting-id", name)]
        result = invoke("check", *IDS, *meetings, "--api.base-url", base_url)
        assert "ok" not in result.output.splitlines()[0]
        assert 8 == result.output.count("FAILED timeout: the API did not answer in time")
        assert "  weekly     PAUSED" in result.output

    def test_one_bad_app(self, base_url: str, tmp_path: Path) -> None:
        """One app with a bad token makes the verdict bad, and the other is read."""
        file = tmp_path / "rk.yml"
        file.write_text(
            f"account_id: account\napi: {{base_url: '{base_url}'}}\napps:\n"
            "  - {app_id: good, meetings: {ids: [weekly]}}\n"
            "  - {app_id: bad, api_token_env: BAD_TOKEN, meetings: {ids: [weekly]}}\n"
        )
        environment = {**TOKEN, "BAD_TOKEN": "refused"}
        result = invoke("check", "--config.file", str(file), environment=environment)
        good, _, bad, failure = result.output.splitlines()
        assert (1, True, True) == (result.exit_code, "ok, 1 of 1" in good, "FAILED, 0 of 1" in bad)
        assert "FAILED auth: the API answered 401" in failure

    def test_what_is_wrong_and_what_to_do(self, base_url: str) -> None:
        """A refused token is said for each meeting with what to do, and the exit code is 1."""
        result = invoke(
            "check",
            *IDS,
            *("--meeting-id", "weekly", "--api.base-url", base_url),
            environment={"CLOUDFLARE_API_TOKEN": "forbidden"},
        )
        assert 1 == result.exit_code
        assert "FAILED auth: the API answered 403 with the error code 10000; give the token" in (
            result.output
        )
        assert "" == result.stderr

    def test_json(self, base_url: str, simulator: Simulator) -> None:
        """For scripts the same as JSON."""
        simulator.inject("weekly", Fault.SERVER_ERROR)
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        result = invoke("check", *IDS, *meetings, "--api.base-url", base_url, "--format", "json")
        document = json.loads(result.stdout)
        states = {each["meeting_id"]: each["ok"] for each in document["apps"][0]["meetings"]}
        assert (1, False, {"weekly": False, "idle": True}) == (
            result.exit_code,
            document["ok"],
            states,
        )

    def test_json_of_a_bad_configuration(self) -> None:
        """A script gets JSON even where the configuration is refused."""
        result = invoke("check", *IDS, "--format", "json")
        document = json.loads(result.stdout)
        assert (2, False) == (result.exit_code, document["ok"])
        assert document["error"].startswith("missing: meeting_ids (--meeting-id) or ")

    @pytest.mark.parametrize(("budget", "warned"), [("1200", False), ("1201", True)])
    def test_budget_above_what_cloudflare_allows(self, *, budget: str, warned: bool) -> None:
        """A budget that Cloudflare's own limit does not cover is taken, with a warning."""
        arguments = ("check", *IDS, "--meeting-id", "weekly", "--offline", "--api.budget", budget)
        result = invoke(*arguments)
        assert 0 == result.exit_code
        assert warned == ("more than the 1200 that Cloudflare allows" in result.stderr)

    def test_paced_calls_are_announced(self, base_url: str) -> None:
        """Where calls have to wait for the budget, it says for how long."""
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle", "--api.base-url", base_url)
        result = invoke("check", *IDS, *meetings, "--api.budget", "100")
        assert "2 of 2 meetings read" in result.stdout
        assert "a call for each meeting takes up to 6 s, by the budget" in result.stderr

    def test_offline(self, base_url: str, simulator: Simulator) -> None:
        """Offline only the configuration is checked; nothing is called."""
        result = invoke(
            *("check", *IDS, "--meeting-id", "weekly", "--offline", "--api.base-url", base_url)
        )
        assert (0, 0) == (result.exit_code, simulator.requests.total)
        assert "1 meeting listed; nothing was asked of the API" in result.output

    def test_token_in_clear_text(self) -> None:
        """That the token could be read on its way is said before anything is sent."""
        base_url = ("--api.base-url", "http://api.test")
        result = invoke("check", *IDS, "--meeting-id", "x", "--offline", *base_url)
        assert "the API token travels in clear text" in result.stderr


class TestSimulator:
    def test_simulate(self) -> None:
        """The simulated API runs alone, and `check` is content with it."""
        with started(
            "simulate", "--web.listen-address", "127.0.0.1:0", "--meetings", "3"
        ) as process:
            assert process.stdout
            base_url = f"{url_in(process.stdout.readline())}/client/v4"
            listed = httpx.get(
                f"{base_url}/accounts/account/realtime/kit/app/meetings",
                headers={"Authorization": "Bearer simulated"},
            ).json()["data"]
            meetings = [part for each in listed for part in ("--meeting-id", each["id"])]
            result = invoke("check", *IDS, *meetings, "--api.base-url", base_url)
        assert (0, 3) == (result.exit_code, len(listed))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("simulate", "--fault", "x=explode"), "write MEETING=KIND, KIND one of unauthorized,"),
            (("simulate", "--web.listen-address", "nowhere"), "'nowhere' is no address"),
            (("demo", "--web.listen-address", ":1,:2"), "has to be one address"),
            (("simulate", "--speed", "nan"), "is no number"),
            (("simulate", "--latency", "-1"), "is not in the range"),
            (("simulate", "--meetings", "-1"), "is not in the range"),
        ],
    )
    def test_bad_options(self, arguments: tuple[str, ...], message: str) -> None:
        """A bad option is refused with what would be right."""
        result = invoke(*arguments)
        assert 2 == result.exit_code
        assert message in " ".join(result.output.split())

    @pytest.mark.parametrize(
        ("command", "option"),
        [
            ("simulate", "--web.listen-address"),
            ("demo", "--web.listen-address"),
            ("demo", "--simulator.listen-address"),
        ],
    )
    def test_taken_address(self, base_url: str, command: str, option: str) -> None:
        """An address that is taken is one line, with the option that takes another."""
        taken = base_url.removeprefix("http://").removesuffix("/client/v4")
        anywhere = "127.0.0.1:0"
        others = ("--simulator.listen-address", anywhere) if command == "demo" else ()
        result = invoke(command, "--web.listen-address", anywhere, *others, option, taken)
        assert 1 == result.exit_code
        last = result.output.splitlines()[-1]
        assert last.startswith(f"Error: cannot listen on {taken}: Address already in use; ")
        assert option in last

    def test_faults_on_request(self) -> None:
        """A fault that is asked for on the command line is there."""
        fault = ("--fault", "*=server_error")
        with started("simulate", "--web.listen-address", "127.0.0.1:0", *fault) as process:
            assert process.stdout
            base_url = f"{url_in(process.stdout.readline())}/client/v4"
            result = invoke("check", *IDS, "--meeting-id", "x", "--api.base-url", base_url)
        assert "FAILED server_error: the API answered 500" in result.output


def test_version() -> None:
    """The version is the package's."""
    assert f"rk-exporter, version {__version__}\n" == invoke("--version").output


@pytest.mark.parametrize("command", ["serve", "check", "scrape"])
def test_every_option_is_explained(command: str) -> None:
    """Each option shows its help, its variable and its default."""
    shown = " ".join(invoke(command, "--help").output.split())
    for option in OPTIONS:
        assert option.flag in shown
        assert f"env var: {option.variable}" in shown
    assert "default: (5m)" in shown
