"""Why a link could not be made, in words that a household can act on."""

from typing import Final

import aiohttp

REASON_HEADER: Final = "X-Hearth-Reason"
"""Carries the reason of who refuses a link."""
KEY_IN_USE: Final = "a link for this key is open: is a second node running on it?"
NOT_A_MEMBER: Final = "certificate is not another member's"
_LENGTH_MAX = 200


def reason_of(error: BaseException) -> str:
    """Return in words why a link could not be made; a peer's own words are cut."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        told = error.headers.get(REASON_HEADER) if error.headers is not None else None
        return f"refused by the peer: {(told or f'status {error.status}')[:_LENGTH_MAX]}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "the certificate at its address is another one's"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error}"[:_LENGTH_MAX]
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error)[:_LENGTH_MAX] or type(error).__name__
