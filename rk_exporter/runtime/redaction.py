"""What must not be shown of the texts of others: the API token, and the signatures of URLs."""

import re


REDACTED = "[redacted]"
# The token is part of an answer by accident only if it is short. Cloudflare's have 40 characters.
_SHORTEST_TOKEN = 12
_WORD = re.compile(r"\S+")
# Parameters behind a path without a scheme, and those of S3, perhaps percent-encoded.
_PARAMETERS = re.compile(
    r"(?P<mark>\?|%3F)(?=[\w.~-]{1,64}(?:=|%3D))\S*|X-Amz-[A-Z-]{1,64}(?:=|%3D)\S*", re.IGNORECASE
)
_AUTHORITY_END = re.compile(r"[/?#]|$")


def without_signatures(text: str) -> str:
    """
    Return *text* without the queries and the user information of the URLs in it.

    A question mark that no URL has is kept.
    """
    if "?" not in text and "@" not in text and "%" not in text and "=" not in text:
        return text
    return _WORD.sub(lambda match: _word_without_signature(match[0]), text)


def _word_without_signature(word: str) -> str:
    scheme, separator, rest = word.partition("://")
    if separator:
        end = _AUTHORITY_END.search(rest)
        length = end.start() if end else len(rest)
        user, at, host = rest[:length].rpartition("@")
        rest = (f"{REDACTED}@{host}" if at else user + host) + rest[length:]
        path, mark, query = rest.partition("?")
        rest = f"{path}?{REDACTED}" if mark and query else rest
    word = scheme + separator + rest
    return _PARAMETERS.sub(lambda match: (match["mark"] or "") + REDACTED, word)


def without_token(content: bytes, token: str, *, mark: str = REDACTED) -> bytes:
    """
    Return *content* with a *mark* in the place of the *token*, in whatever case it is written.

    Its punctuation may be escaped as in JSON or in a URL. A token that is too short to be one of
    Cloudflare's is kept, because it may be a part of any word.
    """
    if len(token) < _SHORTEST_TOKEN:
        return content
    # Much faster than the search below, which few answers need.
    longest_word = max(re.findall(r"[a-z0-9]*", token.lower()), key=len)
    if longest_word.encode() not in content.lower():
        return content
    pattern = "".join(map(_spellings, token)).encode()
    return re.sub(pattern, lambda _: mark.encode(), content, flags=re.IGNORECASE)


def _spellings(character: str) -> str:
    """Return a pattern for a *character* of a token."""
    if character.isalnum():
        return character
    code = f"{ord(character):02x}"
    return rf"(?:\\?{re.escape(character)}|\\u00{code}|%{code})"
