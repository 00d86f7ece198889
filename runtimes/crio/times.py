"""Points in time as Go writes them."""

from __future__ import annotations

_ERA = 146097  # days in 400 years
_TO_MARCH_0000 = 719468  # days from 1 March of the year 0 to 1970


def rfc3339(nanoseconds: int) -> str:
    """Return a time since 1970 as Go's RFC3339Nano has it: in UTC, no zeros at the end of the fraction."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    days, second = divmod(seconds, 24 * 60 * 60)
    year, month, day = _civil(days)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    tail = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{tail}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day. Years begin in March here, so that a leap day is the last of its year."""
    era, day = divmod(days + _TO_MARCH_0000, _ERA)
    year = (day - day // 1460 + day // 36524 - day // (_ERA - 1)) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month = month + 3 if month < 10 else month - 9  # noqa: PLR2004
    return year + 400 * era + (month <= 2), month, day + 1  # noqa: PLR2004
