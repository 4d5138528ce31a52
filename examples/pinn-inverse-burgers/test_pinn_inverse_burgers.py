from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from make_measurements import write
from pinn_inverse_burgers import PACKAGED, InverseBurgers

from pinn.core import ConfigError, PinnError
from pinn.engine import load_config, parse_config
from pinn.testing import check_problem


def read(path: Path) -> dict[str, np.ndarray]:
    (data,) = InverseBurgers(data=path).conditions()
    return {**data.at, **data.values}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_it_is_a_sound_problem() -> None:
    """Among the rest: the front satisfies the equation with the true coefficients."""
    check_problem(InverseBurgers())


def test_measurements_of_ones_own_take_the_place_of_the_packaged(tmp_path: Path) -> None:
    own = InverseBurgers(data=written(tmp_path, "t,u,x\n0.5,7.0,-0.25\n"))
    check_problem(own)
    (data,) = own.conditions()
    found = {name: column.tolist() for name, column in {**data.at, **data.values}.items()}
    assert found == {"x": [-0.25], "t": [0.5], "u": [7.0]}
    assert [unknown.true for unknown in own.unknowns().values()] == [None, None]


def test_the_packaged_measurements_are_those_that_the_program_writes(tmp_path: Path) -> None:
    write(tmp_path / "again.csv", seed=0)
    for name, numbers in read(tmp_path / "again.csv").items():
        np.testing.assert_allclose(numbers, read(PACKAGED)[name], atol=2e-6)


def test_the_packaged_measurements_are_200_and_have_one_percent_of_noise() -> None:
    table = read(PACKAGED)
    x, t = table["x"], table["t"]
    exact = 0.5 - 0.5 * np.tanh(5 * (x + 0.25 - 0.5 * t))
    noise = np.std(table["u"] - exact) / np.std(exact)
    assert len(x) == 200
    assert noise == pytest.approx(0.01, rel=3 / np.sqrt(2 * 200))  # three standard deviations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,u\n0,1\n", "has no column 't'; there are u, x"),
        ("x|t|u\n0|0|1\n", r"has no column 't'; there are x\|t\|u"),
        ("", "has no column 't'"),
        ("x,t,u\n0,0,1\n0,0\n", "at row 2 below the names"),
        ("x,t,u\n0,zero,1\n", "'zero'.* at row 1 below the names"),
    ],
)
def test_a_file_of_another_form_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PinnError, match=message):
        read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,t,u\n0,0,nan\n", "u has numbers that are not finite"),
        ("x,t,u\n0,3,1\n", "t = 3 is outside of the domain"),
        ("x,t,u\n", "every column needs as many numbers, at least one"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(text: str, message: str, tmp_path: Path) -> None:
    problem = {"name": "inverse-burgers", "data": str(written(tmp_path, text))}
    with pytest.raises(ConfigError, match=message):
        parse_config({"problem": problem, "optimizers": [{"name": "adam", "steps": 1}]})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PinnError, match=r"nowhere\.csv: there is no such file"):
        read(tmp_path / "nowhere.csv")


def test_the_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    written(tmp_path, "x,t,u\n0,0.5,1\n")
    text = """
    [problem]
    name = "inverse-burgers"
    data = "own.csv"
    [[optimizers]]
    name = "adam"
    steps = 1
    """
    (tmp_path / "pinn.toml").write_text(text, encoding="utf-8")
    config = load_config(tmp_path / "pinn.toml")
    (data,) = config.problem.conditions()
    assert data.values["u"].tolist() == [1.0]
    assert parse_config(config.table()).problem == config.problem
