"""Webhooks through the whole exporter: what an event changes, and what it cannot change."""

from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeVar

import pytest

from rk_exporter.config.config import Config
from rk_exporter.simulator import Fault, Recording, ScriptedScenario, Session
from rk_exporter.simulator.webhooks.faults import WebhookFault
from tests.support.building import (
    NOW,
    Simulation,
    by_meeting,
    config,
    labelled,
    samples,
    scripted,
    simulate,
)
from tests.support.webhooks import KEY_URL, WebhookSimulation, event_body, signed


T = TypeVar("T")
MEETINGS = [f"meeting-{number}" for number in range(60)]
INTERVAL = 15.0


def webhook_config(**changes: str | list[str]) -> Config:
    """Return a configuration with webhooks."""
    return config(
        **{
            "webhook__listen_address": ":0",
            "webhook__public_key_url": KEY_URL,
            "meeting_ids": MEETINGS[:10],
            **changes,
        }
    )


def with_webhooks(
    steps: Callable[[Simulation, WebhookSimulation], Awaitable[T]],
    *recordings: Recording,
    configuration: Config | None = None,
    sent: ScriptedScenario | None = None,
    sessions: tuple[Session, ...] = (),
) -> T:
    """Run *steps* while events are sent about the API's own recordings, or about those *sent*."""

    async def run(simulation: Simulation) -> T:
        webhooks = WebhookSimulation(
            simulation.exporter, simulation.simulator, simulation.now, scenario=sent
        )
        async with webhooks.sending():
            return await steps(simulation, webhooks)

    return simulate(
        run,
        *recordings,
        meetings=MEETINGS,
        sessions=sessions,
        configuration=configuration or webhook_config(),
        linger_seconds=0,
    )


def recorded_at(*starts: float, meeting: int = 0) -> list[Recording]:
    """Return recordings of 60 s that are invoked at these seconds, one meeting each."""
    return [
        scripted(
            MEETINGS[meeting + number],
            invoked_at=NOW + at,
            started_at=NOW + at + 2,
            paused=[],
            stopped_at=NOW + at + 60,
            uploaded_at=NOW + at + 100,
        )
        for number, at in enumerate(starts)
    ]


def small_config() -> Config:
    """Return a configuration for three calls in 15 s and 60 meetings: an idle one waits long."""
    return webhook_config(api__budget="60", meeting_ids=MEETINGS)


class TestDueNow:
    @pytest.mark.parametrize("read", ["active-recording", "list"])
    def test_start_is_visible(self, read: str) -> None:
        """A recording that starts in an idle meeting is shown by the next scrape."""

        async def steps(simulation: Simulation, _webhooks: WebhookSimulation) -> list[bool]:
            await simulation.last_scrape(60)
            shown = []
            for _ in range(5):
                text = await simulation.scrape()
                shown.append(bool(labelled(text, "rk_recording_status")))
            return shown

        budget = "60" if read == "active-recording" else "600"
        recordings = recorded_at(60 * INTERVAL - 8)
        configuration = webhook_config(api__budget=budget, api__read=read, meeting_ids=MEETINGS)
        assert with_webhooks(steps, *recordings, configuration=configuration)[0]

    def test_without_events(self) -> None:
        """Without events, the same recording is seen much later: the hint makes the difference."""

        async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> list[bool]:
            webhooks.set_fault(WebhookFault.SILENT)
            await simulation.last_scrape(60)
            return [
                bool(labelled(await simulation.scrape(), "rk_recording_status")) for _ in range(3)
            ]

        recordings = recorded_at(60 * INTERVAL - 8, meeting=29)
        assert not any(with_webhooks(steps, *recordings, configuration=small_config()))

    @pytest.mark.parametrize("read", ["active-recording", "list"])
    @pytest.mark.parametrize(
        ("fault", "statuses"), [(WebhookFault.NONE, ["ERRORED"]), (WebhookFault.SILENT, [])]
    )
    def test_failure_between_scrapes(
        self, read: str, fault: WebhookFault, statuses: list[str]
    ) -> None:
        """A recording that starts and fails between two scrapes is shown by the next one."""
        begun_at = NOW + 61 * INTERVAL - 8
        failed = Recording.scripted(
            MEETINGS[0], invoked_at=begun_at, started_at=begun_at + 2, errored_at=begun_at + 5
        )

        async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> str:
            webhooks.set_fault(fault)
            # The usual look at the list is not due in the next scrape.
            await simulation.scrapes(61)
            return await simulation.scrape()

        text = with_webhooks(steps, failed, configuration=webhook_config(api__read=read))
        assert statuses == [
            labels["status"] for labels, value in labelled(text, "rk_recording_status") if value
        ]

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(WebhookFault.NONE, "UPLOADED"), (WebhookFault.SILENT, "UPLOADING")],
    )
    def test_end_of_missing(self, fault: WebhookFault, status: str) -> None:
        """The end of a recording that its meeting does not show any more is read immediately."""
        recording = scripted(
            MEETINGS[0], started_at=NOW + 2, paused=[], stopped_at=NOW + 60, uploaded_at=NOW + 1023
        )

        async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> str:
            simulation.simulator.settings = simulation.simulator.settings.changed(
                "uploading_is_active", "false"
            )
            await simulation.last_scrape(69)
            webhooks.set_fault(fault)
            return await simulation.scrape()

        text = with_webhooks(steps, recording)
        assert [
            labels["status"] for labels, value in labelled(text, "rk_recording_status") if value
        ] == [status]

    def test_discovery(self) -> None:
        """An event about a meeting that is not known makes the list of sessions due."""
        session = Session("session", "new", NOW + 32, None, 2)

        async def steps(simulation: Simulation, _webhooks: WebhookSimulation) -> list[int]:
            counts = []
            for _ in range(5):
                simulation.proxy.new_calls()
                await simulation.scrape()
                paths = [call.path for call in simulation.proxy.new_calls()]
                counts.append(paths.count("sessions"))
            return counts

        configuration = webhook_config(meetings__discover="true")
        # Listed at 0, 30 and, because of the event, at 45 s.
        assert with_webhooks(steps, configuration=configuration, sessions=(session,)) == [
            1, 0, 1, 1, 0,
        ]  # fmt: skip


