"""Rules of thumb that a text obeys so plainly that they speak louder than learned weights.

Each rule adds to the score of its task, by how well it did on the exemplars: 2.0 (never wrong there) outvotes
the weights in nearly every case, 0.4 tips a balance. The first rule that fits is the one that speaks.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from coreto.routing.detection.features import View
from coreto.routing.detection.lexicon import classes
from coreto.routing.detection.text import word_set
from coreto.routing.detection.verdict import Task

_SMALL_TALK = word_set(
    "oi ola opa eai hey hi hello yo thanks thank you obrigado obrigada brigado valeu tchau bye goodbye kkk kkkk kkkkk"
    " haha hahaha lol rs rsrs beleza blz ok okay tudo bem bom boa dia tarde noite good morning afternoon evening"
    " night legal nice cool great cheers falou abraco joia e ai com voce vc tchauzinho ate amanha mais there man"
    " pessoal galera gente everyone all muito very much so a lot demais entendi got it perfeito perfect massa show"
    " de nada welcome np otimo otima how are is going how's whats what's up tudo como vai esta sup see later take care"
)
_TALK_OPENERS = word_set(
    "oi ola opa eai hey hi hello yo thanks thank obrigado obrigada brigado valeu tchau bye goodbye kkk kkkk kkkkk haha"
    " hahaha lol rs rsrs blz beleza bom boa good cheers falou legal nice cool great ok okay entendi perfeito"
)
_GO = re.compile(
    r"^(?:(?:ok|sim|isso|yes|yep|sure|certo|beleza|perfeito|great|good|aprovado|approved|confirmado)[,.! ]*(?:ai)?[,.! ]*)?"
    r"(?:(?:pode|podem) (?:ir|seguir|mandar(?: ver)?|continuar|fazer|executar|rodar|aplicar|publicar)(?: em frente)?"
    r"|vai em frente|manda (?:ver|bala)|go (?:ahead|for it|on)|do (?:it|that)|make it (?:so|happen)|proceed|carry on"
    r"|faz (?:isso|ai)|execut[ae](?: isso| ai)?|run it|ship it|prossiga|siga em frente|de novo|tenta de novo"
    r"|(?:try|do it) again|once more|continua|continue|repete|repeat|undo|desfaz|retry|next|proximo)"
    r"(?: (?:now|agora|please|por favor|then|entao|pls))?[.! ]*$"
)
_CARRY_ON = re.compile(
    r"^(?:ok|sim|isso|yes|certo|beleza|great|good|aprovado|approved)?[,.! ]*(?:pode )?"
    r"(?:segu(?:e|ir|a)|siga|prossiga|prosseguir|continu(?:e|a|ar)|vai em frente|toca|go ahead|proceed|carry on|move on|keep going)"
    r" (?:com|with|to|a partir|from|conforme|pra|para)\b(?!.*\?)"
)
_PLAN_START = re.compile(
    r"^(?:(?:por favor|please|me ajud[ae] a|help me(?: to)?|preciso|i need to|vamos|let's|primeiro|first),? )?"
    r"(?:planej(?:e|a|ar|em)|analis(?:e|a|ar) e (?:planej|propo|recomend)\w+|plan(?: out)?|brainstorm|prioriz\w+|prioriti[sz]e"
    r"|(?:elabor|mont|cri|faz|faca|tra[cç]|desenh|defin|bol|esboc|escrev|prepar)\w* (?:um |uma |o |a |the )?"
    r"(?:bom |novo |breve )?(?:plano|planejamento|estrategia|cronograma|roadmap|analise)"
    r"|(?:make|create|draft|write|build|prepare|design|devise|outline|give|draw up|come up with|put together|work out)"
    r" (?:me |us )?(?:an? |the |our )?(?:[\w-]+ ){0,2}?(?:plan|strategy|roadmap|timeline))\b"
)
_RUN_START = re.compile(
    r"^(?:(?:por favor|please|pode|can you|could you|preciso que voce|agora|now),? )?"
    r"(?:(?:execut[ae]|rod[ae]|dispar[ae]|acion[ae]|reinici[ae]|agend[ae]|envi[ae]|reenvi[ae]|paus[ae]|cancel[ae]|baix[ae]"
    r"|restaur[ae]|instal[ae]|public(?:a|que)|apag(?:a|ue)|exclu[ia]|delet[ae]|encaminh[ae]|import[ae]|export[ae])"
    r"|run|execute|restart|reboot|schedule|send|resend|email|pause|cancel|download|upload|restore|install|publish|delete"
    r"|forward|import|export|deploy|unload|rerun|re-run|book|purge|archive|ping|sync)\b(?! (?:(?:me|us) through|and|e|or|ou|a pre-?mortem)\b)"
)
_MAKE_CODE = re.compile(
    r"^(?:(?:por favor|please|me|preciso (?:de|que voce)|i need|can you|could you|pode),? )?(?:cri[ae]r?|escrev[ae]r?|faz(?:er)?|faca"
    r"|ger[ae]r?|mont[ae]r?|implement[ae]r?|write|create|make|build|generate|implement|code|give me|me da|show me)?"
    r" ?(?:an? |um |uma |o |a |the |some |uns )?(?:[\w-]+ ){0,3}?"
    r"(?:script|funcao|function|classe|class|query|regex|codigo|code|programa|program|decorator|dockerfile|endpoint|migration"
    r"|algoritmo|algorithm|snippet|parser|unit tests?|testes? unitarios?)\b"
)
_SCRIPT_THAT = re.compile(
    r"^(?:an? |um |uma )?(?:small |simple |pequen[oa] )?(?:script|function|funcao|macro|regex|query|decorator"
    r"|codigo|snippet|one-liner) (?:that|to|for|in|which|que|para|pra|em|de)\b"
)
_VIDEO = re.compile(
    r"\b(?:roteiro|script|legenda|caption|poema?|conto|piada|joke|haiku?|haicai|toast|brinde|slogan|bio|musica|song|lyrics"
    r"|redacao|essay|speech|discurso)\b"
)
_WRITE = re.compile(
    r"^(?:por favor |please |me |preciso de |i need |can you |pode )?(?:escrev|cri[ae]|fa[zc]|redij|write|create|make|draft|compose|um|uma|an?)\w*\b"
)
_SCENE = re.compile(r"\b(?:video|youtube|tiktok|reels?|peca|play|filme|movie|film|podcast|novela|teatro)\b")
_LANGUAGES = re.compile(
    r"\b(?:python|javascript|typescript|java|bash|shell|sql|php|ruby|golang|rust|kotlin|powershell|node|vba|in go|em go)\b|\bc\+\+|\bc#"
)
_TRANSLATE = re.compile(
    r"^(?:por favor |please |me )?(?:tradu[zc]\w*|translat\w+|reescrev\w+|rewrite|resum\w+|summari[sz]e)\b"
)
_TEXT = re.compile(
    r"\b(?:paragra\w+|frase|sentence|texto|text|message|mensagem|ingles|english|portugu\w+|espanhol|spanish|expressao)\b"
)
_OTHER_ART = re.compile(
    r"\b(?:arquivos?|files?|pasta|folder|\w+\.srt|codigo|code|funcao|function|classe|class|script|query|sql)\b"
)
_UI_NOUNS = word_set(
    "tela telas layout botao botoes menu modal dropdown formulario wireframe mockup css tailwind sidebar navbar rodape"
    " cabecalho header footer tooltip spinner carrossel carousel avatar paleta fonte fontes palette font fonts button"
    " buttons screen wizard landing gradiente gradient padding hover prototipo prototype figma tipografia typography"
)
_TRACEBACK = re.compile(
    r"traceback \(most recent|^\s+at [\w.$<>]+\(|segmentation fault|core dumped|exception in thread"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says: for which task, how loudly, what else is asked, and the rule's name."""

    task: Task
    weight: float
    rule: str
    also: tuple[Task, ...] = ()


