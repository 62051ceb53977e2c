"""What an answer says about itself: that it does not know, that it will not, in a language nobody asked in."""

import re

from coreto.routing.detection.text import plain, word_set
from coreto.routing.escalation.exchange import Exchange

_EDGE = 400
"""Characters at either end of an answer where it speaks of itself; in the middle it may quote others."""

_HEDGE = re.compile(
    r"\b(?:"
    r"i(?:'?m| am) (?:not (?:entirely |really |completely |quite |very |too |100% )?(?:sure|certain)|unsure|just guessing)"
    r"|i (?:honestly |really )?(?:don'?t|do not) (?:really |actually )?know(?! (?:if|whether) (?:you|this))"
    r"|i have no idea|i(?:'?m| am) guessing|(?:this|that|it) (?:is|would be) (?:just |only )?(?:a|my) (?:wild )?guess"
    r"|i (?:could|may|might) be (?:wrong|mistaken)|don'?t quote me|i can(?:'?t|not) be (?:sure|certain)"
    r"|nao (?:tenho|possuo) (?:muita |total |toda a |absoluta |plena )?certeza|nao estou (?:muito |totalmente )?cert[oa]"
    r"|nao sei(?: ao certo| dizer| responder| exatamente| bem|[.,!]|$| qual| quem| quando| o que| se e)|nao faco ideia"
    r"|(?:eu )?(?:posso|devo) estar (?:enganad[oa]|errad[oa])|e (?:so |apenas )?um (?:chute|palpite)|estou chutando"
    r"|so um palpite|nao lembro (?:bem|ao certo|direito)|i (?:don'?t|can'?t) (?:quite |really )?(?:recall|remember)"
    r")\b"
)
_MODEL = re.compile(
    r"\b(?:as an? (?:ai|artificial intelligence|(?:large )?language model)(?: (?:language )?(?:model|assistant))?,? i"
    r"|(?:como|sou|por ser|sendo) (?:apenas )?um(?:a)? (?:modelo de linguagem|inteligencia artificial|assistente de ia|ia\b(?! (?:que|para)))"
    r"|i(?:'?m| am) (?:just |only )?an? (?:ai\b|language model|artificial intelligence))"
)
_REFUSAL = re.compile(
    r"^\W*(?:(?:i(?:'?m| am) (?:really |very |so )?sorry|sorry|i apologi[sz]e|unfortunately|desculpe|sinto muito|lamento|infelizmente"
    r"|me desculpe|peco desculpas)\W+(?:(?:but|mas|for the inconvenience|pelo inconveniente)\W+)?)?(?:eu )?(?:"
    r"i (?:can(?:'?t|not)|am (?:not able|unable) to|(?:will not|won'?t) be able to|won'?t|must decline to|(?:don'?t|do not) feel comfortable)"
    r"(?: be able to)? ?(?:help|assist|answer|do that|comply|provide|fulfill|create|write|generate|with that|respond|discuss|continue|engage"
    r"|complete|process|offer|support)"
    r"|i(?:'?m| am) (?:not able|unable) to (?:help|assist|answer|do|provide|fulfill|create|write|generate|respond|complete|process|comply)"
    r"|nao (?:posso|consigo|vou poder|sou capaz de|estou apt[oa] a|me e possivel|e possivel|poderei) (?:te |lhe |o |a )?(?:ajudar|ajuda-l[oa]|responder"
    r"|atender|fornecer|auxiliar|realizar|fazer iss|escrever|gerar|criar|continuar|cumprir|completar|processar|executar|oferecer))"
)
_HARM = re.compile(
    r"\b(?:bombas?|explosiv\w+|weapons?|armas?|hack\w*|invadir|malware|virus|ransomware|drog\w+|meth|suicid\w+|kill|matar|steal|roubar"
    r"|senha d[oae]|password of|phishing|poison\w*|veneno|clonar|falsificar|forge|counterfeit|stalk\w*|espionar|spy on|nude\w*|pirate\w*)\b"
)
"""What any model refuses: asking a larger one is money for the same answer."""

