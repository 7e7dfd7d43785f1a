import base64
import json

import pytest

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.simulator.webhooks.signing import public_pem, sign
from rk_exporter.webhooks.signature import parse_public_key
from tests.support.webhooks import key


BODY = b'{"event": "meeting.started"}'


def test_right() -> None:
    """A signature is right for exactly the body that was signed."""
    signature = sign(0, BODY)
    assert key().verifies(signature, BODY)
    assert not key().verifies(signature, BODY + b" ")
    assert not key(1).verifies(signature, BODY)


@given(
    signature=st.text(max_size=600) | st.binary().map(lambda raw: base64.b64encode(raw).decode())
)
def test_wrong(signature: str) -> None:
    """Any text that is no signature is refused without an error."""
    assert not key().verifies(signature, BODY)


def test_long() -> None:
    """A text that is longer than any signature is not even decoded."""
    assert not key().verifies("A" * 1_000_000, BODY)


@pytest.mark.parametrize(
    "content",
    [
        public_pem(0).encode(),
        json.dumps({"success": True, "data": {"publicKey": public_pem(0)}}).encode(),
        json.dumps({"publicKey": public_pem(0).replace("\n", "\\n")}).encode(),
    ],
    ids=["PEM", "as published", "escaped twice"],
)
def test_key_formats(content: bytes) -> None:
    """A key is read as PEM, and as the JSON in which RealtimeKit publishes it."""
    assert parse_public_key(content) == key()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{}", b"{", b'{"data": []}', b"-----BEGIN PUBLIC KEY---"),
        *(b'{"publicKey": "\xff"}', b'{"publicKey": "\\ud800"}', b'{"data": ' + b"[" * 60_000),
    ],
)
def test_no_key(content: bytes) -> None:
    """Anything else is refused, with what is expected."""
    with pytest.raises(ValueError, match="expected a public key"):
        parse_public_key(content)


def test_other_keys() -> None:
    """A key of another kind, or a short one, is refused."""
    pem = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    curve = generate_ec(SECP256R1()).public_key().public_bytes(*pem)
    with pytest.raises(ValueError, match="expected an RSA key"):
        parse_public_key(curve)
    small = 1024
    short = generate_private_key(65_537, small).public_key().public_bytes(*pem)
    with pytest.raises(ValueError, match="at least 2048 bits, got 1024"):
        parse_public_key(short)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_private_key(form: PrivateFormat) -> None:
    """A private key is refused as such, and does not appear in the message."""
    private = generate_private_key(65_537, 2048).private_bytes(Encoding.PEM, form, NoEncryption())
    with pytest.raises(ValueError, match="is a private key; put the public key there") as caught:
        parse_public_key(private)
    assert private.decode().splitlines()[1] not in str(caught.value)
