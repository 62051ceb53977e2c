"""Plans with one model and executes with another (SPEC K1).

``crew.py`` is the workflow, ``decision.py`` says what kind of run a request is, ``agents.py`` has the prompts and
reads the answers, ``work.py`` does one step of a plan, ``stage.py`` makes the calls, ``tools.py`` runs code in the
sandbox, ``extraction.py`` finds the code in an answer, ``rendering.py`` and ``texts.py`` are what people read.
"""
