"""Durable runs: a crew's work that a kill does not undo, on a durable engine behind names of our own.

Read :mod:`~coreto.runs.runs` first: it starts workflows, follows them and brings them to their end.
:mod:`~coreto.runs.durable` is what a workflow works with; :mod:`~coreto.runs.outcome` what is kept of a step;
:mod:`~coreto.runs.log` what a run says; :mod:`~coreto.runs.desk` what anybody may do to a run, from any process;
:mod:`~coreto.runs.retrying` where a failed run goes on. :mod:`~coreto.runs.engine` and
:mod:`~coreto.runs.records` are the only modules that know the engine, which is DBOS.
"""