def _small_talk(seen: View) -> Finding | None:
    words = [token for token in seen.tokens if token not in ("?", "!")]
    if not 0 < len(words) <= 8 or words[0] not in _TALK_OPENERS:
        return None
    return Finding("conversation", 2.0, "greeting or thanks") if _SMALL_TALK.issuperset(words) else None


def _go_ahead(seen: View) -> Finding | None:
    return Finding("execution", 2.0, "go-ahead for what was said before") if _GO.match(seen.flat) else None


def _carry_on(seen: View) -> Finding | None:
    """ "Go ahead with step 3 of the plan" is about a plan that exists."""
    return Finding("execution", 2.0, "go-ahead for a step") if _CARRY_ON.match(seen.flat) else None


def _hearsay(seen: View) -> Finding | None:
    """ "Is it true that ..." is talk, unless an example or a measurement is asked for as proof."""
    if "true" not in seen.marks or seen.marks & {"show-example", "identifier", "code"}:
        return None
    return Finding("conversation", 0.6, "asks whether something is true")


def _traceback(seen: View) -> Finding | None:
    return Finding("code", 2.0, "error trace") if _TRACEBACK.search(seen.flat) else None


def _not_yet(seen: View) -> Finding | None:
    """ "No code yet" is a plan's request that names what it is not."""
    if "not-yet" not in seen.marks:
        return None
    kinds = {kind for token in seen.tokens for kind in classes().get(token, ())}
    also: tuple[Task, ...] = ("code",) if "code" in kinds else ("ui",) if "ui" in kinds else ()
    return Finding("planning", 0.9, "asks to hold the doing back", also)


