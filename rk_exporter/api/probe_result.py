"""The findings of `check --probe`: for each question a verdict, the reason, and the evidence."""

from collections.abc import Iterable, Iterator, Sequence

from rk_exporter.api import probe_findings as judge
from rk_exporter.api import probe_headers as headers
from rk_exporter.api.probe import Answers, FilterAnswers, MeetingAnswers, RecordingAnswers
from rk_exporter.api.probe_findings import Finding, Judgement, Question, Verdict
from rk_exporter.api.probe_samples import EMPTY, Sample
from rk_exporter.api.replies import Asked, NotAsked, Reply
from rk_exporter.model.recording import Status


_ACTIVE, _LIST = "GET /recordings/active-recording/ID", "GET /recordings"


def findings(answers: Answers, replies: Sequence[Reply]) -> tuple[Finding, ...]:
    """Return the findings in *answers*; *replies* are all answers with their headers."""
    judgements = {
        Question.PAGE_SIZE: judge.page_size_judgement(answers.pages, answers.filters.sessions),
        **_about_meetings(answers.meetings),
        **_about_recordings(answers.recordings),
        **_about_filters(answers.filters, answers.sample or EMPTY),
    }
    judgements[Question.RATE_LIMIT_HEADERS] = headers.rate_limit_judgement(replies)
    judgements[Question.CLOCK] = headers.clock_judgement(headers.clock_offset(replies))
    evidence = _evidence(answers) | {
        Question.RATE_LIMIT_HEADERS: tuple(headers.rate_limit_evidence(replies)),
        Question.CLOCK: tuple(_clock_evidence(replies)),
    }
    return tuple(
        Finding(
            question=question,
            verdict=judgements[question][0],
            explanation=judgements[question][1],
            evidence=evidence[question],
        )
        for question in Question
    )


def _about_meetings(answers: MeetingAnswers) -> dict[Question, Judgement]:
    idle = judge.none_judgement(answers.idle_active)
    if isinstance(answers.idle_meeting, Reply) and not answers.idle_meeting.is_ok:
        # The answer is then about a meeting that does not exist, which is another question.
        idle = judge.unknown("the configured meeting does not exist, or cannot be confirmed")
    return {
        Question.UNKNOWN_MEETING: judge.none_judgement(answers.unknown_active),
        Question.IDLE_MEETING: idle,
        Question.MEETING_EXISTS: judge.exists_judgement(
            answers.idle_meeting, answers.unknown_meeting
        ),
    }


def _about_recordings(answers: RecordingAnswers) -> dict[Question, Judgement]:
    followed = answers.followed
    return {
        Question.FINISHED_NOT_ACTIVE: judge.finished_judgement(answers.finished_active),
        Question.EXPIRY_FIXED: judge.expiry_judgement(
            answers.first_read,
            answers.second_read,
            recording_id=followed.recording_id if followed else None,
        ),
    }


def _about_filters(answers: FilterAnswers, sample: Sample) -> dict[Question, Judgement]:
    paused = judge.filter_judgement(answers.paused, Status.PAUSED, sample)
    errored = judge.filter_judgement(answers.errored, Status.ERRORED, sample)
    return {
        Question.STATUS_PAUSED: paused,
        Question.STATUS_ERRORED: errored,
        Question.STATUS_LIST: judge.list_filter_judgement(
            answers.several,
            answers.several_statuses,
            sample,
            filters=Verdict.CONFIRMED in {paused[0], errored[0]},
        ),
        Question.START_TIME: judge.start_time_judgement(
            answers.since, answers.start or 0.0, sample
        ),
    }


def _evidence(answers: Answers) -> dict[Question, tuple[str, ...]]:
    """Return the evidence of each question, without ids, names and URLs."""
    pages = [(f"{_LIST}?per_page={size}", asked) for size, asked in answers.pages]
    sessions = ("GET /sessions?per_page=100", answers.filters.sessions)
    return {
        Question.PAGE_SIZE: _shown(*pages, sessions, with_fields=True),
        **_meeting_evidence(answers.meetings),
        **_recording_evidence(answers.recordings),
        **_filter_evidence(answers.filters, answers.sample or EMPTY),
    }


def _meeting_evidence(answers: MeetingAnswers) -> dict[Question, tuple[str, ...]]:
    one = "GET /meetings/ID"
    return {
        Question.UNKNOWN_MEETING: _shown((_ACTIVE, answers.unknown_active)),
        Question.IDLE_MEETING: (
            *_shown((_ACTIVE, answers.idle_active), (one, answers.idle_meeting)),
            *_comparison(answers),
        ),
        Question.MEETING_EXISTS: (
            *_shown((f"{one} (configured)", answers.idle_meeting), with_fields=True),
            *_shown((f"{one} (unknown)", answers.unknown_meeting)),
        ),
    }


def _recording_evidence(answers: RecordingAnswers) -> dict[Question, tuple[str, ...]]:
    details = "GET /recordings/ID"
    return {
        Question.FINISHED_NOT_ACTIVE: _shown((_ACTIVE, answers.finished_active)),
        Question.EXPIRY_FIXED: (
            *_shown((details, answers.first_read), with_fields=True),
            *_shown((details, answers.second_read)),
        ),
    }


def _filter_evidence(answers: FilterAnswers, sample: Sample) -> dict[Question, tuple[str, ...]]:
    several = ",".join(answers.several_statuses)
    return {
        Question.START_TIME: (
            *_shown((f"{_LIST}?start_time=TIME", answers.since)),
            *_start_evidence(answers.start, sample),
        ),
        Question.STATUS_PAUSED: _shown((f"{_LIST}?status=PAUSED", answers.paused)),
        Question.STATUS_ERRORED: _shown((f"{_LIST}?status=ERRORED", answers.errored)),
        Question.STATUS_LIST: _shown((f"{_LIST}?status={several}", answers.several)),
    }


def _shown(*asked: tuple[str, Asked], with_fields: bool = False) -> tuple[str, ...]:
    return tuple(
        reply.describe(request, with_fields=with_fields)
        for request, reply in asked
        if not isinstance(reply, NotAsked)
    )


def _start_evidence(start: float | None, sample: Sample) -> Iterator[str]:
    """Return how many recordings each meaning of `start_time` would select."""
    if start is None:
        return
    invoked = len(sample.ids - sample.invoked_before(start))
    created = len(sample.ids - sample.created_before(start))
    yield (
        f"without start_time: {len(sample.ids)} recordings, {invoked} of them invoked after TIME, "
        f"{created} in meetings created after TIME"
    )


def _comparison(answers: MeetingAnswers) -> Iterator[str]:
    """Return whether active-recording distinguishes a missing meeting from an idle one."""
    idle, unknown, idle_id = answers.idle_active, answers.unknown_active, answers.idle_id
    if isinstance(idle, NotAsked) or isinstance(unknown, NotAsked) or isinstance(idle_id, NotAsked):
        return
    if idle.status is not None and idle.status == unknown.status:
        pairs = ((idle, idle_id), (unknown, answers.unknown_id))
        bodies = {reply.body.replace(used.encode(), b"ID") for reply, used in pairs}
        yield f"same body as about an unknown meeting: {'yes' if len(bodies) == 1 else 'no'}"


def _clock_evidence(replies: Iterable[Reply]) -> Iterator[str]:
    offset = headers.clock_offset(replies)
    if offset is not None:
        yield f"Date minus this machine's clock: {offset.seconds:+.1f} s"
        yield f"largest Age: {offset.largest_age_seconds:.0f} s"
