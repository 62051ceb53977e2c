"""The ``coreto`` command. Modules are imported by the commands that use them, so that none pays for another's."""
