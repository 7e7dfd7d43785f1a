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

from click.testing import CliRunner

from rk_exporter import __version__
from rk_exporter.cli.main import main
from rk_exporter.config.config import OPTIONS
from rk_exporter.simulator import Fault, ScriptedScenario, Session, Simulator
from tests.support.building import NOW, samples, scripted, value
from tests.support.check_documents import parsed
from tests.support.processes import TOKEN, invoke, listening_lines, started, url_in
from tests.support.serving import served


IDS = ("--account-id", "account", "--app-id", "app")


@pytest.fixture
def simulator() -> Simulator:
    scenario = ScriptedScenario(meetings=["idle"], recordings=[scripted("weekly")])
    return Simulator(scenario, clock=lambda: NOW + 35, linger_seconds=1e9)


@pytest.fixture
def base_url(simulator: Simulator) -> Iterator[str]:
    with served(simulator) as url:
        yield f"{url}/client/v4"


class TestServe:
    def test_from_start_to_stop(self, base_url: str, tmp_path: Path) -> None:
        """It logs its addresses, answers scrapes, and exits with 0 after SIGTERM."""
        (tmp_path / "token").write_text("simulated\n")
        (tmp_path / "token").chmod(0o640)
        arguments = (
            "serve",
            *IDS,
            *("--meeting-id", "weekly", "--meeting-id", "idle"),
            *("--api.token-file", str(tmp_path / "token"), "--api.base-url", base_url),
            *("--web.listen-address", "127.0.0.1:0,127.0.0.1:0"),
        )
        with started(*arguments, environment={"RK_API_BUDGET": "1200"}) as process:
            urls = [*map(url_in, listening_lines(process, 2))]
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
        """Variables can set all options; commas and spaces separate meetings."""
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
            event = json.loads(*listening_lines(process))
            assert "listening" == event["msg"]
            assert 3 == value(httpx.get(event["url"]).text, "rk_meetings")

    def test_address_in_use(self, base_url: str) -> None:
        """An address in use is an error of one line, and exit code 1."""
        taken = base_url.removeprefix("http://").removesuffix("/client/v4")
        result = invoke("serve", *IDS, "--meeting-id", "x", "--web.listen-address", taken)
        advice = "stop the process that uses it, or choose another address"
        assert (1, f"Error: cannot listen on {taken}: Address already in use; {advice}\n") == (
            result.exit_code,
            result.output,
        )

    def test_hanging_name_lookups(self, tmp_path: Path) -> None:
        """A resolver that hangs delays neither scrapes, nor files, nor the end of the process."""
        hang = "import socket, time; socket.getaddrinfo = lambda *_, **__: time.sleep(60)"
        program = f"{hang}; from rk_exporter.cli.main import entry_point; entry_point()"
        file = tmp_path / "meetings"
        file.write_text("".join(f"meeting-{number}\n" for number in range(40)))
        arguments = (
            *("serve", *IDS, "--meetings.file", str(file), "--api.base-url", "https://api.test"),
            *("--web.listen-address", "127.0.0.1:0", "--scrape.min-interval", "0s"),
        )
        with started(*arguments, environment=TOKEN, program=("-c", program)) as process:
            url = url_in(*listening_lines(process))
            short = {"X-Prometheus-Scrape-Timeout-Seconds": "1"}
            for _ in range(3):
                text = httpx.get(f"{url}/metrics", headers=short).text
            assert 0 == value(text, "rk_up")
            failures = "rk_api_request_failures_total"
            assert value(text, failures, api_endpoint="active-recording", reason="timeout")
            file.unlink()
            text = httpx.get(f"{url}/metrics", headers=short).text
            assert 0 == value(text, "rk_meetings_file_last_read_successful")
            assert 0 == value(text, "rk_exporter_hanging_file_calls")
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(15)


