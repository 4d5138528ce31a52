"""Data: where they were taken, what they are of, how sure they are, and the files they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import frozen

from pinn.core import Box, Condition, Measurements, PinnError, Problem, Reference, Unknown, offered
from pinn.engine import check, parse_config, train
from pinn.engine.derivatives.probing import condition_law
from pinn.testing import check_problem

TIMES = np.linspace(0, 3, 20)
BOX = Box(x=(0, 1), t=(0, 3))


def solution(t: Any, k: float = 1.0) -> tuple[Any, Any]:
    first = np.exp(-k * t)
    return first, k / (0.5 - k) * (first - np.exp(-0.5 * t)) + 0.2 * np.exp(-0.5 * t)


def share(t: Any) -> Any:
    first, second = solution(t)
    return first / (first + second)


@frozen
class Chain(Problem):
    """d1' = −k d1, d2' = k d1 − d2/2; only the share of d1 is measured, and k is unknown."""

    name = "chain"
    fields = ("d1", "d2")
    domain = Box(t=(0, 3))

    def unknowns(self) -> Mapping[str, Unknown]:
        return {"k": Unknown(0.3, positive=True, true=1.0)}

    def equations(self, q: Any) -> dict[str, Any]:
        return {"first": q.d1_t + q.k * q.d1, "second": q.d2_t - q.k * q.d1 + 0.5 * q.d2}

    def observables(self, q: Any) -> dict[str, Any]:
        return {"share": q.d1 / (q.d1 + q.d2), "d1": q.d1, "d2": q.d2}

    def conditions(self) -> Iterator[Condition | Measurements]:
        yield Measurements("data", {"t": TIMES}, {"share": share(TIMES)})
        yield Condition("start", "t=0", lambda q: {"1": q.d1 - 1, "2": q.d2 - 0.2})


def with_data(make: Callable[[], Any]) -> type[Problem]:
    def conditions(self: Any) -> Iterator[Any]:
        yield make()
        yield Condition("start", "t=0", lambda q: {"1": q.d1 - 1, "2": q.d2 - 0.2})

    return frozen(type("Chain", (Chain,), {"__doc__": Chain.__doc__, "conditions": conditions}))


def table(tmp_path: Path, *stages: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": {"directory": str(tmp_path / "run")},
        "problem": {"name": "chain"},
        "network": {"width": 12, "depth": 2},
        "points": {"interior": 100, "conditions": 8},
        "optimizers": [*stages] or [{"name": "adam", "steps": 1}],
    }


@pytest.mark.parametrize(
    "make",
    [
        lambda: Measurements("data", {"t": TIMES}, {"share": share(TIMES)}),
        lambda: Measurements(
            "data", {"t": TIMES}, {"c": share(TIMES)}, of=lambda q: q.d1 / (q.d1 + q.d2)
        ),
    ],
    ids=["observable", "of"],
)
def test_an_expression_can_be_measured(make: Any, tmp_path: Path) -> None:
    stages = {"name": "adam", "steps": 100, "lr": 0.01}, {"name": "lbfgs", "steps": 300}
    with offered(with_data(make)):
        run = train(parse_config(table(tmp_path, *stages)))
    assert run.summary["final"]["unknown.k.error"] < 0.05


def test_the_kit_takes_data_of_an_observable() -> None:
    check_problem(Chain)


class Fields(Problem):
    """u and v of x and t."""

    name = "fields"
    fields = ("u", "v")
    domain = BOX

    def equations(self, q: Any) -> dict[str, Any]:
        return {"u": q.u_t, "v": q.v_t}


def residual_of(measured: Measurements) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Residuals (values, n) at a network that is u = x + 2t, v = x², and x and t."""
    problem = Fields()
    law = condition_law(problem, measured, torch.float64)
    rows = torch.from_numpy(measured.table(BOX))
    x, t = rows[:, 0], rows[:, 1]

    def network(p: Any) -> Any:
        x, t = p[:, :1], p[:, 1:]
        return torch.cat([x + 2 * t, x**2], -1)

    return law(network, rows), x, t


