"""Keys for tests of signatures: `signer(kind)` signs as `DOMAIN`, `verified(data)` asks dkimpy about an RSA one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa

from bots.email.dkim import Signer

DOMAIN = "press.example.org"


@cache
def rsa(bits: int = 2048) -> RSAPrivateKey:
    return generate_rsa(65537, bits)


@cache
def ed25519() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


KEYS: dict[str, Callable[[], RSAPrivateKey | Ed25519PrivateKey]] = {"rsa": rsa, "ed25519": ed25519}


def signer(kind: str) -> Signer:
    return Signer(DOMAIN, kind, KEYS[kind]())


def verified(data: bytes) -> bool:
    """Whether dkimpy finds the signature good; it knows RSA without further libraries."""
    by = signer("rsa")
    zone = {f"{by.record_name}.".encode(): by.record.encode()}
    try:
        return bool(dkim.verify(data, dnsfunc=lambda name, timeout=5: zone.get(name)))
    except dkim.DKIMException:
        return False


def pem(key: RSAPrivateKey | Ed25519PrivateKey, password: bytes = b"") -> str:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return key.private_bytes(*form, how).decode()


def elliptic_pem() -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return generate_private_key(SECP256R1()).private_bytes(*form, serialization.NoEncryption()).decode()