_QUOTED_TALK = re.compile(
    r"\b(?:traduz\w*|tradu[cç]\w*|translat\w*|dialog\w*|dialogue|conto|story|historia|poem\w*|poesia|song|letra|roteiro|script|personagem|character"
    r"|e-?mail|mensagem|message|carta|letter|frases?|sentences?|phrases?|expressao|expressoes|como (?:se )?diz\w*|how (?:do|to|would) (?:i |you |we )?(?:say|decline|refuse)"
    r"|piada|joke|entrevista|interview|role-?play|finja|pretend|recus\w+|declin\w+|refus\w+|modelos? de linguagem|language models?|\bia\b|\bai\b"
    r"|reescrev\w+|rewrite|corrij\w+|inteligencia artificial|artificial intelligence|bio)\b"
)
_ASKS_FOR_REFUSAL = re.compile(
    r"\b(?:traduz\w*|traduc\w*|translat\w*|dialog\w*|como (?:se )?diz\w*|how (?:do|to|would) (?:i |you |we )?(?:say|decline|refuse)|recus\w+|declin\w+|refus\w+"
    r"|e-?mail|mensagem|message|carta|letter|role-?play|finja|pretend|reescrev\w+|rewrite|corrij\w+)\b"
)
_QUOTES = re.compile(
    r"\"[^\"\n]{0,300}\"|“[^”\n]{0,300}”|«[^»\n]{0,300}»|^>[^\n]*|`[^`\n]*`|\*[^*\n]{10,300}\*", re.MULTILINE
)


def find_hedge(seen: Exchange) -> str | None:
    """That the answer doubts itself, or speaks as a model instead of answering."""
    ends, asked = _ends(seen), plain(seen.asked)
    if not ends or _QUOTED_TALK.search(asked):
        return None
    if _MODEL.search(ends):
        return "speaks of itself as a model"
    doubt = _HEDGE.search(ends)
    return f"doubts itself: {doubt[0].strip()[:40]}" if doubt else None


def find_refusal(seen: Exchange) -> str | None:
    """That the answer declines what was asked, unless every model would."""
    start = plain(seen.prose[:_EDGE]).replace("’", "'")
    if not _REFUSAL.search(start):
        return None
    asked = plain(seen.asked)
    return None if _HARM.search(asked) or _ASKS_FOR_REFUSAL.search(asked) else "declines to answer"


def _ends(seen: Exchange) -> str:
    prose = seen.prose
    if len(prose) > 2 * _EDGE:
        prose = f"{prose[:_EDGE]}\n{prose[-_EDGE:]}"
    return plain(_QUOTES.sub(" ", prose.replace("’", "'")))


_LETTERS = re.compile(r"[^\W\d_]+")
_WORDS = {
    "pt": word_set(
        "não uma um para com por como mais mas os dos das do da na nas no nos em ao aos se eu você meu minha esse essa isso este esta isto"
        " são está estão foi já só também quando qual quais quanto quem onde sem até e ou o seu sua pelo pela muito entre sobre depois"
        " ele ela eles elas ser ter há faça crie quero pode preciso explique escreva liste nao voce esta sao é que à às tem"
    ),
    "en": word_set(
        "the of and to in is it you that for on with are this be at or from my your we our have has can do does did how what why which who"
        " when where should would could an not if so by all about into there they them then than was were will its their these those"
        " please write explain give list some also but only between each"
    ),
    "es": word_set(
        "el los las una un para con por como más pero del al se yo usted mi este esta eso esto está están fue ya sólo también cuando cuál"
        " quién donde sin hasta y o su muy entre sobre después él ella ellos ser hay puede que es son lo le no en de la qué cómo tiene"
        " porque desde hacia ni sino aquí años ciudad"
    ),
}
_ONLY = {
    name: words - frozenset().union(*(w for n, w in _WORDS.items() if n != name))
    for name, words in _WORDS.items()
}
"""Portuguese and Spanish share half of their small words; these are each one's own."""

