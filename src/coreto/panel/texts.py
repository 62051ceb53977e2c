"""What a panel says about itself to people, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType

from coreto.languages import Language, Text, both, spoken
from coreto.panel.model import PanelResult


def notices(result: PanelResult, language: Language) -> tuple[str, ...]:
    """How good a result is, and what it lacks."""
    quality = _say(language, f"quality.{result.quality}")
    said = [_say(language, "took_part", quality=quality, n=len(result.included), of=len(result.asked))]
    if result.missing_required:
        said.append(_say(language, "degraded", names=", ".join(result.missing_required)))
    silent = [part for part in result.parts if not part.ok and part.name not in result.missing_required]
    if silent:
        names = ", ".join(f"{part.name} ({_say(language, f'outcome.{part.outcome}')})" for part in silent)
        said.append(_say(language, "silent", names=names))
    if result.content is None:
        said.append(_say(language, "unconsolidated" if result.answered else "nobody"))
    if not result.final:
        said.append(_say(language, "more"))
    return tuple(said)


def _say(language: Language, key: str, /, **values: object) -> str:
    return spoken(_CATALOGUE, language, key, **values)


_CATALOGUE: Mapping[str, Text] = MappingProxyType(
    {
        "quality.excellent": both("excellent", "excelente"),
        "quality.good": both("good", "boa"),
        "quality.basic": both("basic", "básica"),
        "quality.fallback": both("fallback", "reserva"),
        "took_part": both(
            "Quality: {quality} ({n} of {of} specialists took part)",
            "Qualidade: {quality} ({n} de {of} especialistas participaram)",
        ),
        "degraded": both(
            "Degraded: a required answer is missing: {names}",
            "Degradado: falta uma resposta obrigatória: {names}",
        ),
        "silent": both("Without an answer: {names}", "Sem resposta: {names}"),
        "outcome.timeout": both("out of time", "tempo esgotado"),
        "outcome.error": both("failed", "falhou"),
        "outcome.skipped": both("passed by after failures", "pulado após falhas"),
        "outcome.cancelled": both("no longer needed", "não foi mais necessário"),
        "unconsolidated": both(
            "The answers could not be consolidated", "Não foi possível consolidar as respostas"
        ),
        "nobody": both("Nobody has answered", "Ninguém respondeu"),
        "more": both("More answers may come", "Mais respostas podem chegar"),
    }
)
