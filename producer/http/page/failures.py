"""What went wrong with a photo, in words for people who look at many."""

from __future__ import annotations

from packsight.shared.contract.errors import ErrorCode

FAILURES: dict[str, str] = {
    ErrorCode.BAD_MESSAGE: "Asked in a way that is not understood",
    ErrorCode.REFERENCE_INVALID: "No address of a photo",
    ErrorCode.REFERENCE_REFUSED: "At an address that is not fetched from",
    ErrorCode.OBJECT_MISSING: "Not there",
    ErrorCode.BUCKET_MISSING: "Its bucket is not there",
    ErrorCode.ACCESS_DENIED: "May not be read",
    ErrorCode.HTTP_STATUS: "Its server answered with an error",
    ErrorCode.HOST_UNREACHABLE: "Its server cannot be reached",
    ErrorCode.FETCH_TIMEOUT: "Its server was too slow",
    ErrorCode.FETCH_FAILED: "Its transfer broke off",
    ErrorCode.FILE_TOO_LARGE: "File too large",
    ErrorCode.FILE_EMPTY: "Empty file",
    ErrorCode.FORMAT_UNSUPPORTED: "No picture of a kind that is read",
    ErrorCode.IMAGE_TRUNCATED: "File ends too early",
    ErrorCode.IMAGE_TOO_MANY_PIXELS: "Too many pixels",
    ErrorCode.IMAGE_TOO_SMALL: "Too small",
    ErrorCode.IMAGE_BROKEN: "Damaged file",
    ErrorCode.CONFLICT: "Changed by somebody meanwhile",
    ErrorCode.CATALOG_MISSING: "Its catalog was not there",
    ErrorCode.CATALOG_REFUSED: "Its catalog is made for other models",
    ErrorCode.WORKER_KILLED: "Ended its worker",
    ErrorCode.WORKER_LOST: "Its worker ran out of memory",
    ErrorCode.TIME_LIMIT: "Took too long",
    ErrorCode.CANCELLED: "Cancelled",
    ErrorCode.NO_ANSWER: "No worker answered",
    ErrorCode.TOO_MANY_REQUESTS: "Too many requests",
    ErrorCode.INTERNAL: "A defect in packsight",
}
"""Of each code of an error."""
