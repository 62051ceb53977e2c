"""Every metric there is: its unit, whose it is, and what it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, get_args

from coreto.crews.insights.metrics.readings import Unit, name_of
from coreto.languages import Language

Resource = Literal["cpu", "memory", "storage", "network", "workload"]
RESOURCES: Final[tuple[Resource, ...]] = get_args(Resource)
Axis = Literal["utilisation", "saturation", "errors"]
AXES: Final[tuple[Axis, ...]] = get_args(Axis)


@dataclass(frozen=True, slots=True)
class Metric:
    """``axis``: what it says in the USE method. ``many``: there is one an instance (a disk, a file system).
    ``en``, ``pt``: what people call it. ``state``: it holds now, and is not measured over a window; ``span_s``: it
    is an average over so many seconds, whatever the window."""

    name: str
    resource: Resource
    axis: Axis
    unit: Unit
    en: str
    pt: str
    many: bool = False
    state: bool = False
    span_s: float = 0.0

    def called(self, language: Language) -> str:
        """Its name for people."""
        return self.pt if language == "pt-BR" else self.en


U: Final = "utilisation"
S: Final = "saturation"
E: Final = "errors"

_CPU = (
    Metric("cpu.busy", "cpu", U, "percent", "CPU in use", "CPU em uso"),
    Metric("cpu.busiest", "cpu", U, "percent", "busiest core", "núcleo mais ocupado"),
    Metric("cpu.quota_used", "cpu", U, "percent", "container's CPU quota in use", "cota de CPU do contêiner em uso"),
    Metric("cpu.steal", "cpu", S, "percent", "CPU taken by other machines", "CPU tomada por outras máquinas"),
    Metric("cpu.pressure", "cpu", S, "percent", "tasks waiting for CPU", "tarefas à espera de CPU"),
    Metric("cpu.pressure_10s", "cpu", S, "percent", "tasks waiting for CPU, last ten seconds", "tarefas à espera de CPU nos últimos dez segundos", span_s=10),
    Metric("cpu.load_per_cpu", "cpu", S, "per cpu", "load per CPU, last minute", "carga por CPU no último minuto", span_s=60),
    Metric("cpu.runnable_per_cpu", "cpu", S, "per cpu", "runnable tasks per CPU", "tarefas prontas por CPU"),
    Metric("cpu.throttled", "cpu", S, "percent", "container throttled by its CPU quota", "contêiner freado pela cota de CPU"),
    Metric("cpu.thermal_throttles", "cpu", E, "count", "slow-downs by heat", "freadas por calor"),
)  # fmt: skip

_MEMORY = (
    Metric("memory.used", "memory", U, "percent", "memory in use", "memória em uso", state=True),
    Metric("memory.available", "memory", U, "bytes", "memory available", "memória disponível", state=True),
    Metric("memory.swap_used", "memory", U, "percent", "swap in use", "swap em uso", state=True),
    Metric("memory.cgroup_used", "memory", U, "percent", "container's memory limit in use", "limite de memória do contêiner em uso", state=True),
    Metric("memory.pressure", "memory", S, "percent", "tasks stalled for memory", "tarefas paradas por memória"),
    Metric("memory.pressure_10s", "memory", S, "percent", "tasks stalled for memory, last ten seconds", "tarefas paradas por memória nos últimos dez segundos", span_s=10),
    Metric("memory.stalled_10s", "memory", S, "percent", "everything stalled for memory, last ten seconds", "tudo parado por memória nos últimos dez segundos", span_s=10),
    Metric("memory.cgroup_pressure_10s", "memory", S, "percent", "container stalled for memory, last ten seconds", "contêiner parado por memória nos últimos dez segundos", span_s=10),
    Metric("memory.swap_in", "memory", S, "bytes/s", "read back from swap", "lido de volta do swap"),
    Metric("memory.swap_out", "memory", S, "bytes/s", "written to swap", "gravado no swap"),
    Metric("memory.major_faults", "memory", S, "per second", "page faults served from disk", "faltas de página atendidas pelo disco"),
    Metric("memory.direct_reclaim", "memory", S, "per second", "allocations that had to free memory first", "alocações que tiveram de liberar memória antes"),
    Metric("memory.oom_kills", "memory", E, "count", "processes killed for want of memory", "processos mortos por falta de memória"),
    Metric("memory.oom_kills_boot", "memory", E, "count", "processes killed for want of memory since boot", "processos mortos por falta de memória desde a partida", state=True),
    Metric("memory.cgroup_oom_kills", "memory", E, "count", "processes killed at the container's memory limit", "processos mortos no limite de memória do contêiner"),
    Metric("memory.ecc_errors", "memory", E, "count", "memory errors that could not be corrected", "erros de memória não corrigidos", state=True),
)  # fmt: skip

_STORAGE = (
    Metric("disk.busy", "storage", U, "percent", "disk busy", "disco ocupado", many=True),
    Metric("disk.read", "storage", U, "bytes/s", "read from disk", "lido do disco", many=True),
    Metric("disk.write", "storage", U, "bytes/s", "written to disk", "gravado no disco", many=True),
    Metric("fs.used", "storage", U, "percent", "file system in use", "sistema de arquivos em uso", many=True, state=True),
    Metric("fs.free", "storage", U, "bytes", "free in the file system", "livre no sistema de arquivos", many=True, state=True),
    Metric("fs.inodes", "storage", U, "percent", "inodes in use", "inodes em uso", many=True, state=True),
    Metric("disk.queue", "storage", S, "count", "requests in the disk's queue", "pedidos na fila do disco", many=True),
    Metric("disk.latency", "storage", S, "ms", "time per disk request", "tempo por pedido ao disco", many=True),
    Metric("cpu.iowait", "storage", S, "percent", "CPU idle while waiting for disks", "CPU ociosa à espera de disco"),
    Metric("io.pressure", "storage", S, "percent", "tasks stalled for I/O", "tarefas paradas por E/S"),
    Metric("io.pressure_10s", "storage", S, "percent", "tasks stalled for I/O, last ten seconds", "tarefas paradas por E/S nos últimos dez segundos", span_s=10),
    Metric("io.stalled_10s", "storage", S, "percent", "everything stalled for I/O, last ten seconds", "tudo parado por E/S nos últimos dez segundos", span_s=10),
    Metric("io.blocked", "storage", S, "count", "tasks blocked on I/O", "tarefas bloqueadas em E/S"),
    Metric("fs.errors", "storage", E, "count", "file system errors", "erros do sistema de arquivos", many=True, state=True),
    Metric("fs.readonly", "storage", E, "count", "file system turned read-only", "sistema de arquivos passou a só leitura", many=True, state=True),
)  # fmt: skip

_NETWORK = (
    Metric("net.receive", "network", U, "bytes/s", "received", "recebido", many=True),
    Metric("net.send", "network", U, "bytes/s", "sent", "enviado", many=True),
    Metric("net.receive_used", "network", U, "percent", "link in use, receiving", "enlace em uso, recepção", many=True),
    Metric("net.send_used", "network", U, "percent", "link in use, sending", "enlace em uso, envio", many=True),
    Metric("net.conntrack", "network", U, "percent", "connection tracking table in use", "tabela de conexões em uso", state=True),
    Metric("net.retransmitted", "network", S, "percent", "TCP segments sent again", "segmentos TCP reenviados"),
    Metric("net.listen_drops", "network", S, "per second", "connections dropped by full listen queues", "conexões recusadas por filas de escuta cheias"),
    Metric("net.backlog_drops", "network", S, "per second", "packets dropped before they were handled", "pacotes descartados antes do tratamento"),
    Metric("net.errors", "network", E, "per second", "interface errors", "erros da interface", many=True),
    Metric("net.drops", "network", E, "per second", "packets dropped by the interface", "pacotes descartados pela interface", many=True),
)  # fmt: skip

_WORKLOAD = (
    Metric("limits.files", "workload", U, "percent", "open files of the most possible", "arquivos abertos do máximo possível", state=True),
    Metric("limits.threads", "workload", U, "percent", "threads of the most possible", "threads do máximo possível", state=True),
    Metric("limits.cgroup_pids", "workload", U, "percent", "container's process limit in use", "limite de processos do contêiner em uso", state=True),
    Metric("process.cpu", "workload", U, "percent", "CPU of the machine used by the process", "CPU da máquina usada pelo processo", many=True),
    Metric("process.memory", "workload", U, "percent", "memory of the machine used by the process", "memória da máquina usada pelo processo", many=True, state=True),
    Metric("work.context_switches", "workload", S, "per second", "context switches", "trocas de contexto"),
    Metric("work.forks", "workload", S, "per second", "processes started", "processos iniciados"),
)  # fmt: skip

CATALOGUE: Final[Mapping[str, Metric]] = MappingProxyType(
    {metric.name: metric for metric in (*_CPU, *_MEMORY, *_STORAGE, *_NETWORK, *_WORKLOAD)}
)


def metric_of(metric: str) -> Metric | None:
    """What the id ``metric`` measures; ``None`` where there is no such metric."""
    return CATALOGUE.get(name_of(metric))
