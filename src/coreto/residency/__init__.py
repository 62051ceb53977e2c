"""Models that do not fit together in memory take turns: with few switches, within a budget, and nobody waits
beyond a bound. ``design.md`` explains who decides what."""
