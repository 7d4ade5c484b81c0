"""The policy lab: levers, uncertain futures, the model, and the metrics that judge a policy.

In the terms of exploratory modelling (Lempert, Popper and Bankes 2003): X are the futures, L the
levers, R the model, M the metrics.
"""

from kuzbass.experiments.lab.evaluate import Lab, prepare_lab
from kuzbass.experiments.lab.futures import Futures
from kuzbass.experiments.lab.levers import Lever, Moves
from kuzbass.experiments.lab.metrics import Metric, Threshold

__all__ = ["Futures", "Lab", "Lever", "Metric", "Moves", "Threshold", "prepare_lab"]
