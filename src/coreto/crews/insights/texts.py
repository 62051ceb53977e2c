"""Everything that a report says to people, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coreto.languages import Language, Text, both, spoken


def say(language: Language, key: str, /, **values: object) -> str:
    """The text of ``key`` with its placeholders filled."""
    return spoken(CATALOGUE, language, key, **values)


CATALOGUE: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "finding.cpu.saturated": both("The CPU is overloaded: tasks wait for it.", "A CPU está sobrecarregada: há tarefas à espera dela."),
        "finding.cpu.throttled": both("The container is slowed down by its CPU quota.", "O contêiner está sendo freado pela sua cota de CPU."),
        "finding.cpu.stolen": both("The hypervisor gives CPU time of this machine to others.", "O hipervisor dá a outras máquinas tempo de CPU desta."),
        "finding.cpu.hot": both("The processor slows down because it is too hot.", "O processador reduz a velocidade por estar quente demais."),
        "finding.memory.short": both("Memory is nearly used up.", "A memória está quase esgotada."),
        "finding.memory.thrashing": both("Tasks stall while the system looks for memory.", "Há tarefas paradas enquanto o sistema procura memória."),
        "finding.memory.killed": both("The kernel has killed processes for want of memory.", "O kernel matou processos por falta de memória."),
        "finding.memory.faulty": both("The memory has errors that could not be corrected.", "A memória tem erros que não puderam ser corrigidos."),
        "finding.storage.full": both("The file system {where} is nearly full.", "O sistema de arquivos {where} está quase cheio."),
        "finding.storage.inodes": both("The file system {where} has hardly any inodes left.", "O sistema de arquivos {where} quase não tem mais inodes."),
        "finding.storage.slow": both("Storage does not keep up: tasks wait for reads and writes.", "O armazenamento não dá conta: há tarefas à espera de leitura e gravação."),
        "finding.storage.failing": both("The file system {where} has met errors.", "O sistema de arquivos {where} encontrou erros."),
        "finding.network.saturated": both("The network does not keep up: packets or connections are turned away.", "A rede não dá conta: pacotes ou conexões são recusados."),
        "finding.network.lossy": both("The network loses packets.", "A rede perde pacotes."),
        "finding.network.table": both("The connection tracking table is nearly full.", "A tabela de conexões está quase cheia."),
        "finding.workload.limits": both("A limit of the system on files or processes is nearly reached.", "Um limite do sistema para arquivos ou processos está quase atingido."),
        "none": both("No problem found.", "Nenhum problema encontrado."),
        "none.partly": both("No problem found in what could be measured; much could not.", "Nenhum problema encontrado no que se pôde medir; muito não se pôde."),
        "fading": both("It is over, as it seems: the figures of this moment are fine.", "Parece que já passou: os números deste momento estão bem."),
        "explained": both("Possible cause: {causes}", "Causa possível: {causes}"),
        "title": both("How {host} is", "Como está {host}"),
        "level.crit": both("critical", "crítico"),
        "level.warn": both("warning", "atenção"),
        "level.ok": both("fine", "bem"),
        "level.unknown": both("unknown", "desconhecido"),
        "resource.cpu": both("CPU", "CPU"),
        "resource.memory": both("Memory", "Memória"),
        "resource.storage": both("Storage", "Armazenamento"),
        "resource.network": both("Network", "Rede"),
        "resource.workload": both("Limits", "Limites"),
        "band.high": both("high confidence", "confiança alta"),
        "band.medium": both("medium confidence", "confiança média"),
        "band.low": both("low confidence", "confiança baixa"),
        "quality.excellent": both("excellent", "excelente"),
        "quality.good": both("good", "boa"),
        "quality.basic": both("basic", "básica"),
        "quality.fallback": both("by the checks alone", "só pelas verificações"),
        "evidence": both("Evidence", "Evidências"),
        "recommendations": both("Recommendations", "Recomendações"),
        "look": both("to see more", "para ver mais"),
        "threshold": both("threshold {value}", "limite {value}"),
        "usual": both("usually {value}", "normalmente {value}"),
        "agents": both("Specialists: {names}", "Especialistas: {names}"),
        "missing": both("Without an answer, although needed: {names}", "Sem resposta, embora necessários: {names}"),
        "rejected": both("Left out, because it is not in the figures: {count}", "Deixado de fora, por não estar nos números: {count}"),
        "held": both("High, but no problem by itself: {names}", "Alto, mas por si só não é problema: {names}"),
        "footer": both("{quality} · measured over {window} · {known} of {total} checks known", "{quality} · medido em {window} · {known} de {total} verificações conhecidas"),
        "stale": both("The figures are {age} old.", "Os números têm {age}."),
        "quality": both("Quality: {quality}", "Qualidade: {quality}"),
    }
)  # fmt: skip
