"""Recognise the files that RealtimeKit writes by their first bytes."""

HEAD_BYTES = 512
"""How many bytes to look at: in a tar archive the mark is at byte 257."""
_MP4_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"})
_STARTS = (
    b"\x1a\x45\xdf\xa3",  # WebM, Matroska
    b"ID3",  # MP3
    b"OggS",
    b"fLaC",
)
_TAR_MARK = slice(257, 262)
_SYNC = 0xFF
_MPEG_AUDIO_BITS = 0xE0


def is_media(head: bytes) -> bool:
    """
    Return whether a file that begins with *head* is a recording.

    MP4 and WebM are documented, and for audio any usual container is accepted. A recording with
    interactive parts is a tar archive.
    """
    return (
        head[4:8] in _MP4_BOXES
        or head.startswith(_STARTS)
        or (head.startswith(b"RIFF") and head[8:12] == b"WAVE")
        or head[_TAR_MARK] == b"ustar"
        or _is_mpeg_audio(head)
    )


def _is_mpeg_audio(head: bytes) -> bool:
    """Return whether *head* begins with a frame of MP3 or AAC, which has eleven bits set."""
    if len(head) < 3 or head[0] != _SYNC or head[1] & _MPEG_AUDIO_BITS != _MPEG_AUDIO_BITS:  # noqa: PLR2004 # a frame's head
        return False
    # A text in UTF-16 begins with FF FE, and 1111 is no bit rate or rate of MP3.
    is_aac = head[1] & 0xF6 == 0xF0  # noqa: PLR2004 # layer 0
    is_layer = head[1] & 0x06 != 0 and head[1] & 0x18 != 0x08  # noqa: PLR2004 # the reserved version
    return is_aac or (is_layer and head[2] >> 4 != 0xF and head[2] & 0x0C != 0x0C)  # noqa: PLR2004