_OTHER_LANGUAGE = re.compile(
    r"traduz|traduç|traduc|translat|\bingl[êe]s|\benglish\b|portugu[êe]s|portuguese|espanhol|spanish|español|idioma|language|fran[cç][êe]s|french"
    r"|alem[ãa]o|german|italian|l[íi]ngua|keyword|palavras-chave|prompt|\blatin|citaç|quote|lyrics|letra da|\bregex\b|t[ií]tulo original|haiku",
    re.IGNORECASE,
)


def find_other_language(seen: Exchange) -> str | None:
    """That the answer is in another language than the question, of Portuguese, English and Spanish."""
    if _OTHER_LANGUAGE.search(seen.asked):
        return None
    head, colon, _ = seen.asked.partition(":")  # what follows is material: "summarise this: ..."
    asked = language(head if colon else seen.asked, least=2)
    if asked is None:
        return None
    prose = seen.prose
    if seen.blocks and len(prose) < len(seen.answer) // 2:
        return None  # mostly code, and its few words are in the language of code
    answered = language(_ADDRESS.sub(" ", _QUOTES.sub(" ", prose[:1_500])), least=5)
    if answered is None or answered == asked:
        return None
    return f"answers in {answered} what was asked in {asked}"


_ADDRESS = re.compile(r"\S*(?:://|@|\.com\b)\S*")
_PORTUGUESE = re.compile("[ãõçêâôà]")


def language(text: str, *, least: int) -> str | None:
    """``pt``, ``en`` or ``es``; ``None`` for others, for mixtures, and below ``least`` telling words."""
    written = _LETTERS.findall(text)
    words = [word.lower() for word in written]
    if not words:
        return None
    counts = {name: sum(word in own for word in words) for name, own in _ONLY.items()}
    accented = sum(word[0].islower() and _PORTUGUESE.search(word) is not None for word in written)
    counts["pt"] += min(accented, 2)  # not of names: a list of maintainers is no Portuguese
    first, second, _ = sorted(counts, key=counts.__getitem__, reverse=True)
    if counts[first] < least or counts[second] * 5 > counts[first] or counts[first] * 12 < len(words):
        return None
    return first


_REWORK = re.compile(
    r":|\b(?:repit\w*|repeat|corrij\w*|corrig\w*|correct|reescrev\w*|rewrite|rephrase|format\w*|copie|copy|ecoe|echo|quote|diga|say|digite|type|paraphrase"
    r"|pontu\w+|punctuate|capitaliz\w*|mai[uú]scul\w*|acent\w+|transcrev\w*|traduz\w*|translate|ou|or)\b",
    re.IGNORECASE,
)


def find_echo(seen: Exchange) -> str | None:
    """That the answer says the question again, and nothing else."""
    asked, said = seen.asked, seen.answer
    if len(asked) > 1_000 or len(said) > len(asked) * 2 + 40 or _REWORK.search(asked):
        return None
    before, after = _LETTERS.findall(asked.lower()), _LETTERS.findall(said.lower())
    if len(before) < 4 or len(after) < 4:
        return None
    if after == before or (
        after[: len(before)] == before and len(after) - len(before) < 3 and not _adds_digits(asked, said)
    ):
        return "only repeats the question"
    known = set(before)
    overlap = sum(word in known for word in after) / len(after)
    asks = said.rstrip().endswith("?") and asked.rstrip().endswith("?")
    return (
        "only repeats the question" if asks and overlap >= 0.75 and len(after) >= 0.6 * len(before) else None
    )


def _adds_digits(asked: str, said: str) -> bool:
    return sum(c.isdigit() for c in said) > sum(c.isdigit() for c in asked)
