import asyncio

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.app_webhook import AppWebhook
from rk_exporter.model.meeting import App, Meeting, ReadMode
from rk_exporter.webhooks.receiver import Receiver, Result
from rk_exporter.webhooks.signature import PublicKey
from tests.support.app_parts import app_parts
from tests.support.building import Time
from tests.support.webhooks import event_body, key, signed


@dataclass
class Keys:
    """The key in use, and the one that a renewal finds."""

    used: PublicKey | None = field(default_factory=key)
    new: PublicKey | None = None

    async def current(self) -> PublicKey | None:
        return self.used

    async def renewed(self, used: PublicKey) -> PublicKey | None:
        assert used == self.used
        return self.new


class Site:
    """A receiver for apps that each read one meeting."""

    def __init__(
        self, *app_ids: str, keys: Keys | None = None, finds_meetings: bool = False
    ) -> None:
        self.apps = [
            _app(app_id, f"meeting-{number}", finds_meetings=finds_meetings)
            for number, app_id in enumerate(app_ids, 1)
        ]
        self.counts = Counter[tuple[str, str]]()
        self.receiver = Receiver(keys or Keys(), apps=lambda: self.apps, count=self._count)

    def _count(self, event: str, result: Result) -> None:
        self.counts[event, result] += 1

    def take(
        self,
        body: bytes,
        *,
        event_id: str | None = "delivery-1",
        number: int = 0,
        change: Callable[[dict[str, str]], object] = lambda _: None,
    ) -> Result:
        headers = {**signed(body, event_id=event_id, number=number)}
        change(headers)
        return asyncio.run(self.receiver.take(headers, body))

    @property
    def hinted(self) -> list[list[str]]:
        """Return the meetings that are due in each app."""
        return [[*app.webhook.hints.pending.meetings] for app in self.apps if app.webhook]

    @property
    def last_events(self) -> list[float | None]:
        """Return when the last event of each app arrived."""
        return [app.webhook.status.last_event_timestamp_seconds for app in self.apps if app.webhook]


def _app(app_id: str, meeting_id: str, *, finds_meetings: bool = False) -> AppParts:
    clock = Time()
    webhook = AppWebhook(clock)
    webhook.set_meetings([Meeting(meeting_id, meeting_id)])

    async def make() -> AppParts:
        return app_parts(app_id, clock, ReadMode.ACTIVE_RECORDING)

    parts = asyncio.run(make())
    discovery = parts.discovery if finds_meetings else None
    return replace(parts, app=App(app_id, "account", app_id), discovery=discovery, webhook=webhook)


def test_accepted() -> None:
    """A signed event makes its meeting due, and nothing else."""
    site = Site("app-1", "app-2")
    assert site.take(event_body(organizationId="app-1")) is Result.ACCEPTED
    assert site.hinted == [["meeting-1"], []]
    assert site.counts == {("recording.statusUpdate", "accepted"): 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.pop("rtk-signature"),
        lambda headers: headers.update({"rtk-signature": ""}),
        lambda headers: headers.update({"rtk-signature": "AAAA"}),
        lambda headers: headers.update({"rtk-signature": headers["rtk-signature"] + ", x"}),
    ],
    ids=["missing", "empty", "other", "two"],
)
def test_bad_signature(change: Callable[[dict[str, str]], object]) -> None:
    """Without the right signature, nothing is due, and the event's name does not count."""
    site = Site("app-1")
    assert site.take(event_body(), change=change) is Result.BAD_SIGNATURE
    assert site.hinted == [[]]
    assert site.counts == {("other", "bad_signature"): 1}


def test_old_headers() -> None:
    """The headers of the service's predecessor are accepted too."""
    site = Site("app-1")

    def rename(headers: dict[str, str]) -> None:
        headers["dyte-signature"] = headers.pop("rtk-signature")
        headers["dyte-uuid"] = headers.pop("rtk-uuid")

    assert site.take(event_body(), change=rename) is Result.ACCEPTED
    assert site.take(event_body(title="x"), change=rename) is Result.DUPLICATE


def test_no_key() -> None:
    """Without a key nothing is accepted, and the event is to be sent again."""
    site = Site("app-1", keys=Keys(used=None))
    assert site.take(event_body()) is Result.NO_KEY
    assert site.hinted == [[]]


