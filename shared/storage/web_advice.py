"""What to do about a web server that gives no photo, where its status or its certificate tells more than that."""

from __future__ import annotations

from http import HTTPStatus

_UNWELCOME = {401, 402, 403, 406, 418, 451, 999}
"""Statuses by which servers turn programs and strangers away; a browser may be shown the photo all the same."""
_ALLOW = "have it allow the User-Agent packsight, or put the photo into object storage."
_OWN, _UNKNOWN, _OTHER_HOST = {18, 19}, {2, 20, 21}, {62, 64}
"""X509_V_ERR_… of OpenSSL: self-signed, without a way to an authority that is trusted, of another name or address."""
_TRUST = "name a file with all authorities to trust in SSL_CERT_FILE."


def of_status(status: int) -> str | None:
    """The remedy for an error status of HTTP; None where it tells no more than the code of the error."""
    if status in _UNWELCOME:
        return f"The server turns programs or strangers away, though a browser may see the photo: {_ALLOW}"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return f"The server asks for a pause; if that lasts, {_ALLOW}"
    return None


def of_certificate(code: int) -> str:
    """The remedy for a certificate that does not hold, by OpenSSL's code."""
    if code in _OWN:
        return f"The certificate is the server's own: let a public authority sign it, or {_TRUST}"
    if code in _UNKNOWN:
        return f"The server does not send its whole chain: install the intermediate certificates there. Or {_TRUST}"
    if code in _OTHER_HOST:
        return "Correct the host name, or give the server a certificate for it."
    return "Renew the server's certificate."
