"""A certificate authority of one's own, for tests of TLS."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@dataclass(frozen=True)
class Certificate:
    """Files in PEM: who signed it, it, and its key."""

    ca: Path
    cert: Path
    key: Path


def certificate(folder: Path) -> Certificate:
    """Make an authority, and a certificate of 127.0.0.1 that it has signed, good for servers and clients."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("tests", "127.0.0.1")]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]
    files = Certificate(*(folder / name for name in ("ca.pem", "cert.pem", "key.pem")))
    now = datetime.datetime.now(datetime.UTC)
    for name, key, file in zip(names, keys, (files.ca, files.cert), strict=True):
        authority = file == files.ca
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key()), critical=False)
        )
        if not authority:
            made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        file.write_bytes(made.sign(keys[0], hashes.SHA256()).public_bytes(Encoding.PEM))
    files.key.write_bytes(keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
