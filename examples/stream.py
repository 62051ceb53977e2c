"""Streams an answer of whatever model is at hand, then says who it was and what it cost.

Run: python examples/stream.py "Why is the sky blue?"
"""

import asyncio
import sys

from coreto import Coreto


async def main(prompt: str) -> None:
    async with Coreto() as c, c.stream(prompt, role="brain", max_tokens=80) as stream:
        async for text in stream:
            print(text, end="", flush=True)
    assert stream.answer is not None
    trace = stream.answer.trace
    print(
        f"\n— {trace.deployment}, {stream.answer.usage.completion} tokens, ${stream.answer.cost_usd or 0:.6f}"
    )
    for attempt in trace.attempts:
        print(f"  {attempt.deployment}: {attempt.outcome} in {attempt.ms:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or "Why is the sky blue?"))
