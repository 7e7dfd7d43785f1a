"""The report of `check` about a snapshot, as lines for people."""

from collections.abc import Iterator, Mapping

from rk_exporter.cli.check_meetings import Existence
from rk_exporter.cli.check_verdicts import (
    NOTHING_KNOWN,
    ExistenceByApp,
    Summary,
    blocked_until,
    counted,
    discovery_failure,
    is_app_fine,
    known_about,
    missing_meeting,
    notes,
    token_failure,
)
from rk_exporter.cli.tones import Painter, Tone, plain
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Reading, ReadMode
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.remedies import ACCOUNT_REMEDIES, REMEDIES, UNWANTED_APPS_REMEDY
from rk_exporter.runtime.durations import duration_text
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot


_FAILED = "FAILED"
_TONES = {Status.ERRORED: Tone.BAD, Status.UNKNOWN: Tone.DOUBTFUL, Status.PAUSED: Tone.DOUBTFUL}
_SIZE_UNITS = ("B", "kB", "MB", "GB", "TB")
_THOUSAND = 1000


def lines(
    snapshot: Snapshot,
    existence: ExistenceByApp = NOTHING_KNOWN,
    *,
    offline: bool = False,
    paint: Painter = plain,
) -> Iterator[str]:
    """Return a line for each app and meeting; *offline* means that nothing was read."""
    for account in snapshot.accounts:
        yield _account_line(account, offline=offline, paint=paint)
    for app in snapshot.apps:
        known = known_about(app, existence)
        yield _app_line(app, known, offline=offline, paint=paint)
        rejection = token_failure(app)
        if rejection:
            yield f"  token: {paint(_FAILED, Tone.BAD)} {_failure_text(rejection)}"
        elif failure := discovery_failure(app):
            yield f"  live meetings: {paint(_FAILED, Tone.BAD)} {_failure_text(failure)}"
        shown = _Listing(app, known, now=snapshot.taken_at, paint=paint)
        yield from shown.lines(offline=offline)
        yield from (f"  {paint('note', Tone.DOUBTFUL)}: {note}" for note in notes(app, known))


def summary_line(
    summary: Summary, *, is_fine: bool, offline: bool = False, paint: Painter = plain
) -> str:
    """Return how many apps and meetings there are, and how many of them have which problem."""
    subject = f"{counted(summary.apps, 'app')}, {counted(summary.meetings)}"
    if offline:
        result = paint("the configuration is valid", Tone.GOOD)
        return f"{subject}: {result}, no API calls made"
    parts = [part for count, part in _counts(summary) if count]
    if not parts:
        parts = ["fine" if is_fine else _FAILED]
    return f"{subject}: {paint(', '.join(parts), Tone.GOOD if is_fine else Tone.BAD)}"


def _counts(summary: Summary) -> Iterator[tuple[int, str]]:
    """Return each count with its words."""
    do = "does" if summary.missing == 1 else "do"
    tokens = counted(summary.rejected_tokens, "token")
    discoveries = counted(summary.failed_discoveries, "app")
    yield summary.fine, f"{summary.fine:,} fine"
    yield summary.missing, f"{summary.missing:,} {do} not exist"
    yield summary.failed, f"{summary.failed:,} cannot be read"
    yield summary.unread, f"{summary.unread:,} not read"
    yield summary.unverified, f"{summary.unverified:,} read but perhaps mistyped"
    yield summary.left_out, f"{summary.left_out:,} not checked"
    yield summary.rejected_tokens, f"{tokens} rejected"
    accounts = counted(summary.failed_accounts, "account")
    yield summary.failed_accounts, f"apps of {accounts} not listed"
    empty = counted(summary.accounts_without_apps, "account")
    yield summary.accounts_without_apps, f"all apps of {empty} left out"
    yield summary.failed_discoveries, f"live meetings of {discoveries} not listed"


def _account_line(account: AccountSnapshot, *, offline: bool, paint: Painter) -> str:
    subject = f"{account.account.name}: account {account.account.account_id}, all apps"
    if offline:
        return f"{subject}: no API calls made"
    if account.up and account.apps is not None:
        found = counted(account.listed or 0, "app")
        if account.wants_none:
            failed = paint(_FAILED, Tone.BAD)
            return f"{subject}: {failed} {found} found, none to read; {UNWANTED_APPS_REMEDY}"
        return f"{subject}: {paint('ok', Tone.GOOD)}, {found} found, {account.apps} to read"
    failed = paint(_FAILED, Tone.BAD)
    if account.failure is None:
        return f"{subject}: {failed} not listed, because the budget or the time ran out"
    return f"{subject}: {failed} {_failure_text(account.failure, ACCOUNT_REMEDIES)}"


