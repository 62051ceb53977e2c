"""Looks at a machine and says what is wrong with it, or that nothing is (SPEC K4).

Code measures (``metrics/``), checks each resource by the USE method (``use.py``, ``thresholds.py``) and finds
what is wrong (``findings.py``). What anybody says about it is typed claims, checked against the snapshot
(``claims.py``, ``wording.py``); confidence is computed (``confidence.py``), advice comes from a catalogue
(``advice.py``). ``report.py`` puts it together, without any model.
"""
