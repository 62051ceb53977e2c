"""What `coreto prompts` says, in English and Portuguese."""

from collections.abc import Mapping
from types import MappingProxyType

from coreto.languages import Language


def say(language: Language, key: str, /, **values: object) -> str:
    """The text of ``key`` with its placeholders filled."""
    return CATALOGUE[key][0 if language == "en" else 1].format(**values)


#: key → English, Portuguese
CATALOGUE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "none": (
            "there are no prompts in {folder}: write one with the suffix .prompt",
            "não há prompts em {folder}: escreva um com o sufixo .prompt",
        ),
        "name": ("name", "nome"),
        "versions": ("versions", "versões"),
        "languages": ("languages", "idiomas"),
        "labels": ("labels", "rótulos"),
        "experiment": ("experiment", "experimento"),
        "description": ("description", "descrição"),
        "title": ("{title} · {file}", "{title} · {file}"),
        "digest": ("digest {digest}", "digest {digest}"),
        "in_use": (
            "in use since {since}: its content stays",
            "em uso desde {since}: o conteúdo não muda mais",
        ),
        "changed": (
            "the file differs from what was used: give the change a new version",
            "o arquivo difere do que foi usado: dê uma nova versão à mudança",
        ),
        "variable": ("variable", "variável"),
        "type": ("type", "tipo"),
        "default": ("default", "padrão"),
        "required": ("(required)", "(obrigatória)"),
        "rendered": (
            "— {name}@{version} in {language} · {digest} · {label}",
            "— {name}@{version} em {language} · {digest} · {label}",
        ),
        "variant": ("— variant {variant} of {experiment}", "— variante {variant} de {experiment}"),
        "ignored": (
            "stored values that fit no more: {names}",
            "valores guardados que não servem mais: {names}",
        ),
        "speaker.system": ("[system]", "[sistema]"),
        "speaker.user": ("[user]", "[usuário]"),
        "same": ("no difference", "nenhuma diferença"),
        "stats": (
            "{experiment}: outcome {outcome} of {prompt}, {unmeasured}",
            "{experiment}: resultado {outcome} de {prompt}, {unmeasured}",
        ),
        "unmeasured.failure": (
            "exposures without an outcome count as failures",
            "exposições sem resultado contam como fracasso",
        ),
        "unmeasured.unknown": (
            "exposures without an outcome do not count",
            "exposições sem resultado não contam",
        ),
        "variant_column": ("variant", "variante"),
        "version": ("version", "versão"),
        "weight": ("weight", "peso"),
        "exposures": ("exposures", "exposições"),
        "outcomes": ("outcomes", "resultados"),
        "successes": ("successes", "sucessos"),
        "rate": ("rate", "taxa"),
        "interval": ("95 % interval", "intervalo de 95 %"),
        "gone": ("(gone)", "(removida)"),
        "moved": ("{label} of {name} is version {version}", "{label} de {name} é a versão {version}"),
        "kept": (
            "kept for {user}: {names}",
            "guardado para {user}: {names}",
        ),
        "forgotten": ("forgotten for {user}: {names}", "esquecido para {user}: {names}"),
    }
)
