"""The trouble levels of recordings with the text and colour that all tables use."""

from dashboards.expressions import CHECK, EMPTY, EXPIRES, FAILED, FINE, STUCK


TROUBLES = {
    STUCK: ("stuck", "red"),
    FAILED: ("failed", "red"),
    EMPTY: ("empty", "orange"),
    CHECK: ("check", "orange"),
    EXPIRES: ("expires", "yellow"),
    FINE: ("fine", "transparent"),
}
