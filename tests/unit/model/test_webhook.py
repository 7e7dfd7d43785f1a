import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.model.webhook import WebhookEvidence, WebhookHealth, WebhookStatus, health


NOW = 1_795_000_000.0
DAY = 86_400.0
_MOMENTS = st.none() | st.floats(NOW - 10 * DAY, NOW + DAY)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (WebhookEvidence(), WebhookHealth.UNPROVEN),
        # An event alone does not show that changes are announced.
        (WebhookEvidence(last_event_at=NOW), WebhookHealth.UNPROVEN),
        (WebhookEvidence(last_announced_at=NOW), WebhookHealth.HEALTHY),
        (WebhookEvidence(last_announced_at=NOW - DAY), WebhookHealth.HEALTHY),
        (WebhookEvidence(last_announced_at=NOW - DAY - 1), WebhookHealth.UNPROVEN),
        (
            WebhookEvidence(last_announced_at=NOW, last_missed_at=NOW - 1800, missed=1),
            WebhookHealth.LOSSY,
        ),
        (
            WebhookEvidence(last_announced_at=NOW, last_missed_at=NOW - 1801, missed=1),
            WebhookHealth.HEALTHY,
        ),
        (
            WebhookEvidence(
                last_announced_at=NOW - 7200, last_missed_at=NOW - 3600, missed_in_a_row=1
            ),
            WebhookHealth.LOSSY,
        ),
        (
            WebhookEvidence(last_missed_at=NOW - 10 * DAY, missed_in_a_row=2),
            WebhookHealth.SILENT,
        ),
        # The clock was set back.
        (WebhookEvidence(last_announced_at=NOW + 60), WebhookHealth.UNPROVEN),
    ],
)
def test_health(evidence: WebhookEvidence, expected: WebhookHealth) -> None:
    """Webhooks are healthy only if changes were announced within a day, and none missed lately."""
    assert health(evidence, now=NOW) is expected


@given(event=_MOMENTS, announced=_MOMENTS, missed=_MOMENTS, in_a_row=st.integers(0, 5))
def test_healthy_needs_proof(
    event: float | None, announced: float | None, missed: float | None, in_a_row: int
) -> None:
    """Whatever happened, webhooks are healthy only with a recent proof and without a miss."""
    evidence = WebhookEvidence(event, announced, missed, in_a_row)
    if health(evidence, now=NOW) is WebhookHealth.HEALTHY:
        assert announced is not None
        assert 0 <= NOW - announced <= DAY
        assert in_a_row == 0
        assert missed is None or not 0 <= NOW - missed <= 1800


@pytest.mark.parametrize(
    ("state", "up"),
    [
        (WebhookHealth.UNPROVEN, None),
        (WebhookHealth.HEALTHY, True),
        (WebhookHealth.LOSSY, True),
        (WebhookHealth.SILENT, False),
    ],
)
def test_up(state: WebhookHealth, *, up: bool | None) -> None:
    """Webhooks are down only if they are silent, and unknown without proof."""
    assert WebhookStatus(health=state).up is up
