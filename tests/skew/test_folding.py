"""A law: a table that is folded says of each cell what the cell says, of all cells, each once."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.kubelet import manifest
from shim.nodefile import Document
from shim.skew.matrix.axes import Axis
from shim.skew.matrix.folding import By, Span, Table, Tables, spans, summary, unfold
from shim.skew.matrix.lab import Piece, cells
from shim.skew.matrix.matrix import Matrix, Outcome, Point, containers

PODS = manifest.pods(
    "\n---\n".join(
        "{apiVersion: v1, kind: Pod, metadata: {name: " + name + "}, spec: {containers: ["
        "{name: a, image: x}, {name: b, image: x}]}}"
        for name in ("one", "two")
    ),
    "pods.yaml",
)
OUTCOMES = [
    Outcome("Unconfined"),
    Outcome("RuntimeDefault", digest="d1"),
    Outcome("RuntimeDefault", digest="d2"),
    Outcome("Localhost", "a.json", "d3"),
    Outcome("custom", digest="d4"),
    Outcome("refused", "CreateContainerError"),
]


@st.composite
def decided(draw: st.DrawFn) -> tuple[Matrix, list[Piece]]:
    """A matrix of made-up releases, and a piece for each pod and runtime, or for the first of them."""
    on_kubelets, on_runtimes = draw(_axis("k")), draw(_axis("r"))
    kubelets = list(_points("kubelet", draw(st.integers(1, 4)), on_kubelets))
    runtimes = [
        *_points("containerd", draw(st.integers(1, 4)), on_runtimes),
        *_points("cri-o", draw(st.integers(0, 3)), ()),
    ]
    matrix = Matrix(
        base=Document(),
        axes=tuple(Axis(key, f"kubelet.{key}", values) for key, values in (*on_kubelets, *on_runtimes)),
        kubelets=tuple(kubelets),
        runtimes=tuple(runtimes),
    )
    rows = st.lists(st.tuples(*[st.sampled_from(OUTCOMES)] * 2), min_size=1, max_size=3, unique=True)
    pieces = []
    for _ in range(draw(st.integers(0, len(PODS) * len(runtimes)))):
        several = draw(rows)
        which = draw(st.lists(st.integers(0, len(several) - 1), min_size=len(kubelets), max_size=len(kubelets)))
        pieces.append(Piece(tuple(which), tuple(several)))
    return matrix, pieces


Varied = tuple[tuple[str, tuple[str, ...]], ...]


def _axis(name: str) -> st.SearchStrategy[Varied]:
    values = st.sampled_from([("true",), ("true", "false"), ("true", "false", "")])
    return st.lists(values, max_size=2).map(
        lambda several: tuple((f"{name}{number}", each) for number, each in enumerate(several))
    )


def _points(family: str, releases: int, varied: Varied) -> list[Point]:
    keys = [key for key, _ in varied]
    return [
        Point(family, f"1.{number}.0", tuple(zip(keys, chosen, strict=True)))
        for chosen in itertools.product(*(values for _, values in varied))
        for number in range(releases)
    ]


def folded(matrix: Matrix, pieces: list[Piece], by: By) -> Table:
    tables = Tables(matrix, by)
    for (pod, _), piece in zip(itertools.product(PODS, matrix.runtimes), pieces, strict=False):
        tables.add(pod, piece)
    return tables.folded()


@pytest.mark.parametrize("by", ["outcome", "section"])
@given(made=decided())
def test_unfolding_gives_the_cells_back(by: By, made: tuple[Matrix, list[Piece]]) -> None:
    matrix, pieces = made
    expected = Counter(
        (str(pod), cell.container, _whole(cell.runtime, cell.kubelet), cell.kubelet.release, summary(cell.outcome, by))
        for (pod, runtime), piece in zip(itertools.product(PODS, matrix.runtimes), pieces, strict=False)
        for cell in cells(matrix, pod, runtime, piece)
    )
    found = Counter(
        (str(pod), name, point, release, said)
        for pod, name, point, release, said in unfold(folded(matrix, pieces, by), by)
    )
    assert found == expected


def _whole(runtime: Point, kubelet: Point) -> Point:
    return Point(runtime.family, runtime.release, runtime.settings + kubelet.settings)


@given(made=decided())
def test_no_two_columns_are_alike_that_are_neighbours(made: tuple[Matrix, list[Piece]]) -> None:
    table = folded(*made, "section")
    columns = [
        [summary(row.blocks[at].outcome, "section") for group in table.groups for row in group.rows]
        for at in range(len(table.columns))
    ]
    assert not any(column == after for column, after in itertools.pairwise(columns)) or not table.groups


@given(made=decided())
def test_a_block_is_the_first_of_its_cells(made: tuple[Matrix, list[Piece]]) -> None:
    table = folded(*made, "section")
    for row in (row for group in table.groups for row in group.rows):
        for column, block in zip(table.columns, row.blocks, strict=True):
            assert _whole(block.runtime, block.kubelet) == row.span.points[0]
            assert block.kubelet.release == column.points[0].release


def _span(text: str, *settings: tuple[str, tuple[str, ...]]) -> tuple[list[str], tuple[object, ...]]:
    return text.split(), settings


T, F, U = (("flag", "true"),), (("flag", "false"),), (("flag", ""),)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param({T: "aab", F: "aab"}, [_span("1 2 1 2"), _span("3 3")], id="a setting that makes no difference"),
        pytest.param(
            {T: "aab", F: "aaa"},
            [_span("1 2", ("flag", ("true",))), _span("3", ("flag", ("true",))), _span("1 2 3", ("flag", ("false",)))],
            id="a setting that does",
        ),
        pytest.param(
            {T: "ab", F: "aa", U: "aa"},
            [
                _span("1", ("flag", ("true",))),
                _span("2", ("flag", ("true",))),
                _span("1 2 1 2", ("flag", ("false", ""))),
            ],
            id="two values of three are alike",
        ),
        pytest.param({(): "aba"}, [_span("1"), _span("2"), _span("3")], id="what comes back later stays apart"),
    ],
)
def test_spans(
    keys: dict[tuple[tuple[str, str], ...], str], expected: list[tuple[list[str], tuple[object, ...]]]
) -> None:
    points = [Point("x", str(at + 1), settings) for settings, text in keys.items() for at in range(len(text))]
    found: tuple[Span, ...] = spans(points, [letter for text in keys.values() for letter in text])
    assert [([point.release for point in span.points], span.settings) for span in found] == expected


def test_settings_that_only_together_make_no_difference_are_told_one_by_one() -> None:
    """Neither flag is alike for both values of the other: no sentence about one of them would be true."""
    keys = {("true", "true"): "a", ("true", "false"): "b", ("false", "true"): "b", ("false", "false"): "a"}
    points = [Point("x", "1", (("p", p), ("q", q))) for p, q in keys]
    found = spans(points, list(keys.values()))
    assert [(len(span.points), span.settings) for span in found] == [
        (1, (("p", ("true",)), ("q", ("true",)))),
        (1, (("p", ("false",)), ("q", ("false",)))),
        (1, (("p", ("true",)), ("q", ("false",)))),
        (1, (("p", ("false",)), ("q", ("true",)))),
    ]


def test_containers_that_are_alike_are_a_group() -> None:
    matrix = Matrix(base=Document(), axes=(), kubelets=(Point("kubelet", "1"),), runtimes=(Point("containerd", "1"),))
    same = Piece((0,), ((OUTCOMES[0], OUTCOMES[0]),))
    table = folded(matrix, [same, Piece((0,), ((OUTCOMES[0], OUTCOMES[1]),))], "outcome")
    assert [[f"{pod} {name}" for pod, name in group.subjects] for group in table.groups] == [
        ["default/one a", "default/one b", "default/two a"],
        ["default/two b"],
    ]
    assert containers(PODS[0]) == ("a", "b")
