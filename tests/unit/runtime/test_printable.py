import os

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.runtime.printable import label_text, names_text, visible


@given(text=st.text(st.characters()))
@example(text="第一\u3000会議室")
@example(text="a\u00a0b\u202fc\u2028d\u202ee\x85f\ud800g\x7fh")
@example(text="ä" * 300)
def test_label_text(text: str) -> None:
    """The text is one printable line of at most 255 characters, and stays itself."""
    cleaned = label_text(text)
    assert cleaned.isprintable()
    assert len(cleaned) <= 255
    assert cleaned == cleaned.encode().decode()
    assert cleaned == label_text(cleaned)
    if text.isprintable() and len(text) <= 255:
        assert cleaned == text.strip()


def test_white_space() -> None:
    """Any kind of white space becomes a space."""
    assert label_text("第一\u3000会議室") == "第一 会議室"
    assert label_text("\u202fDr.\u00a0Who\n") == "Dr. Who"


@given(name=st.binary(min_size=1))
@example(name=b"/etc/\xff/meetings")
@example(name="/etc/\u202e".encode())
def test_visible(name: bytes) -> None:
    """The path of any file is shown as printable UTF-8."""
    shown = visible(os.fsdecode(name))
    assert shown.isprintable()
    assert shown == shown.encode().decode()


def test_visible_bytes() -> None:
    """Bytes that are not UTF-8, and formatting characters, are shown as escapes."""
    assert visible(os.fsdecode(b"a\xffb")) == r"a\xffb"
    assert visible("a\u202eb\n") == r"a\u202eb\n"
    assert visible("ü") == "ü"


@given(names=st.lists(st.text(st.characters()), max_size=30))
def test_names(names: list[str]) -> None:
    """At most ten names are in the text, printable, and the others are counted."""
    text = names_text(names)
    assert text.isprintable()
    shown = ", ".join(visible(name) for name in names[:10])
    assert text == (shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more")