def _styled(seen: View) -> Finding | None:
    return Finding("ui", 0.8, "style sheet") if "css" in seen.marks else None


def _fenced(seen: View) -> Finding | None:
    if not seen.marks & {"fence", "code"}:
        return None
    if _RUN_START.match(seen.flat):
        return Finding("execution", 0.9, "code to run", ("code",))
    return Finding("code", 0.9, "source code in the text") if "fence" in seen.marks else None


def _rework_text(seen: View) -> Finding | None:
    """Translating or summing up a text is talk; translating files or code is not."""
    if not _TRANSLATE.match(seen.flat) or "file" in seen.marks or _OTHER_ART.search(seen.flat):
        return None
    quoted = "quoted" in seen.marks or ":" in seen.flat or _TEXT.search(seen.flat)
    return Finding("conversation", 2.0, "text to rework") if quoted else None


def _piece_of_text(seen: View) -> Finding | None:
    """The script of a video is no program."""
    if not _WRITE.match(seen.flat) or not _VIDEO.search(seen.flat) or _LANGUAGES.search(seen.flat):
        return None
    return Finding("conversation", 0.4, "a piece of text to write") if _SCENE.search(seen.flat) else None


def _plan_order(seen: View) -> Finding | None:
    return Finding("planning", 0.7, "order to plan") if _PLAN_START.match(seen.flat) else None


def _run_order(seen: View) -> Finding | None:
    if not _RUN_START.match(seen.flat):
        return None
    code = _MAKE_CODE.search(" ".join(seen.tokens[1:6])) is not None
    return Finding("execution", 0.9 if code else 0.5, "order to do or run", ("code",) if code else ())


def _make_code(seen: View) -> Finding | None:
    named = _MAKE_CODE.match(seen.flat) and _LANGUAGES.search(seen.flat)
    if not named and not (_SCRIPT_THAT.match(seen.flat) and not _SCENE.search(seen.flat)):
        return None
    return None if _UI_NOUNS & {*seen.tokens} else Finding("code", 0.6, "program to write")


def _lay(seen: View) -> Finding | None:
    if "lay" not in seen.marks or _UI_NOUNS & {*seen.tokens}:
        return None
    return (
        Finding("conversation", 0.4, "explanation for lay people")
        if "fact" in seen.marks or "TALK" in {*seen.opening}
        else None
    )


_RULES: tuple[Callable[[View], Finding | None], ...] = (
    _small_talk,
    _go_ahead,
    _carry_on,
    _hearsay,
    _traceback,
    _not_yet,
    _styled,
    _fenced,
    _rework_text,
    _piece_of_text,
    _plan_order,
    _run_order,
    _make_code,
    _lay,
)


def first_finding(seen: View) -> Finding | None:
    """What the first rule that fits says of a text; ``None`` when none does."""
    for rule in _RULES:
        finding = rule(seen)
        if finding is not None:
            return finding
    return None