@pytest.mark.parametrize("fault", WebhookFault)
def test_no_event_writes(fault: WebhookFault) -> None:
    """Whatever events say, only the API's answers are shown."""
    claimed = ScriptedScenario(recordings=recorded_at(20, 200, 400))

    async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> list[str]:
        webhooks.set_fault(fault)
        texts = await simulation.scrapes(40)
        assert fault is WebhookFault.SILENT or webhooks.statuses
        return texts

    for text in with_webhooks(steps, sent=claimed):
        assert not labelled(text, "rk_recording_status")
        assert set(by_meeting(text, "rk_meeting_active_recordings").values()) == {0.0}
        assert not samples(text, "rk_recordings_finished_total") or not any(
            samples(text, "rk_recordings_finished_total").values()
        )


def test_event_of_an_app_that_is_not_read() -> None:
    """
    The metrics of an app do not count an event that names another app, and an unknown meeting.

    That other app may be one of an account whose apps are not listed yet.
    """
    name = "rk_webhook_last_event_timestamp_seconds"

    async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> list[str]:
        await simulation.last_scrape(3)
        body = event_body("elsewhere", organizationId="00000000-1573-2412-d22c-16fd0a01e000")
        assert await webhooks.post(signed(body), body) == 200
        before = await simulation.scrape()
        body = event_body("new-meeting", id="another", recordingId="another")
        assert await webhooks.post(signed(body, event_id="another"), body) == 200
        return [before, await simulation.scrape()]

    before, after = with_webhooks(steps, configuration=webhook_config(meetings__discover="true"))
    assert not labelled(before, name)
    assert not labelled(before, "rk_webhook_up")
    assert len(labelled(after, name)) == 1, "this event names the app"


