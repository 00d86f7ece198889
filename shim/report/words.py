"""How numbers are said, in every report and by every verb."""


def counted(number: int, thing: str) -> str:
    """Count things: "1 step", "2,000 steps"."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
