"""Budgets on the path of a call: what an attempt may cost is reserved before it, and settled after it."""

from coreto.errors import BudgetError
from coreto.ledger.limits import worst_nusd
from coreto.ledger.pots import Reservation
from coreto.ledger.prices import PriceBook
from coreto.ledger.purse import Purse
from coreto.messages import Call, EmbedCall, Usage
from coreto.providers.catalog import Deployment

MAYBE_CHARGED = frozenset({"ok", "canceled", "timeout", "stalled", "cut", "garbled", "invalid_output"})
"""Outcomes after which a provider may charge for tokens that it did not tell."""


class Budgets:
    """Admits attempts under the limits of a purse. Models on this machine cost nothing and pass freely."""

    def __init__(self, purse: Purse, prices: PriceBook) -> None:
        self._purse = purse
        self._prices = prices
        self._limited = purse.limits.any

    @property
    def refuses(self) -> bool:
        """Whether a call that exceeds a limit fails; else it goes on to models that cost nothing."""
        return self._purse.limits.refuses

    async def admit(self, call: Call | EmbedCall, deployment: Deployment) -> Reservation:
        """Reserve what an attempt at ``deployment`` may cost. The reservation must be given to
        :meth:`settle` (or released), whatever comes of the attempt.

        Raises :class:`~coreto.errors.BudgetError` when a limit leaves no room, or when there is a limit
        and the price is not known (unless ``budgets.allow_unknown_price``: then what the server reports to
        have charged counts, and nothing if it reports nothing).
        """
        if deployment.local or not self._limited:
            return Reservation((), 0)
        role = call.role if isinstance(call, Call) else None
        price = self._prices.price(deployment.id)
        worst = 0 if price is None else worst_nusd(price, call.body, answers=isinstance(call, Call))
        if (
            price is None
            and not self._purse.limits.allow_unknown_price
            and self._purse.limits.applying(call.user, role, call.run)
        ):
            raise BudgetError(
                f"no known price for {deployment.id!r}, and spending is limited: set input_price and output_price"
                f' in [models."{deployment.id}"], or budgets.allow_unknown_price'
            )
        return await self._purse.obtain(user=call.user, role=role, run=call.run, worst_nusd=worst)

    def settle(
        self, reservation: Reservation, deployment: Deployment, usage: Usage | None, outcome: str
    ) -> None:
        """Count what an attempt cost. ``outcome``: ``ok`` or an error's code.

        Without a usage everything that was reserved counts if the provider may have charged (the answer
        was on its way), and nothing if it cannot have (it refused, or was never reached).
        """
        if usage is not None and (usage.prompt or usage.completion or usage.cost_nusd is not None):
            reservation.settle(self._prices.charge(deployment.id, usage))
        elif outcome in MAYBE_CHARGED:
            reservation.settle(None)
        else:
            reservation.release()
