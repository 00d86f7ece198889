"""`$(NAME)` in commands, arguments and environment variables.

`$$` stands for one `$`; a name that is not known stays as it is written.
Source: k8s.io/kubernetes third_party/forked/golang/expansion/expand.go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its references replaced."""
    if "$" not in text:
        return text
    return _REFERENCE.sub(lambda found: "$" if found[1] is None else values.get(found[1], found[0]), text)
