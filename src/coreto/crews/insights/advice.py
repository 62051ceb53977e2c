"""What to do about a finding: a catalogue of actions that people have checked. Models may choose among them and write none.

``look`` is a command that only reads. Nothing here changes a machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from coreto.crews.insights.metrics.readings import SystemMetrics
from coreto.crews.insights.thresholds import Kind
from coreto.languages import Language

Fits = Callable[[SystemMetrics], bool]

MOST: Final = 3
"""Actions that are recommended for a finding; at least two."""


def _always(metrics: SystemMetrics) -> bool:
    del metrics
    return True


def _measured(metric: str) -> Fits:
    """Where ``metric`` is known and above nothing."""
    return lambda metrics: (metrics.value(metric) or 0.0) > 0.0


def _no_swap(metrics: SystemMetrics) -> bool:
    reading = metrics.readings.get("memory.swap_used")
    return reading is not None and reading.missing == "nan"


@dataclass(frozen=True, slots=True)
class Advice:
    """``id`` names it; ``fits``: whether it makes sense on a machine; ``look``: a command that shows more."""

    id: str
    kind: Kind
    en: str
    pt: str
    look: str = ""
    fits: Fits = _always

    def said(self, language: Language) -> str:
        """It, in words."""
        return self.pt if language == "pt-BR" else self.en


_CATALOGUE: Final[tuple[Advice, ...]] = (
    Advice("cpu.container", "cpu.saturated", "The container's quota is used up as well: raise it, or spread the work over more containers.", "A cota do contêiner também se esgotou: aumente-a, ou distribua o trabalho por mais contêineres.", fits=_measured("cpu.throttled")),
    Advice("cpu.top", "cpu.saturated", "Find out what the busiest process is working on, and stop or postpone what is not needed now.", "Descubra em que trabalha o processo mais ocupado, e pare ou adie o que não é preciso agora.", "ps -eo pid,comm,pcpu,ni --sort=-pcpu"),
    Advice("cpu.nice", "cpu.saturated", "Give background work a lower priority, so that what people wait for goes first.", "Dê menos prioridade ao trabalho de fundo, para que passe à frente o que as pessoas esperam.", "ps -eo pid,ni,comm --sort=ni"),
    Advice("cpu.fewer", "cpu.saturated", "Let fewer workers run at once: more than there are CPUs only wait for each other.", "Rode menos processos ao mesmo tempo: mais do que há de CPUs só esperam uns pelos outros.", "nproc"),
    Advice("throttle.raise", "cpu.throttled", "Raise the container's CPU quota, or remove it where the machine has CPU to spare.", "Aumente a cota de CPU do contêiner, ou retire-a se a máquina tem CPU de sobra."),
    Advice("throttle.threads", "cpu.throttled", "Let the program start as many threads as its quota has CPUs; it may be counting those of the machine.", "Faça o programa criar tantas threads quantas CPUs tem a cota; talvez conte as da máquina."),
    Advice("steal.provider", "cpu.stolen", "Ask the provider for dedicated CPUs, or move the machine to a less crowded host.", "Peça CPUs dedicadas ao provedor, ou mude a máquina para um hospedeiro menos cheio."),
    Advice("steal.credits", "cpu.stolen", "See whether the machine is of a kind with CPU credits, and whether they are used up.", "Veja se a máquina é de um tipo com créditos de CPU, e se eles acabaram."),
    Advice("heat.cooling", "cpu.hot", "Clean the fans and see that air can pass.", "Limpe as ventoinhas e veja se o ar circula.", "sensors"),
    Advice("heat.load", "cpu.hot", "Spread long computations over time until the cooling is mended.", "Distribua no tempo os cálculos longos até que a refrigeração esteja em ordem."),
    Advice("memory.swap_add", "memory.short", "Add some swap: it buys time before the kernel kills.", "Acrescente um pouco de swap: dá tempo antes que o kernel mate processos.", "swapon --show", _no_swap),
    Advice("memory.limit", "memory.short", "Raise the container's memory limit, or lower what the program keeps in memory.", "Aumente o limite de memória do contêiner, ou reduza o que o programa guarda em memória.", fits=_measured("memory.cgroup_used")),
    Advice("memory.top", "memory.short", "Restart or stop the process that uses most, once its work is saved; watch whether it grows again.", "Reinicie ou pare o processo que usa mais, depois de salvo o trabalho; observe se volta a crescer.", "ps -eo pid,comm,rss --sort=-rss"),
    Advice("memory.caches", "memory.short", "Make the caches of databases and language models smaller: they are set by hand, and add up.", "Diminua os caches de bancos de dados e de modelos de linguagem: são ajustados à mão, e se somam."),
    Advice("memory.more", "memory.short", "Move one of the large services to another machine, or add memory.", "Mude um dos serviços grandes para outra máquina, ou acrescente memória."),
    Advice("thrash.stop", "memory.thrashing", "Stop the process that uses most memory now: until then everything else crawls.", "Pare já o processo que usa mais memória: até lá, todo o resto se arrasta.", "ps -eo pid,comm,rss --sort=-rss"),
    Advice("thrash.parallel", "memory.thrashing", "Run fewer jobs side by side, so that what is in use fits into memory.", "Rode menos tarefas lado a lado, para que caiba na memória o que está em uso."),
    Advice("thrash.see", "memory.thrashing", "Watch paging for a while to see whether it goes on or was one burst.", "Observe a paginação por um tempo, para ver se continua ou foi um momento só.", "vmstat -S M"),
    Advice("killed.who", "memory.killed", "See which process was killed, and whether its service is running again.", "Veja que processo foi morto, e se o serviço dele voltou a funcionar.", "journalctl -k -g 'out of memory'"),
    Advice("killed.limit", "memory.killed", "Give the service a memory limit of its own, so that it fails alone and not its neighbours.", "Dê ao serviço um limite de memória próprio, para que falhe sozinho, e não os vizinhos."),
    Advice("killed.leak", "memory.killed", "Compare the memory of the service over days: steady growth is a leak.", "Compare a memória do serviço ao longo de dias: crescimento constante é vazamento."),
    Advice("faulty.replace", "memory.faulty", "Replace the memory module that is reported; back up first.", "Troque o módulo de memória apontado; faça antes uma cópia de segurança.", "ras-mc-ctl --errors"),
    Advice("faulty.test", "memory.faulty", "Take the machine out of service and test its memory.", "Tire a máquina de serviço e teste a memória."),
    Advice("full.largest", "storage.full", "Find the largest folders, and delete or move what is no longer needed.", "Encontre as maiores pastas, e apague ou mude de lugar o que não é mais preciso.", "du -xh --max-depth=2 --threshold=100M ."),
    Advice("full.open", "storage.full", "Look for deleted files that are still open: their room comes back when their process restarts.", "Procure arquivos apagados que ainda estão abertos: o espaço volta quando o processo reinicia.", "lsof +L1"),
    Advice("full.grow", "storage.full", "Make the file system larger, or limit logs and caches that grow into it.", "Aumente o sistema de arquivos, ou limite os logs e caches que crescem nele.", "journalctl --disk-usage"),
    Advice("inodes.small", "storage.inodes", "Find folders with very many small files, such as sessions, caches or mail queues, and empty them.", "Encontre pastas com muitos arquivos pequenos, como sessões, caches ou filas de correio, e esvazie-as.", "du --inodes -x --max-depth=2 ."),
    Advice("inodes.rotate", "storage.inodes", "Let the program that makes them delete old ones by itself.", "Faça o programa que os cria apagar os antigos por conta própria."),
    Advice("slow.who", "storage.slow", "Find the process that reads or writes most, and let it do so more slowly or at night.", "Encontre o processo que mais lê ou grava, e faça-o mais devagar ou à noite.", "iotop -boP -n 1"),
    Advice("slow.batch", "storage.slow", "Write in larger pieces and synchronise less often where losing the last seconds is acceptable.", "Grave em blocos maiores e sincronize com menos frequência, onde perder os últimos segundos é aceitável."),
    Advice("slow.faster", "storage.slow", "Move the busiest data to a faster disk, or to one of its own.", "Mude os dados mais usados para um disco mais rápido, ou só deles.", "lsblk -o NAME,ROTA,SIZE,MOUNTPOINT"),
    Advice("failing.backup", "storage.failing", "Back up now, before anything else.", "Faça já uma cópia de segurança, antes de qualquer outra coisa."),
    Advice("failing.log", "storage.failing", "Read what the kernel says about the device and its file system.", "Leia o que o kernel diz do dispositivo e do sistema de arquivos.", "journalctl -k -p err"),
    Advice("failing.health", "storage.failing", "Read the disk's own health report, and check the file system while it is not mounted.", "Leia o relatório de saúde do próprio disco, e verifique o sistema de arquivos enquanto não está montado.", "smartctl -H --scan"),
    Advice("link.who", "network.saturated", "Find out which connections carry most, and limit or move them.", "Descubra que conexões levam mais, e limite-as ou mude-as.", "ss -tin"),
    Advice("link.queue", "network.saturated", "Let the service accept connections faster: more workers, or a longer listen queue.", "Faça o serviço aceitar conexões mais depressa: mais processos, ou uma fila de escuta maior.", "ss -ltn"),
    Advice("link.faster", "network.saturated", "Use a faster link, or spread the traffic over several.", "Use um enlace mais rápido, ou distribua o tráfego por vários.", "ip -s link"),
    Advice("lossy.cable", "network.lossy", "Check cable, port and duplex of the interface.", "Verifique cabo, porta e duplex da interface.", "ip -s link"),
    Advice("lossy.path", "network.lossy", "Measure the loss to the peers that matter, to tell the own link from the way there.", "Meça a perda até os pares que importam, para separar o próprio enlace do caminho.", "ss -ti"),
    Advice("lossy.buffers", "network.lossy", "See whether the interface's ring buffers overflow, and make them larger.", "Veja se os buffers da interface transbordam, e aumente-os.", "ip -s -s link"),
    Advice("table.larger", "network.table", "Allow the table more entries; each takes little memory.", "Permita mais entradas na tabela; cada uma ocupa pouca memória.", "sysctl net.netfilter.nf_conntrack_max"),
    Advice("table.shorter", "network.table", "Let idle connections be forgotten sooner, or leave local traffic untracked.", "Faça esquecer mais cedo as conexões paradas, ou deixe o tráfego local sem rastreio.", "sysctl net.netfilter.nf_conntrack_tcp_timeout_established"),
    Advice("limits.leak", "workload.limits", "Find the process that holds most files or threads: it may never close them.", "Encontre o processo que mantém mais arquivos ou threads: talvez nunca os feche.", "ps -eo pid,comm,nlwp --sort=-nlwp"),
    Advice("limits.raise", "workload.limits", "Raise the limit once it is clear that the use is wanted.", "Aumente o limite quando estiver claro que o uso é desejado.", "sysctl fs.file-max kernel.threads-max kernel.pid_max"),
)  # fmt: skip

ADVICE: Final[Mapping[str, Advice]] = MappingProxyType({advice.id: advice for advice in _CATALOGUE})


def advice_for(kind: Kind, metrics: SystemMetrics, wanted: Sequence[str] = ()) -> tuple[Advice, ...]:
    """Two or three actions for a finding of ``kind``: first those that somebody ``wanted`` by id, where they are of
    this kind, then the catalogue's order, of what fits the machine."""
    fitting = [advice for advice in ADVICE.values() if advice.kind == kind and advice.fits(metrics)]
    asked = [advice for advice in fitting if advice.id in wanted]
    return tuple([*asked, *(advice for advice in fitting if advice not in asked)][:MOST])