class TestErrors:
    @pytest.mark.parametrize("command", ["serve", "scrape", "check"])
    def test_configuration_errors(self, command: str) -> None:
        """A mistake in the configuration is a line that names the option, and exit code 2."""
        result = invoke(command, *IDS, "--meeting-id", "../escape")
        assert 2 == result.exit_code
        assert (
            "Error: --meeting-id: '../escape' is not a valid id: use 1 to 128 letters"
            in result.output
        )
        assert 1 == result.output.count("\n")

    def test_variables_are_named(self) -> None:
        """An invalid value of a variable is an error with the variable's name."""
        environment = {**TOKEN, "RK_SCRAPE_STALE_AFTER": "soon"}
        result = invoke("check", *IDS, "--meeting-id", "x", environment=environment)
        assert (
            2,
            (
                "Error: RK_SCRAPE_STALE_AFTER: invalid duration 'soon'; "
                "write e.g. 500ms, 5s, 5m or 1h30m\n"
            ),
        ) == (
            result.exit_code,
            result.output,
        )

    @pytest.mark.parametrize(
        ("environment", "base_url", "message"),
        [
            ({"SSL_CERT_FILE": "/nowhere"}, "https://api.test", "SSL_CERT_FILE and SSL_CERT_DIR: "),
            ({}, "https://xn--a", "api.base_url: invalid host name"),
        ],
    )
    def test_no_way_to_the_api(
        self, environment: dict[str, str], base_url: str, message: str
    ) -> None:
        """Unreadable certificates and an invalid host are an error of one line, and exit code 2."""
        arguments = ("check", *IDS, "--meeting-id", "x", "--api.base-url", base_url)
        result = invoke(*arguments, environment={**TOKEN, **environment})
        assert 2 == result.exit_code
        assert result.output.startswith(f"Error: {message}")
        assert 1 == result.output.count("\n")

    def test_token_is_not_an_option(self) -> None:
        """No flag takes the token, because other users can read command lines."""
        assert not any(option.flag.endswith("token") for option in OPTIONS)