def test_the_residual_is_the_difference_over_its_deviation_whatever_the_order() -> None:
    x, t = np.random.default_rng(0).uniform(size=(2, 6))
    sigma = np.linspace(0.1, 0.6, 6)
    values = {"slope": np.ones(6), "u": x}
    of = lambda q: {"u": q.u, "slope": q.u_t + q.v_x}  # noqa: E731
    plain = Measurements("data", {"t": t, "x": x}, values, of=of)
    found, px, pt = residual_of(plain)
    torch.testing.assert_close(found, torch.stack([2 + 2 * px - 1, 2 * pt]))
    weighed = Measurements("data", {"t": t, "x": x}, values, of=of, deviations={"u": sigma})
    torch.testing.assert_close(
        residual_of(weighed)[0], found / torch.stack([torch.ones(6), torch.tensor(sigma)])
    )
    same = Measurements("data", {"t": t, "x": x}, values, of=of, deviations={"slope": 0.5, "u": 2})
    torch.testing.assert_close(residual_of(same)[0], found / torch.tensor([[0.5], [2.0]]))


def test_a_number_is_the_same_at_all_points() -> None:
    found = Measurements("data", {"x": 0.5, "t": [0, 1, 2]}, {"u": 3.0, "v": [1, 2, 3]}).table(BOX)
    assert found.tolist() == [[0.5, 0, 3, 1], [0.5, 1, 3, 2], [0.5, 2, 3, 3]]
    assert Measurements("data", {"x": 0.5, "t": 0}, {"u": 3}).table(BOX).tolist() == [[0.5, 0, 3]]


def test_tensors_are_taken_without_their_graph() -> None:
    t = torch.linspace(0, 1, 3, requires_grad=True)
    found = Measurements("data", {"x": 0.0, "t": t}, {"u": t**2})
    assert found.values["u"].tolist() == [0, 0.25, 1]


def test_the_end_of_the_domain_may_be_rounded_to_single_precision() -> None:
    box = Box(t=(0, 0.1))
    ends = np.array([-1e-9, 0.1], np.float32)
    assert Measurements("data", {"t": ends}, {"u": 0.0}).table(box)[:, 0].tolist() == [0.0, 0.1]
    beyond = Measurements("data", {"t": 0.1001}, {"u": 0.0})
    with pytest.raises(PinnError, match=r"t = 0\.1001 is outside of the domain \[0, 0\.1\]"):
        beyond.table(box)
    assert box.face("t=0.1000001").fixed == {"t": 0.1}
    circle = Box(x=(0, 2 * np.pi))
    assert circle.face("x=6.28319").fixed == {"x": 2 * np.pi}
    with pytest.raises(PinnError, match=r"faces are x=0, x=6\.28318530718"):
        circle.face("x=6.29")


class LeftHalf(Box):
    """Where x ≤ ½."""

    def inside(self, points: Any) -> Any:
        return super().inside(points) & (points[:, 0] <= 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: {"values": {"u": [1, np.nan]}},
            "u has numbers that are not finite, 1 of them; leave out",
        ),
        (lambda: {"deviations": {"u": [0.1, 0]}}, "the deviation of u is not above 0 everywhere"),
        (lambda: {"deviations": {"w": 1}}, "have deviations of 'w'.* those of u"),
        (lambda: {"deviations": {"u": [1, 2, 3]}}, "as many numbers.* the deviation of u 3"),
        (lambda: {"values": {"u": ["a", "b"]}}, "the column u of measurements is no array of numb"),
        (lambda: {"at": {"x": [0.7, 0.2], "t": 0}}, r"the point x = 0\.7, t = 0 is outside"),
    ],
)
def test_what_cannot_be(make: Any, message: str) -> None:
    given = {"at": {"x": [0.1, 0.2], "t": 0}, "values": {"u": [1, 2]}} | make()
    with pytest.raises(PinnError, match=message):
        Measurements("data", **given).table(LeftHalf(x=(0, 1), t=(0, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Measurements("data", {"t": 1.0}, {"shares": 1.0}),
            r"values of 'shares' \(did you mean 'share'\?\), .* an observable, d1, d2, share; .*of=",
        ),
        (
            lambda: Measurements("data", {"t": 1.0}, {"c": 1.0}, of=lambda q: {"C": q.d1}),
            r"of= returns C; the values are those of c",
        ),
        (
            lambda: Measurements("data", {"t": 1.0}, {"c": 1.0}, of=lambda q: q.d1.sum()),
            r"'c' has shape \(\)",
        ),
        (
            lambda: Measurements("data", {"t": 1.0}, {"a": 1.0, "b": 1.0}, of=lambda q: q.d1),
            "of= returns …; the values are those of a, b",
        ),
    ],
)
def test_what_nothing_is_called_is_refused_before_training(
    make: Any, message: str, tmp_path: Path
) -> None:
    with offered(with_data(make)):
        config = parse_config(table(tmp_path))
        for attempt in (check, train):
            with pytest.raises(PinnError, match=message):
                attempt(config)


