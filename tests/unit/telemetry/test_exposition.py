"""The exposition format, over any values."""

from hypothesis import given
from hypothesis import strategies as st

from coreto.telemetry.exposition import MOST_SERIES, Counter, Gauge, Histogram, exposition


@given(st.text())
def test_labels_are_escaped(value) -> None:
    """Whatever a label says, its sample stays on one line and reads back."""
    counter = Counter("c_total", "What.", ("l",))
    counter.add((value,), 2)
    *head, line, end = exposition([counter]).split("\n")
    assert head == ["# HELP c_total What.", "# TYPE c_total counter"]
    assert end == ""
    assert line.startswith('c_total{l="')
    assert line.endswith('"} 2')
    inner = line.removeprefix('c_total{l="').removesuffix('"} 2')
    out, escaped = "", False
    for sign in inner:
        if escaped:
            out, escaped = out + {"n": "\n", '"': '"', "\\": "\\"}[sign], False
        elif sign == "\\":
            escaped = True
        else:
            assert sign != '"'
            out += sign
    assert out == value


@given(st.lists(st.floats(0, 1000, allow_nan=False)))
def test_histograms(values) -> None:
    """A bucket counts what is at most its bound, the last one everything."""
    histogram = Histogram("h", "What.", (), (0.1, 1, 10))
    for value in values:
        histogram.observe((), value)
    lines = dict(line.rsplit(" ", 1) for line in histogram.lines())
    if not values:
        assert lines == {}
        return
    for bound, shown in ((0.1, "0.1"), (1, "1"), (10, "10")):
        assert int(lines[f'h_bucket{{le="{shown}"}}']) == sum(v <= bound for v in values)
    assert int(lines['h_bucket{le="+Inf"}']) == int(lines["h_count"]) == len(values)


def test_series_are_bounded() -> None:
    """Beyond the bound, new combinations are counted together and nothing is lost."""
    counter = Counter("c_total", "What.", ("l",))
    for number in range(MOST_SERIES + 50):
        counter.add((str(number),))
    lines = list(counter.lines())
    assert len(lines) == MOST_SERIES + 1
    assert lines[-1] == 'c_total{l="other"} 50'


def test_gauges_are_read_when_asked() -> None:
    """A gauge shows the present, not the past."""
    values = [1.5]
    gauge = Gauge("g", "What.", (), lambda: [((), values[0])])
    assert list(gauge.lines()) == ["g 1.5"]
    values[0] = float("inf")
    assert list(gauge.lines()) == ["g +Inf"]