class TestScrape:
    def test_exposition_on_standard_output(self, base_url: str) -> None:
        """It prints only the metrics of one pass."""
        result = invoke("scrape", *IDS, "--meeting-id", "weekly", "--api.base-url", base_url)
        assert 0 == result.exit_code
        assert result.output.startswith("# HELP rk_recording_status")
        assert 1 == value(result.output, "rk_recording_status", status="PAUSED")
        # node_exporter, which reads this, has metrics of these names itself.
        assert "process_" not in result.output
        assert "rk_exporter_build_info" in result.output
        assert "" == result.stderr

    def test_full_disk(self, base_url: str) -> None:
        """If the metrics cannot be written, there is an error of one line, and exit code 1."""
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
        assert (1, "Error: cannot write the output: No space left on device\n") == (
            result.returncode,
            result.stderr,
        )

    def test_failure(self, base_url: str, simulator: Simulator) -> None:
        """If an app cannot be read, the metrics include the failure, and the exit code is 1."""
        simulator.inject("*", Fault.UNAUTHORIZED)
        result = invoke("scrape", *IDS, "--meeting-id", "weekly", "--api.base-url", base_url)
        assert (1, 0) == (result.exit_code, value(result.stdout, "rk_up"))
        assert "reasons=auth:1" in result.stderr

    def test_finished_recordings_are_shown_and_not_counted(self) -> None:
        """A recording that has finished before the start is shown, but not counted."""
        begin = time.time() - 300
        uploaded = scripted(
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
    def test_calls(self, base_url: str, simulator: Simulator) -> None:
        """A check makes a call per meeting, and another one if the meeting may not exist."""
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        options = ("--api.base-url", base_url, "--api.budget", "600")
        result = invoke("check", *IDS, *meetings, *options)
        assert (0, 3) == (result.exit_code, simulator.requests.total)

    def test_success(self, base_url: str) -> None:
        """It prints a line for the app and each meeting, and a summary, and exits with 0."""
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        options = ("--api.base-url", base_url, "--api.budget", "600")
        result = invoke("check", *IDS, *meetings, *options)
        app, weekly, idle, summary = result.output.splitlines()
        assert "app: account account, app app: ok, 2 of 2 meetings read" == app
        assert re.fullmatch(r"  weekly  PAUSED \(recording [0-9a-f-]+\), .* long", weekly)
        assert "  idle    no active recording" == idle
        assert "1 app, 2 meetings: 2 fine" == summary
        assert 0 == result.exit_code

    def test_hanging_meetings(self, base_url: str, simulator: Simulator) -> None:
        """Meetings that hang do not prevent reading the others."""
        hanging = [f"hanging-{number}" for number in range(8)]
        for name in hanging:
            simulator.inject(name, Fault.HANG)
        meetings = [part for name in (*hanging, "weekly") for part in ("--meeting-id", name)]
        options = ("--api.base-url", base_url, "--api.budget", "600")
        result = invoke("check", *IDS, *meetings, *options)
        assert "ok" not in result.output.splitlines()[0]
        assert 8 == result.output.count("FAILED timeout: the API did not answer in time")
        assert "  weekly     PAUSED" in result.output

    def test_one_bad_app(self, base_url: str, tmp_path: Path) -> None:
        """An app with a rejected token makes the check fail, and the other app is read."""
        file = tmp_path / "rk.yml"
        file.write_text(
            f"account_id: account\napi: {{base_url: '{base_url}'}}\napps:\n"
            "  - {app_id: good, meetings: {ids: [weekly]}}\n"
            "  - {app_id: bad, api_token_env: BAD_TOKEN, meetings: {ids: [weekly]}}\n"
        )
        environment = {**TOKEN, "BAD_TOKEN": "refused"}
        result = invoke("check", "--config.file", str(file), environment=environment)
        good, _, bad, failure, summary = result.output.splitlines()
        assert (1, True, True) == (result.exit_code, "ok, 1 of 1" in good, "FAILED, 0 of 1" in bad)
        assert "FAILED auth: the API answered 401" in failure
        assert "2 apps, 2 meetings: 1 fine, 1 cannot be read, 1 token rejected" == summary

    def test_rejected_token(self, base_url: str) -> None:
        """A rejected token is one failure with a fix, not one per meeting, and exit code 1."""
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        result = invoke(
            *("check", *IDS, *meetings, "--api.base-url", base_url),
            environment={"CLOUDFLARE_API_TOKEN": "forbidden"},
        )
        assert 1 == result.exit_code
        app, token, summary = result.output.splitlines()
        assert summary.endswith(", 1 token rejected")
        assert app.endswith("FAILED, 0 of 2 meetings read")
        assert token.startswith(
            "  token: FAILED auth: the API answered 403 with the error code 10000; give the token"
        )
        assert "" == result.stderr

    def test_mistyped_id(self, base_url: str, tmp_path: Path) -> None:
        """A meeting that does not exist is a failure with its place, and exit code 1."""
        file = tmp_path / "rk.yml"
        file.write_text(
            f"account_id: account\napi: {{base_url: '{base_url}'}}\n"
            "apps:\n  - app_id: app\n    meetings:\n      ids:\n        - weekly\n        - idel\n"
        )
        result = invoke("check", "--config.file", str(file))
        assert 1 == result.exit_code
        *_, mistyped, summary = result.output.splitlines()
        assert "1 app, 2 meetings: 1 fine, 1 does not exist" == summary
        assert mistyped == (
            "  idel    FAILED not_found: the API has no meeting with this id; "
            f"correct or remove it: {file}:8: apps[0].meetings.ids[1]"
        )

    def test_probe(self, base_url: str, simulator: Simulator) -> None:
        """A probe reports how the API behaves, in few calls, and exits with 0."""
        arguments = ("check", *IDS, "--meeting-id", "idle", "--api.base-url", base_url, "--probe")
        result = invoke(*arguments)
        assert 0 == result.exit_code
        assert (
            "confirmed  the lists of recordings and sessions accept per_page=100" in result.output
        )
        assert f"{simulator.requests.total} calls made, at most 15 allowed" in result.output
        assert simulator.requests.total <= 15
        document = parsed(invoke(*arguments, "--format", "json").stdout)
        assert document["ok"]
        assert {"confirmed", "differs", "unknown"} >= {
            question["result"] for question in document["questions"]
        }

    def test_probe_with_a_rejected_token(self, base_url: str) -> None:
        """A probe that the API refuses exits with 1."""
        arguments = ("check", *IDS, "--meeting-id", "idle", "--api.base-url", base_url, "--probe")
        result = invoke(*arguments, environment={"CLOUDFLARE_API_TOKEN": "refused"})
        assert 1 == result.exit_code
        assert "FAILED: the API rejects the token (401)" in result.output

    def test_probe_makes_calls(self) -> None:
        """A probe without calls is a usage error."""
        result = invoke("check", *IDS, "--meeting-id", "x", "--probe", "--offline")
        assert 2 == result.exit_code
        assert "--probe makes API calls; leave out --offline" in result.output

    def test_json(self, base_url: str, simulator: Simulator) -> None:
        """The report for scripts is JSON."""
        simulator.inject("weekly", Fault.SERVER_ERROR)
        meetings = ("--meeting-id", "weekly", "--meeting-id", "idle")
        result = invoke("check", *IDS, *meetings, "--api.base-url", base_url, "--format", "json")
        document = parsed(result.stdout)
        meetings_document = document["apps"][0]["meetings"]
        states = {meeting["meeting_id"]: meeting["ok"] for meeting in meetings_document}
        assert (1, False, {"weekly": False, "idle": True}) == (
            result.exit_code,
            document["ok"],
            states,
        )

    def test_json_of_a_bad_configuration(self) -> None:
        """The error about an invalid configuration is JSON too."""
        result = invoke("check", *IDS, "--format", "json")
        document = parsed(result.stdout)
        assert (2, False) == (result.exit_code, document["ok"])
        assert "error" == document["kind"]
        assert document["error"].startswith("missing: meetings (--meeting-id or ")
        assert [document["error"]] == document["problems"]

    def test_json_of_several_mistakes(self) -> None:
        """The document lists the mistakes one by one, as scripts need them."""
        options = ("--api.budget", "many", "--log.level", "loud", "--meeting-id", "x")
        result = invoke("check", *IDS, *options, "--format", "json")
        document = parsed(result.stdout)
        assert 2 == document["exit_code"] == result.exit_code
        assert ["--api.budget", "--log.level"] == sorted(
            problem.partition(":")[0] for problem in document["problems"]
        )

    def test_json_of_a_probe_that_fails(self, base_url: str) -> None:
        """The probe's document follows the schema too if the API refuses to answer."""
        options = ("--meeting-id", "idle", "--api.base-url", base_url, "--probe")
        environment = {"CLOUDFLARE_API_TOKEN": "refused"}
        result = invoke("check", *IDS, *options, "--format", "json", environment=environment)
        document = parsed(result.stdout)
        assert ("probe", 1, 1) == (document["kind"], document["exit_code"], result.exit_code)

    def test_json_without_certificates(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An error outside the configuration file is JSON too."""
        monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
        result = invoke("check", *IDS, "--meeting-id", "x", "--format", "json")
        document = parsed(result.stdout)
        assert ("error", 2, 2) == (document["kind"], document["exit_code"], result.exit_code)
        assert "SSL_CERT_FILE" in document["error"]

    @pytest.mark.parametrize(("budget", "warned"), [("1200", False), ("1201", True)])
    def test_budget_above_what_cloudflare_allows(self, *, budget: str, warned: bool) -> None:
        """A budget above Cloudflare's default limit is a warning."""
        arguments = ("check", *IDS, "--meeting-id", "weekly", "--offline", "--api.budget", budget)
        result = invoke(*arguments)
        assert 0 == result.exit_code
        assert warned == ("exceeds Cloudflare's default limit of 1200" in result.stderr)

    def test_announced_duration(self, base_url: str) -> None:
        """If one call per meeting is more than a tenth of the budget, a log line says so."""
        ids = ("weekly", *(f"idle-{number}" for number in range(60)))
        meetings = [argument for name in ids for argument in ("--meeting-id", name)]
        options = ("--api.base-url", base_url, "--api.budget", "600")
        result = invoke("check", *IDS, *meetings, *options)
        assert "61 of 61 meetings read through the list" in result.stdout
        assert "reading each meeting takes up to 5m, because of the budget" in result.stderr

    def test_live_meetings(self) -> None:
        """Nothing is said about how often an exporter with the few calls of a check would read."""
        live = [f"live-{number}" for number in range(80)]
        sessions = [Session(f"of-{name}", name, started_at=NOW - 60) for name in live]
        scenario = ScriptedScenario(meetings=live, sessions=sessions)
        with served(Simulator(scenario, clock=lambda: NOW)) as url:
            options = ("--meetings.discover", "--api.base-url", f"{url}/client/v4")
            result = invoke("check", *IDS, *options)
        assert "80 of 80 meetings read through the list" in result.stdout
        assert "scrape interval" not in result.stderr

    def test_help(self) -> None:
        """The help says that the calls of several processes add up, and what to set."""
        text = " ".join(invoke("check", "--help").output.split())
        assert "at most a tenth of --api.budget" in text
        assert "divide --api.budget between them" in text

    def test_a_tenth_of_the_budget(self, base_url: str, simulator: Simulator) -> None:
        """A check makes its calls at once, and at most a tenth of the budget."""
        meetings = [
            argument for number in range(30) for argument in ("--meeting-id", f"idle-{number}")
        ]
        options = ("--api.base-url", base_url, "--api.budget", "600")
        result = invoke("check", *IDS, *meetings, *options)
        assert "30 of 30 meetings read" in result.stdout
        assert "because of the budget" not in result.stderr
        assert 30 <= simulator.requests.total <= 60

    def test_offline(self, base_url: str, simulator: Simulator) -> None:
        """With --offline it checks only the configuration, without API calls."""
        options = ("--offline", "--api.base-url", base_url)
        arguments = ("check", *IDS, "--meeting-id", "weekly", *options)
        result = invoke(*arguments)
        assert (0, 0) == (result.exit_code, simulator.requests.total)
        assert "1 meeting listed, no API calls made" in result.output
        summary = "1 app, 1 meeting: the configuration is valid, no API calls made"
        assert summary == result.output.splitlines()[-1]
        document = parsed(invoke(*arguments, "--format", "json").stdout)
        assert ("offline", 1) == (document["kind"], document["summary"]["unread"])

    @pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False)])
    def test_token_for_everybody(self, tmp_path: Path, *, mode: int, warned: bool) -> None:
        """A token file that other users can read is a warning that names the option."""
        file = tmp_path / "token"
        file.write_text("simulated")
        file.chmod(mode)
        options = (*IDS, "--meeting-id", "x", "--api.token-file", str(file))
        result = invoke("check", "--offline", *options, environment={})
        assert 0 == result.exit_code
        message = "api.token_file: API token file can be read by other users of the machine"
        assert warned == (message in result.stderr)

    def test_token_in_clear_text(self) -> None:
        """Sending the token without TLS is a warning."""
        base_url = ("--api.base-url", "http://api.test")
        result = invoke("check", *IDS, "--meeting-id", "x", "--offline", *base_url)
        assert "API token is sent in clear text" in result.stderr