class TestFaults:
    RECORDINGS = recorded_at(*range(20, 620, 60))

    def run(self, fault: WebhookFault) -> tuple[Counter[str], Counter[int], str]:
        """Return the results, the statuses of the answers, and the last exposition."""

        async def steps(
            simulation: Simulation, webhooks: WebhookSimulation
        ) -> tuple[Counter[str], Counter[int], str]:
            webhooks.set_fault(fault)
            texts = await simulation.scrapes(80)
            return webhooks.results, webhooks.statuses, texts[-1]

        results, statuses, text = with_webhooks(steps, *self.RECORDINGS)
        # Polling has seen everything in any case.
        (uploaded,) = [
            value
            for labels, value in labelled(text, "rk_recordings_finished_total")
            if labels["outcome"] == "uploaded"
        ]
        assert uploaded == len(self.RECORDINGS)
        return results, statuses, text

    def health(self, text: str) -> tuple[float | None, float]:
        (missed,) = samples(text, "rk_webhook_missed_total").values()
        (up,) = [*samples(text, "rk_webhook_up").values(), None][:1]
        return up, missed

    @pytest.mark.parametrize(
        ("fault", "accepted"),
        [
            (WebhookFault.NONE, 30),
            (WebhookFault.REORDERED, 30),
            (WebhookFault.OTHER_ORGANIZATION, 30),
            (WebhookFault.ANNOUNCES_INVOKED, 40),
        ],
    )
    def test_harmless(self, fault: WebhookFault, accepted: int) -> None:
        """In any order, and whatever the organization's id means, events announce all changes."""
        results, statuses, text = self.run(fault)
        assert results == {"accepted": accepted}
        assert statuses == {200: accepted}
        assert self.health(text) == (1.0, 0.0)

    @pytest.mark.parametrize("fault", [WebhookFault.REPLAYED, WebhookFault.DUPLICATE])
    def test_repeated(self, fault: WebhookFault) -> None:
        """Each event counts once, also if somebody gives it another id."""
        results, statuses, text = self.run(fault)
        assert results == {"accepted": 30, "duplicate": 30}
        assert statuses == {200: 60}
        assert self.health(text) == (1.0, 0.0)

    @pytest.mark.parametrize(
        ("fault", "result", "status"),
        [
            (WebhookFault.FORGED, "bad_signature", 403),
            (WebhookFault.MALFORMED, "malformed", 400),
            (WebhookFault.UNKNOWN_MEETING, "unknown_meeting", 200),
        ],
    )
    def test_useless(self, fault: WebhookFault, result: str, status: int) -> None:
        """Events that say nothing count as what they are, and all changes as missed."""
        results, statuses, text = self.run(fault)
        assert results == {result: 30}
        assert statuses == {status: 30}
        assert self.health(text) == (0.0, 30.0)

    def test_unknown_event(self) -> None:
        """An event with an unknown name is accepted, and announces no change."""
        results, _, text = self.run(WebhookFault.UNKNOWN_EVENT)
        assert results == {"accepted": 30}
        assert self.health(text) == (0.0, 30.0)

    def test_oversized(self) -> None:
        """An event that is too large is refused, and not counted."""
        results, statuses, text = self.run(WebhookFault.OVERSIZED)
        assert not results
        assert statuses == {413: 30}
        assert self.health(text) == (0.0, 30.0)

    def test_silent(self) -> None:
        """Without events, each change that polling sees is missed."""
        results, _, text = self.run(WebhookFault.SILENT)
        assert not results
        assert self.health(text) == (0.0, 30.0)

    def test_late(self) -> None:
        """An event that comes five minutes late counts as missed, and still as an event."""
        results, _, text = self.run(WebhookFault.LATE)
        assert results["accepted"] > 0
        up, missed = self.health(text)
        assert up == 0.0
        assert missed == 30

    def test_dropped(self) -> None:
        """If every second event is lost, as many changes are missed."""
        results, _, text = self.run(WebhookFault.DROPPED)
        assert results == {"accepted": 15}
        assert self.health(text)[1] == 15

    def test_key_rotated(self) -> None:
        """After the key has changed, events are accepted again within a minute."""

        async def steps(
            simulation: Simulation, webhooks: WebhookSimulation
        ) -> tuple[Counter[str], Counter[int]]:
            await simulation.last_scrape(20)
            webhooks.set_key(1)
            await simulation.last_scrape(60)
            return webhooks.results, webhooks.statuses

        results, _ = with_webhooks(steps, *self.RECORDINGS)
        assert results == {"accepted": 30}

    def test_key_down(self) -> None:
        """While there is no key, events are to be sent again; later the last key stays in use."""

        async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> Counter[str]:
            webhooks.set_key(status=503)
            await simulation.last_scrape(7)
            webhooks.set_key()
            await simulation.last_scrape(20)
            webhooks.set_key(status=500)
            await simulation.last_scrape(53)
            return webhooks.results

        results = with_webhooks(steps, *self.RECORDINGS)
        assert results["no_key"] > 0
        assert results == {"no_key": results["no_key"], "accepted": 30 - results["no_key"]}


