"""What the detector reads of a text: its first and last part, without accents and case, in words."""

import re
import unicodedata
from collections.abc import Sequence

WINDOW = 2_000
"""Characters that are looked at: a request stands at a text's start or end; what lies between is material."""


def word_set(listed: str) -> frozenset[str]:
    """The words in ``listed``, which spaces divide."""
    return frozenset(listed.split())


_MATERIAL = 400
"""Characters from which a text is taken to bring material along."""

_WORD = re.compile(r"[^\W_]+(?:[-'’.#+_/][^\W_]+)*[+#]*|[?!]")
_CLITIC = re.compile(r"(?<=[a-z]{3})-(?:l?[oa]s?|me|se|lhes?|nos)\b")
_FENCED = re.compile(r"```.*?(?:```|$)", re.DOTALL)
_SPACE = re.compile(r"\s+")

_PORTUGUESE = word_set(
    "de da do das dos que nao um uma para pra pro com por como mais mas os as no na nos nas em ao aos se eu voce"
    " vc me meu minha esse essa isso este esta tem ser foi ja so tambem quando qual quais quanto quem onde sem"
    " ate e ou o a faz faca cria crie preciso quero pode ta estou esta ola oi bom boa tudo bem obrigado"
    " entre sobre muito aqui agora depois antes nosso nossa seu sua pelo pela manda roda executa planeje kkk kkkk kkkkk rs rsrs entendi valeu beleza esses essas laco"
)
_ENGLISH = word_set(
    "the of and to in is it you that for on with as are this be at or from my your we our have has can do does"
    " did how what why which who when where should would could i me an a not no if so by all about into there"
    " please make write create run send give need want let's it's don't i'm what's get them they then than"
    " hello hi thanks now after before between out up"
)
_OTHERS = word_set(
    "el los las una del y es pero muy hola gracias esto eso donde cual hacer haz necesito quiero puedes tengo esta"
    " le les des est je vous nous une dans pour avec pas bonjour merci qui und der das ist nicht ein eine ich wir mit"
    " il gli che di per sono questo ciao grazie non een het niet ik jag och det som inte"
)
FUNCTION_WORDS = _PORTUGUESE | _ENGLISH
"""Words that say what language a text is in, and little else."""

_LATIN = re.compile(r"[a-z]")


def window(text: str) -> str:
    """``text``, or its first and last :data:`WINDOW` / 2 characters when it is longer."""
    half = WINDOW // 2
    return text if len(text) <= WINDOW else f"{text[:half]}\n{text[-half:]}"


def edges(text: str) -> tuple[str, ...]:
    """The first and last line of a text with material, where requests stand; none of a short text."""
    lines = window(text).strip().splitlines() if len(text) > _MATERIAL else []
    return tuple(line for line in (lines[0], lines[-1]) if len(line) <= _MATERIAL) if len(lines) > 2 else ()


def plain(text: str) -> str:
    """``text`` in lower case, without accents, its white space single."""
    if text.isascii():
        return _SPACE.sub(" ", text.lower()).strip()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return _SPACE.sub(" ", "".join(c for c in parts if not unicodedata.combining(c))).strip()


def words(flat: str) -> list[str]:
    """The words of a :func:`plain` text, with ``?`` and ``!`` as words of their own; ``rode-o`` is ``rode``."""
    return _WORD.findall(_CLITIC.sub("", flat) if "-" in flat else flat)


def language_of(tokens: Sequence[str], original: str) -> str:
    """``pt``, ``en`` or ``other``, by the function words (a few of Spanish, French, German, Italian, Dutch and
    Swedish too); the language's own letters break ties."""
    if "```" in original:
        tokens = words(plain(_FENCED.sub(" ", original)))
    portuguese = sum(token in _PORTUGUESE for token in tokens)
    english = sum(token in _ENGLISH for token in tokens)
    if sum(token in _OTHERS for token in tokens) > max(portuguese, english) or any(
        c in "¿¡ñ" for c in original
    ):
        return "other"
    if portuguese == english:
        marks = _marks(original)
        if marks:
            return "pt"
        if portuguese == 0:
            letters = sum(bool(_LATIN.match(token)) for token in tokens)
            return "en" if letters and original.isascii() else "other"
        return "en"
    return "pt" if portuguese > english else "en"


def _marks(original: str) -> bool:
    return any(c in "ãõçáéíóúâêôà" for c in original.lower())
