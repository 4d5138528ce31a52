from .configuration.config import Config as Config
from .configuration.reader import (
    load_config as load_config,
    parse_config as parse_config,
    parse_problem as parse_problem,
)
from .reporting.comparison import Comparison as Comparison, compare as compare
from .reporting.diagnosis import Diagnosis as Diagnosis, diagnose as diagnose
from .reporting.report import write_report as write_report
from .sweeping.page import SweepPage as SweepPage, draw_sweep as draw_sweep
from .sweeping.status import sweep_groups as sweep_groups, sweep_states as sweep_states
from .sweeping.sweeping import sweep as sweep
from .sweeping.watching import Watching as Watching
from .training.checking import check as check
from .training.evaluation import reference_solution as reference_solution
from .training.progress import Reporter as Reporter, for_terminal as for_terminal
from .training.ready import prepare as prepare
from .training.run import (
    Run as Run,
    open_run as open_run,
    train as train,
    train_seeds as train_seeds,
)
from .watching.watch import watch as watch
from .watching.watcher import Watcher as Watcher
