"""Everything that a report says to people, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coreto.crews.insights.metrics.catalogue import Language


def say(language: Language, key: str, /, **values: object) -> str:
    """The text of ``key`` with its placeholders filled."""
    return CATALOGUE[key][language].format(**values)


def _both(en: str, pt: str) -> Mapping[Language, str]:
    return MappingProxyType({"en": en, "pt-BR": pt})


CATALOGUE: Final[Mapping[str, Mapping[Language, str]]] = MappingProxyType(
    {
        "finding.cpu.saturated": _both("The CPU is overloaded: tasks wait for it.", "A CPU está sobrecarregada: há tarefas à espera dela."),
        "finding.cpu.throttled": _both("The container is slowed down by its CPU quota.", "O contêiner está sendo freado pela sua cota de CPU."),
        "finding.cpu.stolen": _both("The hypervisor gives CPU time of this machine to others.", "O hipervisor dá a outras máquinas tempo de CPU desta."),
        "finding.cpu.hot": _both("The processor slows down because it is too hot.", "O processador reduz a velocidade por estar quente demais."),
        "finding.memory.short": _both("Memory is nearly used up.", "A memória está quase esgotada."),
        "finding.memory.thrashing": _both("Tasks stall while the system looks for memory.", "Há tarefas paradas enquanto o sistema procura memória."),
        "finding.memory.killed": _both("The kernel has killed processes for want of memory.", "O kernel matou processos por falta de memória."),
        "finding.memory.faulty": _both("The memory has errors that could not be corrected.", "A memória tem erros que não puderam ser corrigidos."),
        "finding.storage.full": _both("The file system {where} is nearly full.", "O sistema de arquivos {where} está quase cheio."),
        "finding.storage.inodes": _both("The file system {where} has hardly any inodes left.", "O sistema de arquivos {where} quase não tem mais inodes."),
        "finding.storage.slow": _both("Storage does not keep up: tasks wait for reads and writes.", "O armazenamento não dá conta: há tarefas à espera de leitura e gravação."),
        "finding.storage.failing": _both("The file system {where} has met errors.", "O sistema de arquivos {where} encontrou erros."),
        "finding.network.saturated": _both("The network does not keep up: packets or connections are turned away.", "A rede não dá conta: pacotes ou conexões são recusados."),
        "finding.network.lossy": _both("The network loses packets.", "A rede perde pacotes."),
        "finding.network.table": _both("The connection tracking table is nearly full.", "A tabela de conexões está quase cheia."),
        "finding.workload.limits": _both("A limit of the system on files or processes is nearly reached.", "Um limite do sistema para arquivos ou processos está quase atingido."),
        "none": _both("No problem found.", "Nenhum problema encontrado."),
        "none.partly": _both("No problem found in what could be measured; much could not.", "Nenhum problema encontrado no que se pôde medir; muito não se pôde."),
        "fading": _both("It is over, as it seems: the figures of this moment are fine.", "Parece que já passou: os números deste momento estão bem."),
        "explained": _both("Possible cause: {causes}", "Causa possível: {causes}"),
        "title": _both("How {host} is", "Como está {host}"),
        "level.crit": _both("critical", "crítico"),
        "level.warn": _both("warning", "atenção"),
        "level.ok": _both("fine", "bem"),
        "level.unknown": _both("unknown", "desconhecido"),
        "resource.cpu": _both("CPU", "CPU"),
        "resource.memory": _both("Memory", "Memória"),
        "resource.storage": _both("Storage", "Armazenamento"),
        "resource.network": _both("Network", "Rede"),
        "resource.workload": _both("Limits", "Limites"),
        "band.high": _both("high confidence", "confiança alta"),
        "band.medium": _both("medium confidence", "confiança média"),
        "band.low": _both("low confidence", "confiança baixa"),
        "quality.excellent": _both("excellent", "excelente"),
        "quality.good": _both("good", "boa"),
        "quality.basic": _both("basic", "básica"),
        "quality.fallback": _both("by the checks alone", "só pelas verificações"),
        "evidence": _both("Evidence", "Evidências"),
        "recommendations": _both("Recommendations", "Recomendações"),
        "look": _both("to see more", "para ver mais"),
        "threshold": _both("threshold {value}", "limite {value}"),
        "usual": _both("usually {value}", "normalmente {value}"),
        "agents": _both("Specialists: {names}", "Especialistas: {names}"),
        "missing": _both("Without an answer, although needed: {names}", "Sem resposta, embora necessários: {names}"),
        "rejected": _both("Left out, because it is not in the figures: {count}", "Deixado de fora, por não estar nos números: {count}"),
        "held": _both("High, but no problem by itself: {names}", "Alto, mas por si só não é problema: {names}"),
        "footer": _both("{quality} · measured over {window} · {known} of {total} checks known", "{quality} · medido em {window} · {known} de {total} verificações conhecidas"),
        "stale": _both("The figures are {age} old.", "Os números têm {age}."),
        "quality": _both("Quality: {quality}", "Qualidade: {quality}"),
    }
)  # fmt: skip
