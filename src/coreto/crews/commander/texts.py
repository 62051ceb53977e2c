"""Everything that the commander says to people, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType

from coreto.languages import Language, Text, both, spoken


def say(language: Language, key: str, /, **values: object) -> str:
    """The text of ``key`` with its placeholders filled."""
    return spoken(CATALOGUE, language, key, **values)


CATALOGUE: Mapping[str, Text] = MappingProxyType(
    {
        "status.planning": both("planning", "planejando"),
        "status.answering": both("answering", "respondendo"),
        "status.writing": both("step {step}: writing the code", "passo {step}: escrevendo o código"),
        "status.mending": both("step {step}: mending the code", "passo {step}: corrigindo o código"),
        "status.designing": both("step {step}: designing", "passo {step}: desenhando"),
        "status.explaining": both("step {step}: explaining", "passo {step}: explicando"),
        "status.running": both(
            "step {step}: running the code in the sandbox", "passo {step}: executando o código na sandbox"
        ),
        "status.answered": both("{deployment} answered", "{deployment} respondeu"),
        "status.restart": both("another model starts over", "outro modelo recomeça"),
        "kind.code": both("code", "código"),
        "kind.execution": both("execution", "execução"),
        "kind.ui": both("interface", "interface"),
        "kind.conversation": both("conversation", "conversa"),
        "plan.heading": both("## Plan: {title}", "## Plano: {title}"),
        "plan.template": both(
            "> Standard plan, because the model gave none that can be used: {reason}",
            "> Plano padrão, porque o modelo não deu um que se possa usar: {reason}",
        ),
        "step.heading": both("## Step {step}: {text}", "## Passo {step}: {text}"),
        "step.output": both("Output (exit code {exit_code}):", "Saída (código de saída {exit_code}):"),
        "step.silent": both(
            "It ran without any output (exit code {exit_code}).",
            "Executou sem nenhuma saída (código de saída {exit_code}).",
        ),
        "step.rounds": both(
            "Versions of the code that were run: {rounds}.", "Versões do código executadas: {rounds}."
        ),
        "step.files": both("Files: {names}", "Arquivos: {names}"),
        "step.failed": both("**Failed:** {error}", "**Falhou:** {error}"),
        "step.skipped": both(
            "**Skipped:** it needs a step that failed.", "**Pulado:** depende de um passo que falhou."
        ),
        "step.not_run": both("**Not run:** {error}", "**Não executado:** {error}"),
        "step.unchecked": both(
            "**Not checked to the end:** {error}", "**Não verificado até o fim:** {error}"
        ),
        "end.models": both("Models: {models}", "Modelos: {models}"),
        "end.cost": both("cost: US$ {cost}", "custo: US$ {cost}"),
        "end.no_price": both("cost: not known", "custo: desconhecido"),
        "error.no_code": both(
            "no code was written: the model answered twice without any",
            "nenhum código foi escrito: o modelo respondeu duas vezes sem código",
        ),
        "error.same_code": both(
            "the model gave the same code again: {error}", "o modelo deu o mesmo código outra vez: {error}"
        ),
        "error.empty": both("the model's answer was empty", "a resposta do modelo veio vazia"),
        "error.exit": both(
            "the code ended with exit code {exit_code}", "o código terminou com código de saída {exit_code}"
        ),
        "limit.cpu": both("ended by the CPU time limit", "encerrado pelo limite de tempo de CPU"),
        "limit.memory": both("stopped by the memory limit", "barrado pelo limite de memória"),
        "limit.processes": both("stopped by the process limit", "barrado pelo limite de processos"),
        "limit.output": both("ended by the output limit", "encerrado pelo limite de saída"),
        "limit.wall": both("ended by the time limit", "encerrado pelo limite de tempo"),
        "limit.files": both("stopped by the file limits", "barrado pelos limites de arquivos"),
        "blocked.network": both(
            "contained by the sandbox: there is no network ({error})",
            "contido pela sandbox: não há rede ({error})",
        ),
        "blocked.files": both(
            "contained by the sandbox: nothing outside its folder can be read or written ({error})",
            "contido pela sandbox: nada fora da pasta dela pode ser lido nem escrito ({error})",
        ),
        "blocked.system": both(
            "contained by the sandbox: the system call is forbidden ({error})",
            "contido pela sandbox: a chamada de sistema é proibida ({error})",
        ),
        "warning.outside": both(
            "nothing was carried out: the commander only runs Python in a sandbox without a network",
            "nada foi realizado: o comandante só executa Python em uma sandbox sem rede",
        ),
        "warning.left_out": both(
            "files that could not be kept: {names}",
            "arquivos que não puderam ser guardados: {names}",
        ),
        "reason.blank": both("it has no steps", "não tem passos"),
        "reason.long": both("it has more than {most} steps", "tem mais de {most} passos"),
        "reason.repeated": both("it repeats one step", "repete um só passo"),
        "reason.talk": both("it has nothing to carry out", "não tem nada a realizar"),
        "reason.small": both(
            "{deployment} is too small to plan", "{deployment} é pequeno demais para planejar"
        ),
        "reason.form": both("it is not in the form asked for", "não está na forma pedida"),
        "template.goal": both("Say what the result must be", "Definir qual deve ser o resultado"),
        "template.needs": both(
            "Gather what is needed: material, data, tools",
            "Reunir o necessário: material, dados, ferramentas",
        ),
        "template.parts": both(
            "Do the work in small parts, the riskiest first",
            "Fazer o trabalho em partes pequenas, a mais arriscada primeiro",
        ),
        "template.review": both(
            "Compare the result with the goal and correct it",
            "Comparar o resultado com o objetivo e corrigir",
        ),
    }
)
