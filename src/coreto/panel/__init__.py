"""Specialists that answer in parallel, and somebody who makes one answer of theirs: a slow or failing one never blocks
the others.

Read :mod:`~coreto.panel.policy` first: what is done next, a pure function of what is seen. :mod:`~coreto.panel.panel`
does it; :mod:`~coreto.panel.attendance` asks one specialist, :mod:`~coreto.panel.breakers` says which is not worth
asking; :mod:`~coreto.panel.shared` lets identical calls share a panel and remembers its results;
:mod:`~coreto.panel.models` makes specialists of roles of the gateway.
"""
