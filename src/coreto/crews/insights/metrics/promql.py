"""Each metric as a query to a Prometheus server that scrapes node_exporter. Pure.

``$S`` stands for the machine's selector, ``$W`` for the window. What node_exporter does not tell has no query.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_DISKS = '$S,device!~"(loop|ram|zram|fd|sr|dm-|md).*"'
_LINKS = '$S,device!~"lo|(veth|br-|docker|virbr|ifb|dummy|tun|tap|cali|flannel|cni).*"'
_SPACES = '$S,fstype!~"squashfs|iso9660|udf|erofs|ramfs|nfs.?|cifs|smb3|9p|ceph|fuse.*"'
_JOURNALED = '$S,fstype=~"ext[234]|xfs|btrfs|f2fs"'
_CPUS = 'count(node_cpu_seconds_total{$S,mode="idle"})'

AGE: Final = "time() - timestamp(node_time_seconds$G)"
"""Seconds since each machine was scraped. ``$G``: the selector of one machine, in braces, or nothing for all."""

FACTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "n_cpu": _CPUS,
        "mem_total": "node_memory_MemTotal_bytes{$S}",
        "boot": "node_boot_time_seconds{$S}",
        "host": "node_uname_info{$S}",
    }
)


def _rate(counter: str, selector: str = "$S") -> str:
    return f"rate({counter}{{{selector}}}[$W])"


def _pressure(counter: str) -> str:
    return f"clamp_max(100 * {_rate(f'node_pressure_{counter}_seconds_total')}, 100)"


def _cpu(mode: str) -> str:
    return f"100 * avg({_rate('node_cpu_seconds_total', f'$S,mode={mode}')})"


def _link_used(counter: str) -> str:
    return f"100 * {_rate(counter, _LINKS)} / (node_network_speed_bytes{{{_LINKS}}} > 0)"


def _disk(*counters: str) -> str:
    return " + ".join(_rate(f"node_disk_{counter}_total", _DISKS) for counter in counters)


_BUSY = (
    '100 * (1 - sum by ({by}) (rate(node_cpu_seconds_total{{$S,mode=~"idle|iowait|steal"}}[$W]))'
    " / sum by ({by}) (rate(node_cpu_seconds_total{{$S}}[$W])))"
)

QUERIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cpu.busy": _BUSY.format(by="instance"),
        "cpu.busiest": f"max({_BUSY.format(by='cpu')})",
        "cpu.steal": _cpu('"steal"'),
        "cpu.pressure": _pressure("cpu_waiting"),
        "cpu.load_per_cpu": f"sum(node_load1{{$S}}) / {_CPUS}",
        "cpu.runnable_per_cpu": f"clamp_min(sum(avg_over_time(node_procs_running{{$S}}[$W])) - 1, 0) / {_CPUS}",
        "cpu.thermal_throttles": "sum(round(increase(node_cpu_core_throttles_total{$S}[$W])))",
        "memory.used": "100 * (1 - node_memory_MemAvailable_bytes{$S} / node_memory_MemTotal_bytes{$S})",
        "memory.available": "node_memory_MemAvailable_bytes{$S}",
        "memory.swap_used": "100 * (1 - node_memory_SwapFree_bytes{$S} / node_memory_SwapTotal_bytes{$S})",
        "memory.pressure": _pressure("memory_waiting"),
        "memory.swap_in": f"{_rate('node_vmstat_pswpin')} * 4096",
        "memory.swap_out": f"{_rate('node_vmstat_pswpout')} * 4096",
        "memory.major_faults": _rate("node_vmstat_pgmajfault"),
        "memory.oom_kills": "round(increase(node_vmstat_oom_kill{$S}[$W]))",
        "memory.oom_kills_boot": "node_vmstat_oom_kill{$S}",
        "memory.ecc_errors": "sum(node_edac_uncorrectable_errors_total{$S})",
        "disk.busy": f"clamp_max(100 * {_disk('io_time_seconds')}, 100)",
        "disk.read": _disk("read_bytes"),
        "disk.write": _disk("written_bytes"),
        "disk.queue": _rate("node_disk_io_time_weighted_seconds_total", _DISKS),
        "disk.latency": (
            f"1000 * ({_disk('read_time_seconds', 'write_time_seconds')})"
            f" / ({_disk('reads_completed', 'writes_completed')})"
        ),
        "fs.used": (
            f"100 - 100 * node_filesystem_avail_bytes{{{_SPACES}}} / (node_filesystem_size_bytes{{{_SPACES}}}"
            f" - node_filesystem_free_bytes{{{_SPACES}}} + node_filesystem_avail_bytes{{{_SPACES}}})"
            f" and node_filesystem_readonly{{{_SPACES}}} == 0"
        ),
        "fs.free": f"node_filesystem_avail_bytes{{{_SPACES}}} and node_filesystem_readonly{{{_SPACES}}} == 0",
        "fs.inodes": (
            f"100 * (1 - node_filesystem_files_free{{{_SPACES}}} / (node_filesystem_files{{{_SPACES}}} > 0))"
            f" and node_filesystem_readonly{{{_SPACES}}} == 0"
        ),
        "fs.readonly": (
            f"node_filesystem_readonly{{{_JOURNALED}}} * (1 - node_filesystem_readonly{{{_JOURNALED}}} offset 1h)"
        ),
        "cpu.iowait": _cpu('"iowait"'),
        "io.pressure": _pressure("io_waiting"),
        "io.blocked": "node_procs_blocked{$S}",
        "net.receive": _rate("node_network_receive_bytes_total", _LINKS),
        "net.send": _rate("node_network_transmit_bytes_total", _LINKS),
        "net.receive_used": _link_used("node_network_receive_bytes_total"),
        "net.send_used": _link_used("node_network_transmit_bytes_total"),
        "net.conntrack": "100 * node_nf_conntrack_entries{$S} / node_nf_conntrack_entries_limit{$S}",
        "net.retransmitted": (
            f"100 * {_rate('node_netstat_Tcp_RetransSegs')} / {_rate('node_netstat_Tcp_OutSegs')}"
            f" and increase(node_netstat_Tcp_OutSegs{{$S}}[$W]) >= 100"
        ),
        "net.listen_drops": _rate("node_netstat_TcpExt_ListenDrops"),
        "net.backlog_drops": f"sum({_rate('node_softnet_dropped_total')})",
        "net.errors": (
            f"{_rate('node_network_receive_errs_total', _LINKS)}"
            f" + {_rate('node_network_transmit_errs_total', _LINKS)}"
        ),
        "net.drops": (
            f"{_rate('node_network_receive_drop_total', _LINKS)}"
            f" + {_rate('node_network_transmit_drop_total', _LINKS)}"
        ),
        "limits.files": "100 * node_filefd_allocated{$S} / node_filefd_maximum{$S}",
        "work.context_switches": _rate("node_context_switches_total"),
        "work.forks": _rate("node_forks_total"),
    }
)


def query(template: str, machine: str, window: int) -> str:
    """``template`` for one ``machine`` (the label ``instance``) and ``window`` seconds. The name is data: it cannot
    end its quotes."""
    quoted = machine.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    selector = f'instance="{quoted}"'
    return template.replace("$W", f"{window}s").replace("$G", f"{{{selector}}}").replace("$S", selector)
