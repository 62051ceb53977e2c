"""The wire: one client per dialect, behind the :class:`~coreto.providers.base.Provider` seam."""