def _app_line(app: AppSnapshot, known: Existence, *, offline: bool, paint: Painter) -> str:
    subject = f"{app.app.name}: account {app.app.account_id}, app {app.app.app_id}"
    total = len(app.readings)
    if offline:
        return f"{subject}: {counted(total)} listed, no API calls made"
    read = sum(1 for reading in app.readings if reading.up)
    verdict = paint("ok", Tone.GOOD) if is_app_fine(app, known) else paint(_FAILED, Tone.BAD)
    how = " through the list" if app.read_mode is ReadMode.LIST else ""
    return f"{subject}: {verdict}, {read} of {total} meetings read{how}"


class _Listing:
    """The meetings of one app, as lines."""

    def __init__(self, app: AppSnapshot, known: Existence, *, now: float, paint: Painter) -> None:
        self._app = app
        self._known = known
        self._now = now
        self._paint = paint
        self._failed = paint(_FAILED, Tone.BAD)

    def lines(self, *, offline: bool) -> Iterator[str]:
        """Return a line for each meeting, in columns."""
        readings = [reading for reading in self._app.readings if not self._is_hidden(reading)]
        id_width = max((len(reading.meeting.meeting_id) for reading in readings), default=0)
        name_width = max((len(_name(reading)) for reading in readings), default=0)
        for reading in readings:
            state = "listed" if offline else self._state(reading)
            name = f"{_name(reading):{name_width}}  " if name_width else ""
            yield f"  {reading.meeting.meeting_id:{id_width}}  {name}{state}"

    def _is_hidden(self, reading: Reading) -> bool:
        """Return whether the rejected token is all that there is to say about a meeting."""
        is_other = reading.failure is not None and reading.failure.reason is not Reason.AUTH
        return token_failure(self._app) is not None and not is_other

    def _state(self, reading: Reading) -> str:
        if missing := missing_meeting(reading, self._known):
            return f"{self._failed} {Reason.NOT_FOUND}: {'; '.join(missing)}"
        if reading.failure:
            suspect = self._known.suspects.get(reading.meeting.meeting_id)
            listed = f" ({suspect})" if suspect else ""
            return f"{self._failed} {_failure_text(reading.failure)}{listed}"
        if reading.recordings is None:
            return self._unread_text()
        if not reading.recordings:
            problem = self._known.failures.get(reading.meeting.meeting_id)
            doubt = f"; cannot see whether the meeting exists: {problem}" if problem else ""
            return f"no active recording{doubt}"
        return "; ".join(map(self._recording_text, reading.recordings))

    def _unread_text(self) -> str:
        until = blocked_until(self._app)
        if until is None:
            return (
                f"{self._failed}: not read, because the budget or the time ran out; raise "
                "--api.budget, or list fewer meetings"
            )
        return (
            f"{self._failed}: not read, because a refused call suspends API calls for "
            f"{duration_text(until - self._now)}; try again after that"
        )

    def _recording_text(self, recording: Recording) -> str:
        status = recording.status
        shown = self._paint(status, _TONES.get(status, Tone.GOOD))
        parts = [f"{shown} (recording {recording.recording_id})"]
        duration = recording.duration_seconds(as_of=self._now)
        if duration is not None:
            parts.append(f"{duration_text(duration)} long")
        if recording.file_size_bytes:
            parts.append(_size_text(recording.file_size_bytes))
        expiry = recording.download_url_expiry_timestamp_seconds
        if expiry is not None:
            left_seconds = expiry - self._now
            expires = f"expires in {duration_text(left_seconds)}"
            parts.append(f"download URL {expires if left_seconds > 0 else 'has expired'}")
        return ", ".join(parts)


def _name(reading: Reading) -> str:
    meeting = reading.meeting
    return "" if meeting.name == meeting.meeting_id else meeting.name


def _failure_text(failure: Failure, remedies: Mapping[Reason, str] = REMEDIES) -> str:
    text = f"{failure.reason}: {failure.explanation}; {remedies[failure.reason]}"
    return f'{text}; the API says "{failure.api_message}"' if failure.api_message else text


def _size_text(size_bytes: float) -> str:
    for unit in _SIZE_UNITS[:-1]:
        if size_bytes < _THOUSAND:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= _THOUSAND
    return f"{size_bytes:.3g} {_SIZE_UNITS[-1]}"
