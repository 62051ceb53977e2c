"""Everything that `ask`, `status`, `ps`, `doctor` and `costs` say to people, in English and Portuguese."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from coreto.cli.texts_doctor import DOCTOR
from coreto.languages import Language, Text, both, spoken


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts in one language: ``texts("ask.pulling", name="smollm2")``."""

    language: Language = "en"

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of ``key`` with its placeholders filled."""
        return spoken(CATALOGUE, self.language, key, **values)

    @property
    def decimal(self) -> str:
        """What stands between whole and tenths."""
        return "," if self.language == "pt-BR" else "."


_ASK = {
    "ask.summary": both(
        "— {deployment} · {tokens} tokens · {time} · {cost}",
        "— {deployment} · {tokens} tokens · {time} · {cost}",
    ),
    "ask.run_summary": both("— {models} · {time} · {cost}", "— {models} · {time} · {cost}"),
    "ask.file": both("file {name}: {path}", "arquivo {name}: {path}"),
    "ask.no_price": both("price unknown", "preço desconhecido"),
    "ask.pulling": both(
        "no other model can answer: fetching {name} ({size}, once)",
        "nenhum outro modelo pode responder: baixando {name} ({size}, uma só vez)",
    ),
    "route.title": both("Decision", "Decisão"),
    "ask.attempts": both("Attempts", "Tentativas"),
    "ask.deployment": both("deployment", "modelo"),
    "ask.outcome": both("outcome", "resultado"),
    "ask.time": both("time", "tempo"),
    "ask.first_token": both("first token", "1º token"),
    "ask.tokens": both("tokens in/out", "tokens entrada/saída"),
    "ask.cost": both("cost", "custo"),
    "ask.reason": both("reason", "motivo"),
    "ask.first": both(
        "{deployment} answered: it comes first for {role}",
        "{deployment} respondeu: é o primeiro de {role}",
    ),
    "ask.named": both(
        "{deployment} answered: it was asked for by name",
        "{deployment} respondeu: foi pedido pelo nome",
    ),
    "ask.after": both(
        "{deployment} answered for {role}, after {others}",
        "{deployment} respondeu por {role}, depois de {others}",
    ),
    "ask.remaining": both(
        "{deployment} answered for {role}: it comes first of those that can be used now",
        "{deployment} respondeu por {role}: é o primeiro dos que podem ser usados agora",
    ),
    "ask.nobody": both("nobody answered", "ninguém respondeu"),
    "ask.total": both("total: {time}, {cost}", "total: {time}, {cost}"),
    "ask.warning": both("warning: {text}", "aviso: {text}"),
    "ask.unmapped": both(
        "fields that the server could not be given: {fields}",
        "campos que não puderam ser enviados ao servidor: {fields}",
    ),
    "pull.download": both("downloading {name}", "baixando {name}"),
    "pull.extract": both("unpacking {name}", "extraindo {name}"),
    "pull.done": both("{name} is ready ({size})", "{name} está pronto ({size})"),
    "pull.ready": both("{name} is ready", "{name} está pronto"),
    "pull.restart": both(
        "the running server was started without {name}; restart `coreto serve` so that it finds it",
        "o servidor em execução começou sem {name}; reinicie `coreto serve` para que ele o encontre",
    ),
}

_STATUS = {
    "status.server": both("server: {url} (process {pid})", "servidor: {url} (processo {pid})"),
    "status.no_server": both(
        "server: not running (`coreto serve` starts it)",
        "servidor: parado (`coreto serve` o inicia)",
    ),
    "status.cloud": both("cloud models: {state}", "modelos na nuvem: {state}"),
    "status.local": both("local models: {state}", "modelos locais: {state}"),
    "status.fallback": both("fallback: {state}", "troca automática: {state}"),
    "status.offline": both("offline mode: on", "modo offline: ligado"),
    "status.degraded": both(
        "degraded: some of the cloud cannot be reached", "degradado: parte da nuvem está fora do alcance"
    ),
    "status.available": both("available", "disponíveis"),
    "status.unavailable": both("not available", "indisponíveis"),
    "status.on": both("on", "ligada"),
    "status.off": both("off", "desligada"),
    "status.current": both("last to answer: {model}", "último a responder: {model}"),
    "status.memory": both("GPU memory in use: {used} GB{total}", "memória de GPU em uso: {used} GB{total}"),
    "status.budget": both(
        "memory of models: {used} GB of {total} GB, in turns (`coreto ps` tells more)",
        "memória dos modelos: {used} GB de {total} GB, em turnos (`coreto ps` mostra mais)",
    ),
    "status.providers": both("Providers", "Provedores"),
    "status.deployments": both("Deployments", "Modelos"),
    "status.roles": both("Roles", "Papéis"),
    "status.name": both("name", "nome"),
    "status.where": both("where", "onde"),
    "status.state": both("state", "estado"),
    "status.detail": both("detail", "detalhe"),
    "status.models": both("models", "modelos"),
    "status.calls": both("calls", "chamadas"),
    "status.failures": both("failed", "falhas"),
    "status.latency": both("p50 / p95", "p50 / p95"),
    "status.last_error": both("last error", "último erro"),
    "status.role": both("role", "papel"),
    "status.chain": both("answers, in this order", "responde, nesta ordem"),
    "status.is_local": both("this machine", "esta máquina"),
    "status.is_cloud": both("cloud", "nuvem"),
    "status.up": both("up", "no ar"),
    "status.down": both("down", "fora do ar"),
    "status.unasked": both("not asked", "não consultado"),
    "status.no_key": both("no key", "sem chave"),
    "status.ready": both("ready", "pronto"),
    "status.blocked": both("out until {until}: {reason}", "fora até {until}: {reason}"),
    "status.cooling": both(
        "{key} is passed by until {until}: {reason}", "{key} fica de fora até {until}: {reason}"
    ),
    "status.nobody": both("nobody", "ninguém"),
    "status.more_dropped": both("(+{count} that cannot serve now)", "(+{count} que não podem servir agora)"),
}

_PS = {
    "ps.used": both("{used} of {budget}", "{used} de {budget}"),
    "ps.current": both("current: {model}", "atual: {model}"),
    "ps.current_as": both("current: {model} ({role})", "atual: {model} ({role})"),
    "ps.home_model": both("home: {model}", "residente: {model}"),
    "ps.counts": both(
        "queue: {queue} · switches: {switches} · loads: {loads}",
        "fila: {queue} · trocas: {switches} · cargas: {loads}",
    ),
    "ps.no_queue": both(
        "no server runs: as the engine shows it", "nenhum servidor no ar: como o motor mostra"
    ),
    "ps.model": both("model", "modelo"),
    "ps.state": both("state", "estado"),
    "ps.size": both("size", "tamanho"),
    "ps.running": both("running", "em uso"),
    "ps.waiting": both("waiting", "em espera"),
    "ps.context": both("context", "contexto"),
    "ps.home": both("home", "residente"),
    "ps.until": both("kept until", "mantido até"),
    "ps.shrunk": both("{context} (reduced)", "{context} (reduzido)"),
    "ps.state.absent": both("not loaded", "não carregado"),
    "ps.state.loading": both("loading", "carregando"),
    "ps.state.ready": both("in memory", "na memória"),
    "ps.state.leaving": both("leaving", "saindo"),
    "ps.state.lost": both("dropped by the engine", "perdido pelo motor"),
    "ps.recent": both("latest switches", "últimas trocas"),
    "ps.what.switch": both("leaves", "sai"),
    "ps.what.loaded": both("loaded", "carregado"),
    "ps.what.unloaded": both("unloaded", "descarregado"),
    "ps.what.shrunk": both("smaller window", "janela menor"),
    "ps.what.cleared": both("memory cleared", "memória esvaziada"),
    "ps.what.failed": both("failed", "falhou"),
    "ps.what.over_budget": both("over the budget", "acima do orçamento"),
    "ps.what.resynchronised": both("changed outside", "mudou por fora"),
    "ps.no_budget": both("no memory_budget: the engine decides", "sem memory_budget: o motor decide"),
    "ps.nothing": both("nothing in memory", "nada na memória"),
    "ps.set_budget": both(
        'models do not take turns yet: set `memory_budget = "16 GB"`, or "auto", in [providers.{name}]',
        'os modelos ainda não se alternam: defina `memory_budget = "16 GB"`, ou "auto", em [providers.{name}]',
    ),
}

_MEMORY = {
    "memory.title": both("Memory", "Memória"),
    "memory.amount": both("size", "tamanho"),
    "memory.what": both("what for", "para quê"),
    "memory.weights": both("weights", "pesos"),
    "memory.cache": both("cache", "cache"),
    "memory.compute": both("compute", "cálculo"),
    "memory.output": both("output", "saída"),
    "memory.host": both("host", "hospedeiro"),
    "memory.why.weights": both("all of the model's tensors", "todos os tensores do modelo"),
    "memory.why.cache": both("keys and values of {window}", "chaves e valores de {window}"),
    "memory.why.compute": both(
        "buffers for 512 tokens at a time", "espaço de trabalho para 512 tokens por vez"
    ),
    "memory.why.output": both("one logit for each word known", "um logit para cada palavra conhecida"),
    "memory.why.host": both(
        "tokenizer and buffers that stay in main memory beside a GPU",
        "tokenizador e buffers que ficam na memória principal ao lado de uma GPU",
    ),
    "memory.window": both("a window of {context} tokens", "uma janela de {context} tokens"),
    "memory.windows": both(
        "windows of {context} tokens for {slots} requests at once",
        "janelas de {context} tokens para {slots} requisições ao mesmo tempo",
    ),
    "memory.total": both("total", "total"),
    "memory.taken": both("taken to be", "considerado"),
    "memory.declared": both("declared in the configuration", "declarado na configuração"),
    "memory.estimated": both("estimated from the model's shape", "estimado pelo formato do modelo"),
    "memory.roughly": both("roughly, by its weights", "aproximado, pelos pesos"),
    "memory.unknown": both(
        "unknown: the whole budget until it was measured", "desconhecido: todo o orçamento até ser medido"
    ),
    "memory.now": both("now", "agora"),
    "memory.measured": both(
        "measured: it is in memory with {context} tokens", "medido: está na memória com {context} tokens"
    ),
    "memory.smaller": both("smaller window", "janela menor"),
    "memory.why.smaller": both(
        "{context} tokens, where the full window does not fit",
        "{context} tokens, se a janela inteira não couber",
    ),
    "memory.budget": both("budget", "orçamento"),
    "memory.no_budget": both(
        "none (providers.{name}.memory_budget): the engine decides",
        "nenhum (providers.{name}.memory_budget): o motor decide",
    ),
    "memory.fit": both("it fits (providers.{name}.memory_budget)", "cabe (providers.{name}.memory_budget)"),
    "memory.fit_smaller": both(
        "it fits with the smaller window only (providers.{name}.memory_budget)",
        "só cabe com a janela menor (providers.{name}.memory_budget)",
    ),
    "memory.fit_not": both(
        "it does not fit and is never loaded: raise providers.{name}.memory_budget",
        "não cabe e nunca é carregado: aumente providers.{name}.memory_budget",
    ),
    "memory.fit_unknown": both(
        "whether it fits shows when it is loaded (providers.{name}.memory_budget)",
        "se cabe, saberemos ao carregar (providers.{name}.memory_budget)",
    ),
    "memory.problem": both("memory unknown: {problem}", "memória desconhecida: {problem}"),
}

_COSTS = {
    "costs.none": both("no calls recorded yet", "nenhuma chamada registrada ainda"),
    "costs.none_since": both("no calls recorded since {since}", "nenhuma chamada registrada desde {since}"),
    "costs.total": both(
        "{cost} for {calls} calls ({failed} failed), {prompt} tokens in, {completion} tokens out",
        "{cost} por {calls} chamadas ({failed} com falha), {prompt} tokens de entrada, {completion} de saída",
    ),
    "costs.since": both("since {since}", "desde {since}"),
    "costs.unknown": both(
        "unknown price: {count} calls, not contained in the cost",
        "preço desconhecido: {count} chamadas, fora do custo",
    ),
    "costs.saving": both(
        "saved {saving} ({share} %) against {baseline} for all of the {calls} calls that can be compared "
        "({expected})",
        "economia de {saving} ({share} %) em relação a {baseline} para as {calls} chamadas comparáveis "
        "({expected})",
    ),
    "costs.no_saving": both(
        "saving: nothing to compare with (no role has a cloud model with a known price)",
        "economia: nada com que comparar (nenhum papel tem modelo na nuvem com preço conhecido)",
    ),
    "costs.projection": both(
        "this month so far {cost}; at this pace {projection} by its end",
        "este mês até agora {cost}; neste ritmo, {projection} até o fim",
    ),
    "costs.prices": both("prices: {sources}", "preços: {sources}"),
    "costs.by.role": both("By role", "Por papel"),
    "costs.by.deployment": both("By deployment", "Por modelo"),
    "costs.by.day": both("By day", "Por dia"),
    "costs.by.user": both("By user", "Por usuário"),
    "costs.by.run": both("By run", "Por execução"),
    "costs.key.role": both("role", "papel"),
    "costs.key.deployment": both("deployment", "modelo"),
    "costs.key.day": both("day", "dia"),
    "costs.key.user": both("user", "usuário"),
    "costs.key.run": both("run", "execução"),
    "costs.calls": both("calls", "chamadas"),
    "costs.failed": both("failed", "falhas"),
    "costs.attempts": both("attempts", "tentativas"),
    "costs.tokens": both("tokens in/out", "tokens entrada/saída"),
    "costs.cost": both("cost", "custo"),
    "costs.unpriced": both("unknown price", "preço desconhecido"),
    "costs.saved": both("saved", "economia"),
    "costs.no_price": both("unknown", "desconhecido"),
    "costs.no_key": both("(none)", "(nenhum)"),
}

CATALOGUE: Mapping[str, Text] = MappingProxyType(
    {**_ASK, **_STATUS, **_PS, **_MEMORY, **_COSTS, **{key: both(*pair) for key, pair in DOCTOR.items()}}
)
