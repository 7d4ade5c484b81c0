"""Feedback: the causal graph of a model and the loops that matter in a run of it."""

from kuzbass.sd.loops.causal import causal_graph, write_graph
from kuzbass.sd.loops.expansion import ExpandedRun, expand
from kuzbass.sd.loops.ltm import loops_that_matter
from kuzbass.sd.loops.result import Loop, LoopScores, Part
from kuzbass.sd.loops.story import area, dominance, story

__all__ = ["ExpandedRun", "Loop", "LoopScores", "Part", "area", "causal_graph", "dominance",
           "expand", "loops_that_matter", "story", "write_graph"]
