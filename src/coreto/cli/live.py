"""What the live server says, where there is one."""

from pathlib import Path

from coreto.gateway.remote import RemoteGateway
from coreto.messages import Json
from coreto.owner import OwnerCard, find_owner


async def server_status(folder: Path) -> tuple[OwnerCard, Json] | None:
    """The card and status of the server that owns the data directory ``folder``; ``None`` where none answers.

    Raises :class:`~coreto.errors.CoretoError` when it answers, and not with its status.
    """
    card = find_owner(folder)
    if card is None or card.url is None:
        return None
    remote = RemoteGateway(card)
    try:
        return (card, await remote.status()) if await remote.alive() else None
    finally:
        await remote.close()
