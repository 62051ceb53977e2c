"""The prices of all deployments, each looked up once."""

from collections.abc import Callable

from coreto.ledger.pricing import Price, charged_nusd
from coreto.messages import Usage


class PriceBook:
    """Remembers what each deployment charges."""

    def __init__(self, look_up: Callable[[str], Price | None]) -> None:
        """``look_up``: deployment id to its price; slow (tens of milliseconds the first time)."""
        self._look_up = look_up
        self._prices: dict[str, Price | None] = {}

    def price(self, deployment: str) -> Price | None:
        """The price of ``deployment``; ``None`` when nobody knows it."""
        if deployment not in self._prices:
            self._prices[deployment] = self._look_up(deployment)
        return self._prices[deployment]

    def charge(self, deployment: str, usage: Usage) -> int | None:
        """What ``usage`` at ``deployment`` cost in nano-dollars; ``None`` when its price is not known.

        An attempt that used no tokens cost nothing, whatever the price.
        """
        if not usage.prompt and not usage.completion and usage.cost_nusd is None:
            return 0
        return charged_nusd(self.price(deployment), usage)
