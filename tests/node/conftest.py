from collections.abc import Iterator
from pathlib import Path

import pytest

THIRD_PARTY = Path(__file__).parent.parent / "thirdparty"


@pytest.fixture(autouse=True, scope="package")
def toy() -> Iterator[None]:
    """A third family of runtimes is installed, from outside the tree's packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(THIRD_PARTY))
        yield