# files


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **columns)
    else:
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(map(repr, map(float, row))) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


COLUMNS = {"x": [0.5, 0.25], "time": [1.0, 2.0], "u": [3.0, 4.5], "sigma": [0.1, 0.2]}


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_measurements_are_read_by_the_names_of_their_columns(kind: str, tmp_path: Path) -> None:
    file = write(tmp_path / f"data.{kind}", COLUMNS)
    found = Measurements.read(
        "data", file, at={"x": "x", "t": "time"}, values=("u",), deviations={"u": "sigma"}
    )
    assert found.table(BOX).tolist() == [[0.5, 1, 3, 0.1], [0.25, 2, 4.5, 0.2]]
    other = Measurements.read("data", str(file), {"x": 0.5, "t": "time"}, {"v": "u"})
    assert other.table(BOX).tolist() == [[0.5, 1, 3], [0.5, 2, 4.5]]
    with pytest.raises(PinnError, match=r"has no column 't'; there are .*time, u"):
        Measurements.read("data", file, ("x", "t"), ("u",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x;u\n1;2\n\n3;4\n", [[1, 3], [2, 4]]),
        ("\ufeff# x, u , note\n1, 2,a\n3, 4,b\n", [[1, 3], [2, 4]]),
        ('"x"\t"u"\n1\t\n3\t4', [[1, 3], [np.nan, 4]]),
        ("x  u\n1 2\n 3   4\n", [[1, 3], [2, 4]]),
    ],
    ids=["semicolons", "comment", "tabs and an empty cell", "spaces"],
)
def test_tables_are_read_as_people_write_them(text: str, expected: Any, tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text(text, encoding="utf-8")
    found = Reference.read(file, ["x"], ["u"])
    np.testing.assert_array_equal([found.coordinates["x"], found.fields["u"]], expected)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.csv", None, "there is no such file"),
        ("data.dat", b"x,u\n1,2\n", r"expected a file \.csv, \.npz"),
        ("data.csv", b"x,u\n1,2\n3,many\n", "cannot be read: .*many.* row 2 below the names"),
        ("data.csv", b"\xff\xfe", "cannot be read: "),
        ("data.csv", b"y,u\n1,2\n", "has no column 'x'; there are u, y"),
        ("data.npz", b"no archive", "cannot be read: "),
    ],
)
def test_files_that_are_none(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PinnError, match=rf"{name}: {message}"):
        Measurements.read("data", file, ("x",), ("u",))


def test_a_reference_in_a_file_is_a_grid_where_its_points_fill_one(tmp_path: Path) -> None:
    x, t = np.linspace(0, 1, 3), np.linspace(0, 3, 4)
    mx, mt = np.meshgrid(x, t)
    rows = {"x": mx.ravel(), "t": mt.ravel(), "u": (mx + 10 * mt).ravel()}
    grid = np.add.outer(x, 10 * t)
    for found in (
        Reference.read(write(tmp_path / "points.csv", rows), ["x", "t"]),
        Reference.read(write(tmp_path / "points.npz", rows), ["x", "t"]),
        Reference.read(
            write(tmp_path / "grid.npz", {"x": x, "t": t, "u": grid}), ["x", "t"], ["u"]
        ),
    ):
        assert not found.scattered
        np.testing.assert_allclose(found.fields["u"], grid, rtol=1e-15)
    some = {name: column[:-1] for name, column in rows.items()}
    assert Reference.read(write(tmp_path / "some.csv", some), ["x", "t"]).scattered
    wrong = write(tmp_path / "wrong.npz", {"x": x, "t": t, "u": grid.T})
    with pytest.raises(PinnError, match=r"wrong\.npz: the reference has u of shape \(4, 3\)"):
        Reference.read(wrong, ["x", "t"])


def test_a_parquet_file_that_is_none_or_what_reading_one_takes_is_told(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    file.write_bytes(b"PAR1")
    with pytest.raises(PinnError, match=r"data\.parquet: (cannot|to read it takes pip install)"):
        Measurements.read("data", file, ("x",), ("u",))
