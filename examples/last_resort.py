"""A role that always answers: when no model can, a plain function does.

Run: python examples/last_resort.py
"""

import asyncio
import tempfile
from pathlib import Path

from coreto import Coreto

CONFIG = """
[providers.nobody]
base_url = "http://127.0.0.1:9/v1"

[roles.triage]
chain = ["nobody/model", "rules"]
labels = ["billing", "technical"]
"""


def triage(request: dict) -> str:
    text = request["messages"][-1]["content"].lower()
    return "billing" if "invoice" in text or "fatura" in text else "technical"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "coreto.toml"
        config.write_text(CONFIG, encoding="utf-8")
        async with Coreto(config=config, rules={"triage": triage}) as c:
            answer = await c.chat("Minha fatura veio errada", role="triage")
    print(answer.text, "by", answer.deployment)
    print([f"{attempt.deployment}: {attempt.outcome}" for attempt in answer.trace.attempts])


if __name__ == "__main__":
    asyncio.run(main())
