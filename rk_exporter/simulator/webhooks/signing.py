"""
Keys that sign webhooks.

Only imported if webhooks are used, because the package that signs is optional.
"""

import base64

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


_BITS = 2048
_EXPONENT = 65_537
_keys: dict[int, RSAPrivateKey] = {}


def sign(number: int, body: bytes) -> str:
    """Return the signature of a *body*, in base64, by the key with this *number*."""
    return base64.b64encode(_key(number).sign(body, PKCS1v15(), SHA256())).decode()


def public_pem(number: int) -> str:
    """Return the public part of the key with this *number*."""
    key = _key(number).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _key(number: int) -> RSAPrivateKey:
    # One for the process, because making one takes a tenth of a second.
    if number not in _keys:
        _keys[number] = generate_private_key(_EXPONENT, _BITS)
    return _keys[number]