class TestSimulator:
    def test_simulate(self) -> None:
        """The simulated API runs alone, and `check` accepts it."""
        with started(
            "simulate", "--web.listen-address", "127.0.0.1:0", "--meetings", "3"
        ) as process:
            assert process.stdout
            base_url = f"{url_in(process.stdout.readline())}/client/v4"
            listed = httpx.get(
                f"{base_url}/accounts/account/realtime/kit/app/meetings",
                headers={"Authorization": "Bearer simulated"},
            ).json()["data"]
            meetings = [part for meeting in listed for part in ("--meeting-id", meeting["id"])]
            result = invoke("check", *IDS, *meetings, "--api.base-url", base_url)
        assert (0, 3) == (result.exit_code, len(listed))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("simulate", "--fault", "x=explode"), "write MEETING=KIND with KIND unauthorized,"),
            (("simulate", "--web.listen-address", "nowhere"), "invalid address 'nowhere'"),
            (("demo", "--web.listen-address", ":1,:1"), ":1 is given twice"),
            (("demo", "--simulator.listen-address", ":1,:2"), "invalid address ':1,:2'"),
            (("simulate", "--speed", "nan"), "is not a number"),
            (("simulate", "--latency", "-1"), "is not in the range"),
            (("simulate", "--meetings", "-1"), "is not in the range"),
        ],
    )
    def test_bad_options(self, arguments: tuple[str, ...], message: str) -> None:
        """An invalid option is an error that says what is valid."""
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
        """An address in use is an error of one line with the option that changes it."""
        taken = base_url.removeprefix("http://").removesuffix("/client/v4")
        anywhere = "127.0.0.1:0"
        others = ("--simulator.listen-address", anywhere) if command == "demo" else ()
        result = invoke(command, "--web.listen-address", anywhere, *others, option, taken)
        assert 1 == result.exit_code
        error = f"Error: cannot listen on {taken}: Address already in use; choose another with "
        other_port = int(taken.rpartition(":")[2]) + 1000
        expected = f"{error}{option} :{other_port}"
        if command == "demo":
            expected += f', or make demo ARGS="{option} :{other_port}"'
        assert f"{expected}\n" == result.output

    def test_faults_on_request(self) -> None:
        """A fault from the command line makes calls fail."""
        fault = ("--fault", "*=server_error")
        with started("simulate", "--web.listen-address", "127.0.0.1:0", *fault) as process:
            assert process.stdout
            base_url = f"{url_in(process.stdout.readline())}/client/v4"
            result = invoke("check", *IDS, "--meeting-id", "x", "--api.base-url", base_url)
        assert "FAILED server_error: the API answered 500" in result.output


