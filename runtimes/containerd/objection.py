"""What containerd says inside, before each caller on the way out puts its own words in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runtimes.decision import Step


class Objection(Exception):
    """A refusal in the making: `str(objection)` is the inner text, `steps` are the rules that led to it."""

    def __init__(self, text: str, steps: tuple[Step, ...] = ()) -> None:
        self.steps = steps
        super().__init__(text)
