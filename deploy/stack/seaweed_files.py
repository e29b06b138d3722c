"""What SeaweedFS reads when it starts, beside its command line: who may come in over S3, and that nobody else comes in at all.

S3 is one of ten ports on which it listens. Over the others, HTTP and gRPC of master, volume server, filer and administration,
objects can be read, forged and deleted without a key of S3. Keys for signed requests (JWT) would close filer and volume server
alone; mutual TLS closes all of them to whoever lacks the key that lies here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from packsight.deploy.stack.certificate import self_signed
from packsight.deploy.stack.credentials import Credentials, S3Keys
from packsight.deploy.stack.policies import RIGHTS, policy
from packsight.shared.storage.files import write_private

IDENTITIES = "s3.json"
_SECURITY, _CERTIFICATE, _KEY = "security.toml", "certificate.pem", "key.pem"
_HOSTS = ("127.0.0.1", "localhost", "s3")
"""What the server is called (`-ip`): in the embedded stack, and as a service of compose."""
_GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client")
_HTTP = ("master", "volume", "filer", "admin")


def identities(credentials: Credentials, bucket: str, opened: Sequence[str] = ()) -> str:
    """The administrator, who alone may do anything, and each role that has a policy.

    `opened`: PACKSIGHT_FETCH__ALLOWED_PREFIXES.
    """
    everyone = [{"name": "admin", **_pair(credentials.administrator), "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]
    policies = []
    for role in RIGHTS:
        if keys := credentials.s3(role):
            everyone.append({"name": role, **_pair(keys), "actions": [], "policyNames": [role]})
            policies.append({"name": role, "content": json.dumps(policy(role, bucket, opened))})
    return json.dumps({"identities": everyone, "policies": policies}, indent=1)


def _pair(keys: S3Keys) -> dict[str, object]:
    return {"credentials": [{"accessKey": keys.access_key, "secretKey": keys.secret_key}]}


def security(folder: str) -> str:
    """Mutual TLS on every port but that of S3, by the one certificate in `folder`, which is its own authority."""
    # A string of JSON is one of TOML too.
    certificate, key = json.dumps(f"{folder}/{_CERTIFICATE}"), json.dumps(f"{folder}/{_KEY}")
    ca, pair = f"ca = {certificate}", f"cert = {certificate}\nkey = {key}"
    sections = [f"[grpc]\n{ca}", *(f"[grpc.{part}]\n{pair}" for part in _GRPC)]
    sections += [f"[https.{part}]\n{pair}\n{ca}" for part in _HTTP]
    sections += [f"[https.client]\nenabled = true\n{pair}\n{ca}"]
    return "\n\n".join(sections) + "\n"


def files(identities: str, folder: str) -> dict[str, str]:
    """All files by name, for a server that finds them in `folder`, with a new certificate."""
    certificate, key = self_signed("seaweedfs", _HOSTS)
    return {IDENTITIES: identities, _SECURITY: security(folder), _CERTIFICATE: certificate, _KEY: key}


def write(folder: Path, identities: str) -> None:
    """Write them for their owner alone; a certificate that is there stays, since a server may be running with it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    content = files(identities, str(folder))
    kept = {_CERTIFICATE, _KEY} if (folder / _KEY).exists() else set()
    for name, text in content.items():
        if name not in kept:
            write_private(folder / name, text)
