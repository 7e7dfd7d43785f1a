"""Signatures of webhooks: RSA with SHA-256 (PKCS #1 v1.5), over the raw body."""

import base64
import binascii
import hashlib
import re

from typing import Any

import msgspec

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key


LARGEST_KEY_BYTES = 64 * 1024
_PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_FEWEST_BITS = 2048
# Base64 of the signature of a key with 16,384 bits.
_LONGEST_SIGNATURE = 4096


class PublicKey:
    """A public key; equal keys verify the same signatures."""

    def __init__(self, key: RSAPublicKey) -> None:
        self._key = key
        numbers = key.public_numbers()
        self._id = (numbers.n, numbers.e)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self._id == other._id

    def __hash__(self) -> int:
        return hash(self._id)

    def __repr__(self) -> str:
        digest = hashlib.sha256(str(self._id).encode()).hexdigest()
        return f"PublicKey({digest[:12]})"

    def verifies(self, signature: str, body: bytes) -> bool:
        """Return whether a *signature*, in base64, was made for exactly this *body*."""
        if len(signature) > _LONGEST_SIGNATURE:
            return False
        try:
            decoded = base64.b64decode(signature, validate=True)
            self._key.verify(decoded, body, PKCS1v15(), SHA256())
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True


def parse_public_key(content: bytes) -> PublicKey:
    """
    Return the key in *content*: PEM, or the JSON with `data.publicKey` in which it is published.

    Raises ValueError, whose message says what is wrong.
    """
    if _PRIVATE.search(content):
        raise ValueError("is a private key; put the public key there, and keep no private one")
    try:
        key = load_pem_public_key(_pem(content))
    except (ValueError, RecursionError, UnsupportedAlgorithm):
        raise ValueError("expected a public key in PEM, or JSON with data.publicKey") from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("expected an RSA key, as RealtimeKit uses it")  # noqa: TRY004 # what is wrong is the content
    if key.key_size < _FEWEST_BITS:
        raise ValueError(f"expected a key of at least {_FEWEST_BITS} bits, got {key.key_size}")
    return PublicKey(key)


def _pem(content: bytes) -> bytes:
    if not content.lstrip().startswith(b"{"):
        return content
    document: Any = msgspec.json.decode(content)
    data = document.get("data")
    for place in (data, document):
        key = place.get("publicKey") if isinstance(place, dict) else None
        if isinstance(key, str):
            # Some tools escape line breaks twice.
            return key.replace("\\n", "\n").encode()
    raise ValueError("no public key")