@pytest.mark.no_cover
class TestIdleMeetings:
    def idle_calls(self, fault: WebhookFault, *, then: WebhookFault | None = None) -> list[float]:
        """Return when an idle meeting was read in 100 minutes; *then* events go wrong."""
        recordings = [recording for at in range(20, 6000, 300) for recording in recorded_at(at)]

        async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> list[float]:
            webhooks.set_fault(fault)
            times = []
            for number in range(400):
                if number == 200 and then:
                    webhooks.set_fault(then)
                simulation.proxy.new_calls()
                text = await simulation.scrape()
                calls = simulation.proxy.new_calls()
                if any(call.path.endswith(f"/{MEETINGS[2]}") for call in calls):
                    times.append(simulation.scraped_at - NOW)
                # Nothing disappears because it is read less often.
                assert len(by_meeting(text, "rk_meeting_active_recordings")) == 3
            return times

        configuration = webhook_config(meeting_ids=MEETINGS[:3])
        return with_webhooks(steps, *recordings, configuration=configuration)

    def test_healthy(self) -> None:
        """With healthy webhooks an idle meeting is read every ten minutes, and never later."""
        times = self.idle_calls(WebhookFault.NONE)
        gaps = [later - before for before, later in pairwise(times)]
        late = [gap for gap, at in zip(gaps, times, strict=False) if at > 120]
        assert all(500 <= gap <= 600 for gap in late)
        assert len(late) >= 8

    def test_silent(self) -> None:
        """When webhooks fall silent while recordings go on, it is read at each scrape again."""
        times = self.idle_calls(WebhookFault.NONE, then=WebhookFault.SILENT)
        before = [at for at in times if 120 < at < 3000]
        assert len(before) <= 6
        # Two changes of the next recording, and two minutes.
        assert len([at for at in times if 3000 + 600 < at]) == (6000 - 3600) / INTERVAL - 1

    def test_api_recovers(self) -> None:
        """After an outage the next scrape makes a call, although all meetings are idle."""

        async def steps(simulation: Simulation, _webhooks: WebhookSimulation) -> list[float]:
            await simulation.last_scrape(40)
            ups: list[float] = []
            # However long calls have failed, and the app's list is put off.
            for count in range(1, 20):
                simulation.simulator.inject("*", Fault.HTML)
                await simulation.last_scrape(4 + count)
                simulation.simulator.clear()
                ups += samples(await simulation.scrape(), "rk_up").values()
                await simulation.last_scrape(4)
            return ups

        configuration = webhook_config(meeting_ids=MEETINGS[:3])
        ups = with_webhooks(steps, *recorded_at(20), configuration=configuration)
        assert [1.0] * 19 == ups

    def test_never_proven(self) -> None:
        """Without any event it is read at each scrape, as if webhooks were off."""
        assert len(self.idle_calls(WebhookFault.SILENT)) == 400


@pytest.mark.no_cover
def test_flood() -> None:
    """A flood of signed events takes no more than its part of the calls from other meetings."""

    async def steps(simulation: Simulation, webhooks: WebhookSimulation) -> tuple[float, int]:
        number, read_at, longest = 0, dict.fromkeys(MEETINGS, 0.0), 0.0
        # More than twice the passes in which each meeting must be read.
        for _ in range(150):
            for meeting_id in MEETINGS[:30]:
                number += 1
                # The second kind also asks for the app's list.
                status = ("RECORDING", "ERRORED")[number % 2]
                body = event_body(meeting_id, recordingId=f"recording-{number}", status=status)
                assert await webhooks.post(signed(body, event_id=f"{number}"), body) == 200
            simulation.proxy.new_calls()
            await simulation.scrape_snapshot()
            now = simulation.scraped_at - NOW
            for call in simulation.proxy.new_calls():
                for meeting_id in MEETINGS:
                    if f"/{meeting_id}/" in f"/{call.path}/":
                        longest = max(longest, now - read_at[meeting_id])
                        read_at[meeting_id] = now
        longest = max(longest, *(now - at for at in read_at.values()))
        return longest, simulation.simulator.requests.peak

    longest, peak = with_webhooks(steps, configuration=small_config())
    assert peak <= 60
    # Three calls in each pass, of which the round robin has one or two: 60 meetings in at most 60
    # passes, as without webhooks.
    assert longest <= 61 * INTERVAL


def test_off() -> None:
    """Without webhooks there are no metrics of them."""
    text = simulate(lambda simulation: simulation.scrape(), meetings=["a"], configuration=config())
    assert "rk_webhook" not in text