def test_rotated_key() -> None:
    """A signature of the new key is right after a renewal; one of another key still is not."""
    site = Site("app-1", keys=Keys(new=key(1)))
    assert site.take(event_body(), number=1) is Result.ACCEPTED
    assert site.take(event_body(x=1), number=2, event_id="2") is Result.BAD_SIGNATURE


def test_duplicates() -> None:
    """An event counts once: neither its id nor its body may come again."""
    site = Site("app-1")
    assert site.take(event_body()) is Result.ACCEPTED
    site.apps[0] = _app("app-1", "meeting-1")
    assert site.take(event_body()) is Result.DUPLICATE
    assert site.take(event_body(), event_id="another") is Result.DUPLICATE
    assert site.take(event_body(), event_id=None) is Result.DUPLICATE
    assert site.hinted == [[]]
    assert site.take(event_body(status="UPLOADED"), event_id="third") is Result.ACCEPTED


def test_unsigned_id() -> None:
    """An event with a wrong signature does not use up its id."""
    site = Site("app-1")
    assert site.take(event_body(), number=1) is Result.BAD_SIGNATURE
    assert site.take(event_body()) is Result.ACCEPTED


def test_malformed() -> None:
    """A signed body that is no event makes nothing due."""
    site = Site("app-1")
    assert site.take(b"[]") is Result.MALFORMED
    assert site.counts == {("other", "malformed"): 1}


def test_unknown_meeting() -> None:
    """An event about a meeting that is not read makes nothing due."""
    site = Site("app-1", "app-2")
    assert site.take(event_body("another")) is Result.UNKNOWN_MEETING
    assert site.hinted == [[], []]


@pytest.mark.parametrize("app_id", [None, "another", 7])
def test_other_organization(app_id: str | int | None) -> None:
    """If the organization's id is not that of an app, the meeting decides."""
    site = Site("app-1", "app-2")
    assert site.take(event_body("meeting-2", organizationId=app_id)) is Result.ACCEPTED
    assert site.hinted == [[], ["meeting-2"]]


def test_wrong_app() -> None:
    """An event that names one app makes no meeting of another app due."""
    site = Site("app-1", "app-2")
    body = event_body("meeting-2", organizationId="app-1")
    assert site.take(body) is Result.UNKNOWN_MEETING
    assert site.hinted == [[], []]


def test_capital_id() -> None:
    """A UUID is the same app in capitals, in the configuration and in the event."""
    app_id = "2a95132c-1573-2412-d22c-16fd0a01e000"
    for configured, sent in ((app_id.upper(), app_id), (app_id, app_id.upper())):
        site = Site(configured, "app-2", finds_meetings=True)
        assert site.take(event_body("another", organizationId=sent)) is Result.ACCEPTED
        assert [bool(last) for last in site.last_events] == [True, False]


@pytest.mark.parametrize("app_id", [None, "app-3", 7])
@pytest.mark.parametrize("event", ["recording.statusUpdate", "meeting.ended", "meeting.summary"])
def test_app_that_is_not_read(app_id: str | int | None, event: str) -> None:
    """
    An event of an app that is not read, or not yet, does not show that events of others arrive.

    Discovery looks for the meeting, because the organization's id may have another meaning.
    """
    site = Site("app-1", "app-2", finds_meetings=True)
    body = event_body("another", organizationId=app_id).replace(
        b"recording.statusUpdate", event.encode()
    )
    assert site.take(body) is Result.ACCEPTED
    assert site.last_events == [None, None]
    assert site.hinted == [[], []]


def test_app_of_new_meeting() -> None:
    """An event that names an app shows that its events arrive, also before its meeting is found."""
    site = Site("app-1", "app-2", finds_meetings=True)
    assert site.take(event_body("another", organizationId="app-2")) is Result.ACCEPTED
    assert [bool(last) for last in site.last_events] == [False, True]


def test_meeting_of_two_apps() -> None:
    """An event that names no app, about a meeting of two apps, shows nothing about either."""
    site = Site("app-1", "app-2")
    site.apps[1] = _app("app-2", "meeting-1")
    assert site.take(event_body(organizationId=None)) is Result.ACCEPTED
    assert site.hinted == [["meeting-1"], ["meeting-1"]]
    assert site.last_events == [None, None]
