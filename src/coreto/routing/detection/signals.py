"""Marks of a text that words alone do not show: code, tracebacks, paths, questions, negations, quotations."""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"```|^~~~", re.MULTILINE)
_TRACE = re.compile(
    r"traceback \(most recent|\bat [\w.$]+\([\w.]+\.(?:java|kt|scala|js|ts):\d+|\b[A-Z]\w+(?:Error|Exception)\b"
    r"|segmentation fault|segfault|core dumped|\bundefined reference\b|\bpanic: |\bline \d+\b|\blinha \d+\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"[{};]\s*$|^\s*(?:def|class|import|from|func|fn|let|const|var|public|private|#include)\s+\w|=>|->|==|!=|&&|\|\|"
    r"|\w\([^)\n]{0,60}\)\s{0,9}[;:{.]|\b(?:select|insert into|update|delete from)\s+[\w*,. ]{1,60}\s(?:from|set|values|where)\b"
    r"|\b\w{1,40}_\w{1,40}\(|\w\(\)|</?[a-z][\w-]*[^>\n]{0,60}>|\+=|\bfor \(|\bif \(|\bO\(",
    re.IGNORECASE | re.MULTILINE,
)
_CSS = re.compile(
    r"\{[^{}]{0,200}(?:width|height|color|margin|padding|display|font|overflow|background|border)\s*:"
)
_SOURCE = re.compile(
    r"\b[\w-]{1,40}\.(?:py|js|ts|tsx|jsx|go|rs|java|kt|rb|php|c|cpp|h|cs|sql|sh|vue|svelte)\b"
)
_STYLE = re.compile(r"\b[\w-]{1,40}\.(?:css|scss|html|fig|svg)\b|#[0-9a-f]{6}\b|\b\d+ ?px\b", re.IGNORECASE)
_FILE = re.compile(
    r"(?:^|\s|\()(?:~|\.{1,2})?/[\w./-]+"
    r"|\b[\w-]{1,40}\.(?:csv|xlsx?|pdf|txt|mp[34]|wav|srt|zip|png|jpe?g|docx?|ipynb|log|json|ya?ml)\b"
)
_COMMAND = re.compile(r"`[^`\n]+`")
_IDENTIFIER = re.compile(r"\b[a-z]{1,30}_[a-z_]+|\b[a-z]{1,30}[A-Z]\w+|\b[A-Z][a-z]{1,30}[A-Z]\w+")
_QUOTED = re.compile(r"\"[^\"\n]{2,}\"|“[^”]+”|«[^»]+»|(?<!\w)'[^'\n]{2,}'(?!\w)")
_NUMBER = re.compile(r"\d")
_CLOCK = re.compile(r"\b\d{1,2}[:h]\d{2}\b|\b\d{1,2} ?(?:am|pm|h)\b|\bas \d{1,2}\b", re.IGNORECASE)
_NAME = re.compile(r"(?<=[a-zà-ú,] )[A-ZÀ-Ú][a-zà-ú]+")
_TAG = re.compile(r"(?<!\w)[#@][a-z][\w-]+", re.IGNORECASE)

#: On :func:`text.plain` text: what a request says about itself.
_PHRASES = {
    "not-yet": re.compile(
        r"\b(?:nao|sem|nada de|ainda nao|so depois|don'?t|do not|without|no|not)\s+"
        r"(?:\w+\s+){0,2}?(?:codigos?|codar|programar|executa\w*|execut\w+|rodar|roda|escrev\w+|mexer|implementa\w*|telas?"
        r"|code|coding|run|writ\w+|design\w*|implement\w*|touch\w*|screens?)\b"
        r"|\bantes de (?:\w+ )?(?:codar|programar|mexer|implementar|escrever|layout|desenhar|qualquer|alguem|executar)"
        r"|\bbefore (?:we|any\w*|you|i)? ?(?:code|coding|touch\w*|writ\w+|writes|build\w*|program\w*|implement\w*)"
        r"|\b(?:so|apenas|somente|just|only) (?:a |o |the )?(?:estrategia|ideia|plano|conceit\w+|strategy|idea|plan|concept\w*)\b"
    ),
    "how-to": re.compile(r"^(?:e )?(?:como|how)\b(?: (?:eu|a gente|faco|do|can|should|to|would|does|is)\b)?"),
    "why": re.compile(r"^(?:e )?(?:por ?que|pq|why)\b"),
    "fact": re.compile(
        r"^(?:qual|quais|quem|quando|onde|quantos?|quantas?|em que|o que|que|what|who|when|where|which|how (?:many|much|long))\b"
    ),
    "true": re.compile(r"\b(?:e verdade|verdade que|is it true|sera que)\b"),
    "can-you": re.compile(
        r"^(?:voce |vc |tu )?(?:pode|poderia|consegue|da pra|da para|tem como|teria como|can|could|would|will)"
        r"(?: (?:voce|vc|you|we|i))?\b"
    ),
    "you": re.compile(r"\b(?:voce|vc|you) (?:gosta|acha|prefere|tem|e|sabe|guarda|like|think|prefer|have|are|know|feel)\b"),
    "i-am": re.compile(r"^(?:eu )?(?:to|estou|tava|sou|i'?m|i am|i feel|me sinto|minha?|my)\b"),
    "then": re.compile(
        r"\b(?:e depois|depois|em seguida|e entao|e ai|and then|then|afterwards|and run|e execut\w+|e rod\w+|e ja)\b"
    ),
    "please": re.compile(r"\b(?:por favor|pfv|please|pls|faz favor)\b"),
    "need": re.compile(r"^(?:eu )?(?:preciso|quero|gostaria|queria|precisamos|i need|i want|i'd like|we need|we want|let's)\b"),
    "lay": re.compile(
        r"\b(?:leig\w+|tecniques|palavras simples|cinco anos|in plain words|plain english|simple words|like i'?m|layperson"
        r"|non-?technical|not technical|em uma frase|in (?:a|one) sentence|numa frase)\b"
    ),
    "show-example": re.compile(
        r"\b(?:mostra\w*|exemplo|exemplos|show|example|examples|snippet|benchmark|prova|prove) ?\w*"
    ),
    "again": re.compile(
        r"^(?:isso|sim|ok|yes|yep|pode|agora|now|again|de novo|go|do it|same|igual|mesm[oa]|repete|continu\w+|segue|aprovad[oa]"
        r"|approved|proceed|faz isso|manda)\b"
    ),
    "line-items": re.compile(r"\b\w{1,30}(?:, [\w ]{1,30}){2,6} (?:e|and|ou|or) \w+"),
}  # fmt: skip


def signals(original: str, flat: str) -> Iterator[str]:
    """The names of the marks that ``original`` (with its ``flat`` form from :func:`text.plain`) bears."""
    looks = (
        ("fence", _FENCE), ("trace", _TRACE), ("code", _CODE), ("css", _CSS), ("source", _SOURCE),
        ("style", _STYLE), ("file", _FILE), ("command", _COMMAND), ("identifier", _IDENTIFIER),
        ("quoted", _QUOTED), ("number", _NUMBER), ("clock", _CLOCK), ("name", _NAME), ("tag", _TAG),
    )  # fmt: skip
    for name, pattern in looks:
        if pattern.search(original):
            yield name
    for name, pattern in _PHRASES.items():
        if pattern.search(flat):
            yield name
    if "?" in original:
        yield "asks"
    if original.rstrip().endswith("?"):
        yield "ends-asking"
    if "\n" in original.strip():
        yield "lines"
