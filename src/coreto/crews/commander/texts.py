"""Everything that the commander says to people, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType

from coreto.crews.commander.settings import Language


def say(language: Language, key: str, /, **values: object) -> str:
    """The text of ``key`` with its placeholders filled."""
    return CATALOGUE[key][language].format(**values)


def _both(en: str, pt: str) -> Mapping[Language, str]:
    return MappingProxyType({"en": en, "pt-BR": pt})


CATALOGUE: Mapping[str, Mapping[Language, str]] = MappingProxyType(
    {
        "status.planning": _both("planning", "planejando"),
        "status.answering": _both("answering", "respondendo"),
        "status.writing": _both("step {step}: writing the code", "passo {step}: escrevendo o código"),
        "status.mending": _both("step {step}: mending the code", "passo {step}: corrigindo o código"),
        "status.designing": _both("step {step}: designing", "passo {step}: desenhando"),
        "status.explaining": _both("step {step}: explaining", "passo {step}: explicando"),
        "status.running": _both(
            "step {step}: running the code in the sandbox", "passo {step}: executando o código na sandbox"
        ),
        "status.answered": _both("{deployment} answered", "{deployment} respondeu"),
        "status.restart": _both("another model starts over", "outro modelo recomeça"),
        "kind.code": _both("code", "código"),
        "kind.execution": _both("execution", "execução"),
        "kind.ui": _both("interface", "interface"),
        "kind.conversation": _both("conversation", "conversa"),
        "plan.heading": _both("## Plan: {title}", "## Plano: {title}"),
        "plan.template": _both(
            "> Standard plan, because the model gave none that can be used: {reason}",
            "> Plano padrão, porque o modelo não deu um que se possa usar: {reason}",
        ),
        "step.heading": _both("## Step {step}: {text}", "## Passo {step}: {text}"),
        "step.output": _both("Output (exit code {exit_code}):", "Saída (código de saída {exit_code}):"),
        "step.silent": _both(
            "It ran without any output (exit code {exit_code}).",
            "Executou sem nenhuma saída (código de saída {exit_code}).",
        ),
        "step.rounds": _both(
            "Versions of the code that were run: {rounds}.", "Versões do código executadas: {rounds}."
        ),
        "step.files": _both("Files: {names}", "Arquivos: {names}"),
        "step.failed": _both("**Failed:** {error}", "**Falhou:** {error}"),
        "step.skipped": _both(
            "**Skipped:** it needs a step that failed.", "**Pulado:** depende de um passo que falhou."
        ),
        "step.not_run": _both("**Not run:** {error}", "**Não executado:** {error}"),
        "step.unchecked": _both(
            "**Not checked to the end:** {error}", "**Não verificado até o fim:** {error}"
        ),
        "end.models": _both("Models: {models}", "Modelos: {models}"),
        "end.cost": _both("cost: US$ {cost}", "custo: US$ {cost}"),
        "end.no_price": _both("cost: not known", "custo: desconhecido"),
        "error.no_code": _both(
            "no code was written: the model answered twice without any",
            "nenhum código foi escrito: o modelo respondeu duas vezes sem código",
        ),
        "error.same_code": _both(
            "the model gave the same code again: {error}", "o modelo deu o mesmo código outra vez: {error}"
        ),
        "error.empty": _both("the model's answer was empty", "a resposta do modelo veio vazia"),
        "error.exit": _both(
            "the code ended with exit code {exit_code}", "o código terminou com código de saída {exit_code}"
        ),
        "limit.cpu": _both("ended by the CPU time limit", "encerrado pelo limite de tempo de CPU"),
        "limit.memory": _both("stopped by the memory limit", "barrado pelo limite de memória"),
        "limit.processes": _both("stopped by the process limit", "barrado pelo limite de processos"),
        "limit.output": _both("ended by the output limit", "encerrado pelo limite de saída"),
        "limit.wall": _both("ended by the time limit", "encerrado pelo limite de tempo"),
        "limit.files": _both("stopped by the file limits", "barrado pelos limites de arquivos"),
        "blocked.network": _both(
            "contained by the sandbox: there is no network ({error})",
            "contido pela sandbox: não há rede ({error})",
        ),
        "blocked.files": _both(
            "contained by the sandbox: nothing outside its folder can be read or written ({error})",
            "contido pela sandbox: nada fora da pasta dela pode ser lido nem escrito ({error})",
        ),
        "blocked.system": _both(
            "contained by the sandbox: the system call is forbidden ({error})",
            "contido pela sandbox: a chamada de sistema é proibida ({error})",
        ),
        "warning.outside": _both(
            "nothing was carried out: the commander only runs Python in a sandbox without a network",
            "nada foi realizado: o comandante só executa Python em uma sandbox sem rede",
        ),
        "warning.left_out": _both(
            "files that could not be kept: {names}",
            "arquivos que não puderam ser guardados: {names}",
        ),
        "reason.blank": _both("it has no steps", "não tem passos"),
        "reason.long": _both("it has more than {most} steps", "tem mais de {most} passos"),
        "reason.repeated": _both("it repeats one step", "repete um só passo"),
        "reason.talk": _both("it has nothing to carry out", "não tem nada a realizar"),
        "reason.small": _both(
            "{deployment} is too small to plan", "{deployment} é pequeno demais para planejar"
        ),
        "reason.form": _both("it is not in the form asked for", "não está na forma pedida"),
        "template.goal": _both("Say what the result must be", "Definir qual deve ser o resultado"),
        "template.needs": _both(
            "Gather what is needed: material, data, tools",
            "Reunir o necessário: material, dados, ferramentas",
        ),
        "template.parts": _both(
            "Do the work in small parts, the riskiest first",
            "Fazer o trabalho em partes pequenas, a mais arriscada primeiro",
        ),
        "template.review": _both(
            "Compare the result with the goal and correct it",
            "Comparar o resultado com o objetivo e corrigir",
        ),
    }
)
