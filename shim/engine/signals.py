"""What a stop signal does to a process that does nothing about it, which is what a simulated one is.

Numbers are Linux's (signal(7)), names and their order the CRI's enum Signal.
"""

from __future__ import annotations

_CRI = (
    "RUNTIME_DEFAULT ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP "
    "SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN"
).split()
_CRI += [f"RTMIN+{step}" for step in range(1, 16)] + [f"RTMAX-{step}" for step in range(14, 0, -1)] + ["RTMAX"]

_ORDER = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG "
    "XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
).split()
_RTMIN, _RTMAX = 34, 64
_NUMBERS = {name: number for number, name in enumerate(_ORDER, 1)} | {"IOT": 6, "CLD": 17, "POLL": 29}
_NUMBERS |= {"RTMIN": _RTMIN, "RTMAX": _RTMAX}
_NUMBERS |= {f"RTMIN+{step}": _RTMIN + step for step in range(1, 16)}
_NUMBERS |= {f"RTMAX-{step}": _RTMAX - step for step in range(1, 15)}

# Ignored, or suspended for a while: such a process is still there when its grace period is over.
_SURVIVED = {_NUMBERS[name] for name in ("CHLD", "CONT", "URG", "WINCH", "STOP", "TSTP", "TTIN", "TTOU")}

KILLED = 128 + _NUMBERS["KILL"]
_TERM = "TERM"


def stop_signal(requested: int, of_image: str) -> int:
    """Return the CRI's number of the signal that stops a container: the request's, the image's, or SIGTERM."""
    if 0 < requested < len(_CRI):
        return requested
    name = of_image.upper().removeprefix("SIG")
    if name.isdecimal():
        name = next((each for each, number in _NUMBERS.items() if number == int(name)), _TERM)
    return _CRI.index(name if name in _CRI[1:] else _TERM)


def exit_code(signal: int, timeout: int) -> int:
    """Return how a process ends that is sent a signal (the CRI's number) and killed after `timeout` seconds."""
    number = _NUMBERS[_CRI[signal]]
    return KILLED if timeout <= 0 or number in _SURVIVED else 128 + number
