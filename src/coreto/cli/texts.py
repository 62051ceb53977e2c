"""Everything that `ask`, `status`, `ps`, `doctor` and `costs` say to people, in English and Portuguese."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from coreto.cli.texts_doctor import DOCTOR

Language = Literal["en", "pt-BR"]


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts in one language: ``texts("ask.pulling", name="smollm2")``."""

    language: Language = "en"

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of ``key`` with its placeholders filled."""
        return CATALOGUE[key][self.language].format(**values)

    @property
    def decimal(self) -> str:
        """What stands between whole and tenths."""
        return "," if self.language == "pt-BR" else "."


def _both(en: str, pt: str) -> Mapping[Language, str]:
    return MappingProxyType({"en": en, "pt-BR": pt})


_ASK = {
    "ask.summary": _both(
        "— {deployment} · {tokens} tokens · {time} · {cost}",
        "— {deployment} · {tokens} tokens · {time} · {cost}",
    ),
    "ask.run_summary": _both("— {models} · {time} · {cost}", "— {models} · {time} · {cost}"),
    "ask.file": _both("file {name}: {path}", "arquivo {name}: {path}"),
    "ask.no_price": _both("price unknown", "preço desconhecido"),
    "ask.pulling": _both(
        "no other model can answer: fetching {name} ({size}, once)",
        "nenhum outro modelo pode responder: baixando {name} ({size}, uma só vez)",
    ),
    "route.title": _both("Decision", "Decisão"),
    "ask.attempts": _both("Attempts", "Tentativas"),
    "ask.deployment": _both("deployment", "modelo"),
    "ask.outcome": _both("outcome", "resultado"),
    "ask.time": _both("time", "tempo"),
    "ask.first_token": _both("first token", "1º token"),
    "ask.tokens": _both("tokens in/out", "tokens entrada/saída"),
    "ask.cost": _both("cost", "custo"),
    "ask.reason": _both("reason", "motivo"),
    "ask.first": _both(
        "{deployment} answered: it comes first for {role}",
        "{deployment} respondeu: é o primeiro de {role}",
    ),
    "ask.named": _both(
        "{deployment} answered: it was asked for by name",
        "{deployment} respondeu: foi pedido pelo nome",
    ),
    "ask.after": _both(
        "{deployment} answered for {role}, after {others}",
        "{deployment} respondeu por {role}, depois de {others}",
    ),
    "ask.remaining": _both(
        "{deployment} answered for {role}: it comes first of those that can be used now",
        "{deployment} respondeu por {role}: é o primeiro dos que podem ser usados agora",
    ),
    "ask.nobody": _both("nobody answered", "ninguém respondeu"),
    "ask.total": _both("total: {time}, {cost}", "total: {time}, {cost}"),
    "ask.warning": _both("warning: {text}", "aviso: {text}"),
    "ask.unmapped": _both(
        "fields that the server could not be given: {fields}",
        "campos que não puderam ser enviados ao servidor: {fields}",
    ),
    "pull.download": _both("downloading {name}", "baixando {name}"),
    "pull.extract": _both("unpacking {name}", "extraindo {name}"),
    "pull.done": _both("{name} is ready ({size})", "{name} está pronto ({size})"),
    "pull.ready": _both("{name} is ready", "{name} está pronto"),
    "pull.restart": _both(
        "the running server was started without {name}; restart `coreto serve` so that it finds it",
        "o servidor em execução começou sem {name}; reinicie `coreto serve` para que ele o encontre",
    ),
}

_STATUS = {
    "status.server": _both("server: {url} (process {pid})", "servidor: {url} (processo {pid})"),
    "status.no_server": _both(
        "server: not running (`coreto serve` starts it)",
        "servidor: parado (`coreto serve` o inicia)",
    ),
    "status.cloud": _both("cloud models: {state}", "modelos na nuvem: {state}"),
    "status.local": _both("local models: {state}", "modelos locais: {state}"),
    "status.fallback": _both("fallback: {state}", "troca automática: {state}"),
    "status.offline": _both("offline mode: on", "modo offline: ligado"),
    "status.degraded": _both(
        "degraded: some of the cloud cannot be reached", "degradado: parte da nuvem está fora do alcance"
    ),
    "status.available": _both("available", "disponíveis"),
    "status.unavailable": _both("not available", "indisponíveis"),
    "status.on": _both("on", "ligada"),
    "status.off": _both("off", "desligada"),
    "status.current": _both("last to answer: {model}", "último a responder: {model}"),
    "status.memory": _both("GPU memory in use: {used} GB{total}", "memória de GPU em uso: {used} GB{total}"),
    "status.budget": _both(
        "memory of models: {used} GB of {total} GB, in turns (`coreto ps` tells more)",
        "memória dos modelos: {used} GB de {total} GB, em turnos (`coreto ps` mostra mais)",
    ),
    "status.providers": _both("Providers", "Provedores"),
    "status.deployments": _both("Deployments", "Modelos"),
    "status.roles": _both("Roles", "Papéis"),
    "status.name": _both("name", "nome"),
    "status.where": _both("where", "onde"),
    "status.state": _both("state", "estado"),
    "status.detail": _both("detail", "detalhe"),
    "status.models": _both("models", "modelos"),
    "status.calls": _both("calls", "chamadas"),
    "status.failures": _both("failed", "falhas"),
    "status.latency": _both("p50 / p95", "p50 / p95"),
    "status.last_error": _both("last error", "último erro"),
    "status.role": _both("role", "papel"),
    "status.chain": _both("answers, in this order", "responde, nesta ordem"),
    "status.is_local": _both("this machine", "esta máquina"),
    "status.is_cloud": _both("cloud", "nuvem"),
    "status.up": _both("up", "no ar"),
    "status.down": _both("down", "fora do ar"),
    "status.unasked": _both("not asked", "não consultado"),
    "status.no_key": _both("no key", "sem chave"),
    "status.ready": _both("ready", "pronto"),
    "status.blocked": _both("out until {until}: {reason}", "fora até {until}: {reason}"),
    "status.cooling": _both(
        "{key} is passed by until {until}: {reason}", "{key} fica de fora até {until}: {reason}"
    ),
    "status.nobody": _both("nobody", "ninguém"),
    "status.more_dropped": _both("(+{count} that cannot serve now)", "(+{count} que não podem servir agora)"),
}

_PS = {
    "ps.used": _both("{used} of {budget}", "{used} de {budget}"),
    "ps.current": _both("current: {model}", "atual: {model}"),
    "ps.current_as": _both("current: {model} ({role})", "atual: {model} ({role})"),
    "ps.home_model": _both("home: {model}", "residente: {model}"),
    "ps.counts": _both(
        "queue: {queue} · switches: {switches} · loads: {loads}",
        "fila: {queue} · trocas: {switches} · cargas: {loads}",
    ),
    "ps.no_queue": _both(
        "no server runs: as the engine shows it", "nenhum servidor no ar: como o motor mostra"
    ),
    "ps.model": _both("model", "modelo"),
    "ps.state": _both("state", "estado"),
    "ps.size": _both("size", "tamanho"),
    "ps.running": _both("running", "em uso"),
    "ps.waiting": _both("waiting", "em espera"),
    "ps.context": _both("context", "contexto"),
    "ps.home": _both("home", "residente"),
    "ps.until": _both("kept until", "mantido até"),
    "ps.shrunk": _both("{context} (reduced)", "{context} (reduzido)"),
    "ps.state.absent": _both("not loaded", "não carregado"),
    "ps.state.loading": _both("loading", "carregando"),
    "ps.state.ready": _both("in memory", "na memória"),
    "ps.state.leaving": _both("leaving", "saindo"),
    "ps.state.lost": _both("dropped by the engine", "perdido pelo motor"),
    "ps.recent": _both("latest switches", "últimas trocas"),
    "ps.what.switch": _both("leaves", "sai"),
    "ps.what.loaded": _both("loaded", "carregado"),
    "ps.what.unloaded": _both("unloaded", "descarregado"),
    "ps.what.shrunk": _both("smaller window", "janela menor"),
    "ps.what.cleared": _both("memory cleared", "memória esvaziada"),
    "ps.what.failed": _both("failed", "falhou"),
    "ps.what.over_budget": _both("over the budget", "acima do orçamento"),
    "ps.what.resynchronised": _both("changed outside", "mudou por fora"),
    "ps.no_budget": _both("no memory_budget: the engine decides", "sem memory_budget: o motor decide"),
    "ps.nothing": _both("nothing in memory", "nada na memória"),
    "ps.set_budget": _both(
        'models do not take turns yet: set `memory_budget = "16 GB"`, or "auto", in [providers.{name}]',
        'os modelos ainda não se alternam: defina `memory_budget = "16 GB"`, ou "auto", em [providers.{name}]',
    ),
}

_MEMORY = {
    "memory.title": _both("Memory", "Memória"),
    "memory.amount": _both("size", "tamanho"),
    "memory.what": _both("what for", "para quê"),
    "memory.weights": _both("weights", "pesos"),
    "memory.cache": _both("cache", "cache"),
    "memory.compute": _both("compute", "cálculo"),
    "memory.output": _both("output", "saída"),
    "memory.host": _both("host", "hospedeiro"),
    "memory.why.weights": _both("all of the model's tensors", "todos os tensores do modelo"),
    "memory.why.cache": _both("keys and values of {window}", "chaves e valores de {window}"),
    "memory.why.compute": _both(
        "buffers for 512 tokens at a time", "espaço de trabalho para 512 tokens por vez"
    ),
    "memory.why.output": _both("one logit for each word known", "um logit para cada palavra conhecida"),
    "memory.why.host": _both(
        "tokenizer and buffers that stay in main memory beside a GPU",
        "tokenizador e buffers que ficam na memória principal ao lado de uma GPU",
    ),
    "memory.window": _both("a window of {context} tokens", "uma janela de {context} tokens"),
    "memory.windows": _both(
        "windows of {context} tokens for {slots} requests at once",
        "janelas de {context} tokens para {slots} requisições ao mesmo tempo",
    ),
    "memory.total": _both("total", "total"),
    "memory.taken": _both("taken to be", "considerado"),
    "memory.declared": _both("declared in the configuration", "declarado na configuração"),
    "memory.estimated": _both("estimated from the model's shape", "estimado pelo formato do modelo"),
    "memory.roughly": _both("roughly, by its weights", "aproximado, pelos pesos"),
    "memory.unknown": _both(
        "unknown: the whole budget until it was measured", "desconhecido: todo o orçamento até ser medido"
    ),
    "memory.now": _both("now", "agora"),
    "memory.measured": _both(
        "measured: it is in memory with {context} tokens", "medido: está na memória com {context} tokens"
    ),
    "memory.smaller": _both("smaller window", "janela menor"),
    "memory.why.smaller": _both(
        "{context} tokens, where the full window does not fit",
        "{context} tokens, se a janela inteira não couber",
    ),
    "memory.budget": _both("budget", "orçamento"),
    "memory.no_budget": _both(
        "none (providers.{name}.memory_budget): the engine decides",
        "nenhum (providers.{name}.memory_budget): o motor decide",
    ),
    "memory.fit": _both("it fits (providers.{name}.memory_budget)", "cabe (providers.{name}.memory_budget)"),
    "memory.fit_smaller": _both(
        "it fits with the smaller window only (providers.{name}.memory_budget)",
        "só cabe com a janela menor (providers.{name}.memory_budget)",
    ),
    "memory.fit_not": _both(
        "it does not fit and is never loaded: raise providers.{name}.memory_budget",
        "não cabe e nunca é carregado: aumente providers.{name}.memory_budget",
    ),
    "memory.fit_unknown": _both(
        "whether it fits shows when it is loaded (providers.{name}.memory_budget)",
        "se cabe, saberemos ao carregar (providers.{name}.memory_budget)",
    ),
    "memory.problem": _both("memory unknown: {problem}", "memória desconhecida: {problem}"),
}

_COSTS = {
    "costs.none": _both("no calls recorded yet", "nenhuma chamada registrada ainda"),
    "costs.none_since": _both("no calls recorded since {since}", "nenhuma chamada registrada desde {since}"),
    "costs.total": _both(
        "{cost} for {calls} calls ({failed} failed), {prompt} tokens in, {completion} tokens out",
        "{cost} por {calls} chamadas ({failed} com falha), {prompt} tokens de entrada, {completion} de saída",
    ),
    "costs.since": _both("since {since}", "desde {since}"),
    "costs.unknown": _both(
        "unknown price: {count} calls, not contained in the cost",
        "preço desconhecido: {count} chamadas, fora do custo",
    ),
    "costs.saving": _both(
        "saved {saving} ({share} %) against {baseline} for all of the {calls} calls that can be compared "
        "({expected})",
        "economia de {saving} ({share} %) em relação a {baseline} para as {calls} chamadas comparáveis "
        "({expected})",
    ),
    "costs.no_saving": _both(
        "saving: nothing to compare with (no role has a cloud model with a known price)",
        "economia: nada com que comparar (nenhum papel tem modelo na nuvem com preço conhecido)",
    ),
    "costs.projection": _both(
        "this month so far {cost}; at this pace {projection} by its end",
        "este mês até agora {cost}; neste ritmo, {projection} até o fim",
    ),
    "costs.prices": _both("prices: {sources}", "preços: {sources}"),
    "costs.by.role": _both("By role", "Por papel"),
    "costs.by.deployment": _both("By deployment", "Por modelo"),
    "costs.by.day": _both("By day", "Por dia"),
    "costs.by.user": _both("By user", "Por usuário"),
    "costs.by.run": _both("By run", "Por execução"),
    "costs.key.role": _both("role", "papel"),
    "costs.key.deployment": _both("deployment", "modelo"),
    "costs.key.day": _both("day", "dia"),
    "costs.key.user": _both("user", "usuário"),
    "costs.key.run": _both("run", "execução"),
    "costs.calls": _both("calls", "chamadas"),
    "costs.failed": _both("failed", "falhas"),
    "costs.attempts": _both("attempts", "tentativas"),
    "costs.tokens": _both("tokens in/out", "tokens entrada/saída"),
    "costs.cost": _both("cost", "custo"),
    "costs.unpriced": _both("unknown price", "preço desconhecido"),
    "costs.saved": _both("saved", "economia"),
    "costs.no_price": _both("unknown", "desconhecido"),
    "costs.no_key": _both("(none)", "(nenhum)"),
}

CATALOGUE: Mapping[str, Mapping[Language, str]] = MappingProxyType(
    {**_ASK, **_STATUS, **_PS, **_MEMORY, **_COSTS, **{key: _both(*pair) for key, pair in DOCTOR.items()}}
)
