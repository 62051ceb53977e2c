"""What a panel says about itself to people, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from coreto.panel.model import PanelResult

Language = Literal["pt-BR", "en"]


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
    return _CATALOGUE[key][language].format(**values)


def _both(en: str, pt: str) -> Mapping[Language, str]:
    return MappingProxyType({"en": en, "pt-BR": pt})


_CATALOGUE: Mapping[str, Mapping[Language, str]] = MappingProxyType(
    {
        "quality.excellent": _both("excellent", "excelente"),
        "quality.good": _both("good", "boa"),
        "quality.basic": _both("basic", "básica"),
        "quality.fallback": _both("fallback", "reserva"),
        "took_part": _both(
            "Quality: {quality} ({n} of {of} specialists took part)",
            "Qualidade: {quality} ({n} de {of} especialistas participaram)",
        ),
        "degraded": _both(
            "Degraded: a required answer is missing: {names}",
            "Degradado: falta uma resposta obrigatória: {names}",
        ),
        "silent": _both("Without an answer: {names}", "Sem resposta: {names}"),
        "outcome.timeout": _both("out of time", "tempo esgotado"),
        "outcome.error": _both("failed", "falhou"),
        "outcome.skipped": _both("passed by after failures", "pulado após falhas"),
        "outcome.cancelled": _both("no longer needed", "não foi mais necessário"),
        "unconsolidated": _both(
            "The answers could not be consolidated", "Não foi possível consolidar as respostas"
        ),
        "nobody": _both("Nobody has answered", "Ninguém respondeu"),
        "more": _both("More answers may come", "Mais respostas podem chegar"),
    }
)
