"""The trouble levels of recordings with the text and colour that all tables use."""

from dashboards.expressions import CHECK, EMPTY, EXPIRES, FAILED, FINE, STUCK
from rk_exporter.model.palette import BAD, SOON


TROUBLES = {
    STUCK: ("stuck", BAD),
    FAILED: ("failed", BAD),
    EMPTY: ("empty", SOON),
    CHECK: ("check", SOON),
    EXPIRES: ("expires", SOON),
    FINE: ("fine", "transparent"),
}
