"""The look at who is there, every half minute, survives what it finds."""

import asyncio

from coreto.app import App
from coreto.settings.load import load
from coreto.testing.clock import VirtualClock


def test_failures_refresh_goes_on(tmp_path, first):
    """A schema file that disappears while serving is logged; the next looks happen all the same."""
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    file = tmp_path / "coreto.toml"
    file.write_text(
        f'discovery = false\ndata_dir = "{tmp_path / "data"}"\nmodels_dir = "{tmp_path / "models"}"\n'
        f'[providers.one]\nbase_url = "{first.url}/v1"\n'
        f'[roles.x]\nchain = ["one/a"]\nresponse_schema = "{schema}"\n'
    )

    async def looks(count):
        async with asyncio.timeout(10):
            while len(first.requests("/v1/models")) < count:
                await asyncio.sleep(0.01)

    async def work():
        clock = VirtualClock()
        app = App(load(config=file, env={}, cwd=tmp_path), clock=clock)
        await app.start()
        try:
            before = app.gateway.directory
            schema.unlink()
            app.keep_fresh()
            await looks(2)
            await asyncio.sleep(0.2)
            assert app.gateway.directory is before
            schema.write_text('{"type": "object"}')
            await clock.advance(31)
            await looks(3)
            await asyncio.sleep(0.2)
            assert app.gateway.directory is not before
        finally:
            await app.close()

    asyncio.run(work())
