"""What a machine measures of itself: readings with units and times, by /proc, by psutil, or by a Prometheus server.

``readings.py`` is the snapshot, ``catalogue.py`` every metric by name, ``sample.py`` raw counters, ``files.py`` and its
neighbours the parsers, ``derive.py`` two samples made into readings, ``local.py`` and ``prometheus.py`` the sources,
``baseline.py`` what is usual.
"""
