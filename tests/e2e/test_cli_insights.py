"""`coreto insights` as its user runs it."""

import json


def looked(cli, *arguments):
    """Runs the command on a machine that may be in whatever state: 1 means that something is critical."""
    process = cli.start("insights", *arguments)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, 1), err.decode()
    assert err == b""
    return out.decode()


def test_insights_of_this_machine(cli) -> None:
    """The report in each form says the same of all five resources, and remembers what is usual here."""
    cli.write()
    shown = json.loads(looked(cli, "--json"))
    assert shown["status"] == "success"
    assert shown["agents_participated"] == []
    assert shown["quality"] == "fallback"
    assert 0 < shown["confidence"] <= 80
    assert bool(shown["insights"]) is not shown["no_problem_found"]
    page = looked(cli, "--markdown")
    assert page.startswith("# ")
    table = looked(cli)
    for name in ("CPU", "Memory", "Storage", "Network"):
        assert name in page
        assert name in table
    (baseline,) = cli.folder.glob("data/insights-baseline.json")
    assert json.loads(baseline.read_bytes())["host"]


def test_insights_in_portuguese(cli) -> None:
    cli.write('language = "pt-BR"\n')
    assert "Memória" in looked(cli, "--markdown")


def test_insights_of_a_server_that_is_not_there(cli) -> None:
    """One line that names it."""
    gone = cli.run("insights", "--prometheus", "http://127.0.0.1:9", code=1)
    assert "127.0.0.1:9" in gone.err
    assert "Traceback" not in gone.err
    away = cli.run("--offline", "insights", "--prometheus", "https://metrics.example", code=1)
    assert "offline" in away.err


def test_insights_in_one_form_at_a_time(cli) -> None:
    assert "one of" in cli.run("insights", "--json", "--watch", code=2).err
