"""``server.model_aliases``."""

import pytest

from coreto.errors import ConfigError


def test_in_their_order(load_text) -> None:
    """The patterns keep the order of the file, as the first that fits counts."""
    loaded = load_text(
        '[server.model_aliases]\n"z*" = "brain"\n"a*" = "auto"\n"claude-*" = "openrouter/some/model"\n'
    )
    assert list(loaded.settings.server.model_aliases.items()) == [
        ("z*", "brain"),
        ("a*", "auto"),
        ("claude-*", "openrouter/some/model"),
    ]


def test_a_target_that_is_not_there(load_text) -> None:
    """An alias for a role that does not exist is an error that names it and the nearest."""
    with pytest.raises(
        ConfigError, match=r'server\.model_aliases\."claude-\*": unknown role .brian.; did you mean .brain.'
    ):
        load_text('[server]\nmodel_aliases = {"claude-*" = "brian"}\n')
