"""What every problem must keep."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from pinn.core.options import options
from pinn.core.problem import Problem
from pinn.testing.declaration import DECLARATION
from pinn.testing.probes.devices import META, check_device
from pinn.testing.probes.tracing import its_training_step_can_be_compiled
from pinn.testing.problems import ansatz, names, residuals, solutions
from pinn.testing.problems.laws import laws, random_network
from pinn.testing.small_runs import it_trains_and_continues_exactly
from pinn.testing.trial import Trial, perform


def check_problem(problem: type[Problem] | Problem) -> None:
    """Everything that the framework expects of a problem.

    Names and faces; options; the exact solution against equations and conditions; the reference against
    the domain and the observables; a hard ansatz (also with `hard = true` where there is such an option)
    against the conditions that it takes over; derivatives by Taylor series against nested autograd;
    precision, devices, compiling; and runs of a few steps, killed and continued.

    Args:
        problem: a class, which is checked with its default options, or an instance.

    Raises:
        AssertionError: what was found, and what to do.
    """
    perform("problem", problem, (*DECLARATION, *CHECKS))
    harder = _hard(problem() if isinstance(problem, type) else problem)
    if harder is not None:
        perform("problem", harder, HARD_CHECKS)


def _hard(problem: Problem) -> Problem | None:
    """The problem with hard conditions, where it has them and they are off."""
    offers_it = any(option.name == "hard" for option in options(type(problem)))
    if not offers_it or getattr(problem, "hard", None) is not False:
        return None
    try:
        return evolve(problem, hard=True)  # type: ignore[misc]
    except ValueError:  # they need other options, too
        return None


def its_code_runs_on_any_device(trial: Trial) -> None:
    problem = trial.part
    module = random_network(problem).to(META)
    for law in laws(problem):
        there = evolve(law, points=law.points.to(META))
        mend = "make tensors of q.x (torch.zeros_like(q.x), q.x.new_tensor(…))"
        check_device(law.called, mend, partial(there, module))


OF_RESIDUALS = (
    names.its_equations_and_conditions_have_names_of_their_own,
    residuals.its_residuals_are_finite_numbers_of_the_networks_precision,
    residuals.its_residuals_do_not_mix_points,
    residuals.its_equations_depend_on_the_network,
    ansatz.its_ansatz_leaves_the_inside_free,
    residuals.its_taylor_series_agree_with_nested_autograd,
    solutions.its_exact_solution_satisfies_its_equations,
    solutions.its_exact_solution_satisfies_its_conditions,
    ansatz.its_hard_ansatz_satisfies_the_conditions_it_takes_over,
)
OF_TRAINING = (
    its_code_runs_on_any_device,
    its_training_step_can_be_compiled,
    it_trains_and_continues_exactly,
)
CHECKS = (
    names.its_fields_and_domain_are_well_formed,
    names.its_conditions_lie_on_faces,
    *OF_RESIDUALS,
    solutions.its_reference_fits_its_domain_and_observables,
    *OF_TRAINING,
)
HARD_CHECKS = (ansatz.it_has_conditions_to_take_over, *OF_RESIDUALS, *OF_TRAINING)