def test_version() -> None:
    """The version comes with the branch, the revision, Python and the platform."""
    assert re.fullmatch(
        rf"rk-exporter, version {re.escape(__version__)} "
        r"\(branch: \S*, revision: ([0-9a-f]{40}(-modified)?|unknown)\)\n"
        r"  python version:   3\.\d+\.\S+\n"
        r"  platform:         linux/\w+\n",
        invoke("--version").output,
    )


@pytest.mark.parametrize("command", ["serve", "check", "scrape"])
def test_every_option_is_explained(command: str) -> None:
    """The help page groups options by subject, and shows variables and defaults."""
    shown = " ".join(invoke(command, "--help").output.split())
    groups = [option.group for option in OPTIONS]
    positions = [shown.index(f"{group}: --") for group in dict.fromkeys(groups)]
    assert sorted(positions) == positions
    for option in filter(lambda option: option.flag, OPTIONS):
        assert option.flag in shown
        assert f"env var: {option.variable}" in shown
    assert "default: 5m]" in shown


def test_command_list() -> None:
    """The list of commands has a whole sentence for each command, even in a narrow terminal."""
    output = CliRunner().invoke(main, ["--help"], terminal_width=40).output
    commands = " ".join(output.partition("Commands:")[2].split())
    assert "..." not in commands
    assert "serve Run the exporter." in commands
    assert "assets Write dashboards, rules, examples and the runbook to DIR." in commands


def test_unknown_variable(base_url: str) -> None:
    """A variable that looks like ours and is unknown is a warning with a suggestion."""
    arguments = ("check", *IDS, "--meeting-id", "weekly", "--offline", "--api.base-url", base_url)
    result = invoke(*arguments, environment={**TOKEN, "RK_API_BUGDET": "canary"})
    assert 0 == result.exit_code
    assert "unknown variable RK_API_BUGDET; did you mean RK_API_BUDGET?" in result.stderr
    assert "canary" not in result.stderr


def test_several_mistakes() -> None:
    """All mistakes are in one error, a line for each, with exit code 2."""
    result = invoke("serve", "--api.budget", "0", environment={"RK_LOG_LEVEL": "loud"})
    assert 2 == result.exit_code
    assert [
        "Error: 3 problems in the configuration:",
        "  --api.budget: must be between 1 and 100000 calls per 5 minutes",
        "  RK_LOG_LEVEL: invalid value 'loud'; use debug, info, warning, error",
        "  missing:",
    ] == result.output.splitlines()[:4]
    assert "API token (CLOUDFLARE_API_TOKEN; --api.token-file" in result.output
