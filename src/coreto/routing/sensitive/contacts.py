"""E-mail addresses, also those written around filters, and network addresses that lead to a person."""

import re
from collections.abc import Iterator

from coreto.routing.sensitive.context import EXAMPLE, after, before, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.people import points_to_person
from coreto.routing.sensitive.spans import Span

_LOCAL_BACKWARDS = re.compile(r"[\w.+%'=-]{0,64}", re.ASCII)
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,62})\.){1,6}(?:xn--[a-z0-9]{2,30}|[a-z]{2,24})(?![\w@])")
_FILES = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "py", "css", "html", "json", "md", "txt", "pdf", "local", "localhost",
    "test_", "lan",
})  # fmt: skip
_SOMEBODY = frozenset({
    "you", "your", "yourname", "your.name", "your.email", "youremail", "your-email", "user", "username", "usuario", "nome",
    "name", "email", "e-mail", "seu", "seunome", "seu.nome", "seu.email", "seuemail", "someone", "somebody", "alguem", "foo",
    "foobar", "bar", "exemplo", "example", "first.last", "firstname.lastname", "nome.sobrenome", "fulano", "voce", "xxx", "abc",
    "user1", "name.surname", "me", "address", "myname",
})  # fmt: skip
_AT = r"(?:@|[\[({<] ?(?:at|arroba|@) ?[\])}>]|(?<=[ _-])(?:at|arroba)(?=[ _-]))"
_DOT = r"(?:\.|[\[({<] ?(?:dot|ponto|\.) ?[\])}>]|(?<=[ _-])(?:dot|ponto|punto)(?=[ _-]))"
_TLD = (
    r"(?:com|net|org|io|dev|edu|gov|br|pt|uk|co|info|me|ai|app|es|de|fr|it|eu|us|ca|ar|mx|cl|test|online|biz|tech|jus|adv"
    r"|med|art|tv|ly|xyz|site|cloud|ch|nl|at|be|pl|se|no|jp|in|au|nz|ie)"
)
_SEP = r"[ _-]{0,2}"
_WRITTEN = re.compile(
    rf"(?<![a-z0-9])(?P<local>[a-z0-9][\w+-]{{0,40}}(?:{_SEP}{_DOT}{_SEP}[\w+-]{{1,40}}){{0,3}}"
    rf"|[a-z0-9](?: [a-z0-9._]){{2,30}}){_SEP}{_AT}{_SEP}"
    rf"(?P<domain>[a-z0-9][a-z0-9-]{{1,40}}|[a-z0-9](?: [a-z0-9]){{2,30}})(?:{_SEP}{_DOT}{_SEP}[a-z0-9-]{{2,20}}){{0,2}}?"
    rf"{_SEP}{_DOT}{_SEP}{_TLD}(?:{_SEP}{_DOT}{_SEP}[a-z]{{2}})?(?![a-z0-9])"
)
_ANCHOR = re.compile(r"@|(?<![a-z0-9])(?:at|arroba)(?![a-z0-9])")
_BRACKET = re.compile(r"[\[({<] ?(?:at|arroba) ?[\])}>]")
_PLAIN_AT = re.compile(r"\w?@\w", re.ASCII)
_REACH = 120
_IPV4 = re.compile(
    r"(?<![\w.-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\w|/\d)",
    re.ASCII,
)
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4}){1,4}(?![\w:])")
_MAC = re.compile(
    r"(?<![\w:-])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:-])|(?<![\w:-])(?:[0-9a-f]{2}-){5}[0-9a-f]{2}(?![\w:-])"
)
_OWN_IPS = (
    "0.",
    "10.",
    "127.",
    "169.254.",
    "192.168.",
    "224.",
    "255.",
    "8.8.",
    "1.1.1.1",
    "1.0.0.1",
    "9.9.9.9",
    "208.67.",
)
_PERSONAL = words(
    r"users?", r"usuari[oa]s?", r"customers?", r"clientes?", r"home", r"casa", r"residencia", r"residential", r"logged in",
    r"log(?:ou|ado|ged|in)", r"acessou", r"conectou", r"connected from", r"dele", r"dela", r"his", r"her", r"their", r"my",
    r"meu", r"minha", r"wife", r"husband", r"esposa", r"marido", r"funcionari[oa]s?", r"employee", r"subscriber", r"assinante",
    r"visitor", r"visitante", r"aluno", r"patient", r"paciente", r"suspect", r"suspeito", r"stalker", r"ex",
    r"(?:he|she|ele|ela)", r"signed in", r"posted from", r"comprador",
)  # fmt: skip
_MACHINE = words(r"servers?", r"servidor(?:es)?", r"bind", r"dns", r"gateway", r"ping", r"subnet", r"host", r"proxy",
                 r"firewall", r"version", r"versao", r"upgrade", r"nginx", r"load balancer", r"docker", r"kubernetes")  # fmt: skip
_USER = re.compile(r"(?<![a-z0-9])(?:users?|usuari[oa]|login|username) ?[:=]? ?['\"]([\w.-]{3,32})['\"]")


def find_emails(seen: Folded) -> Iterator[Span]:
    """E-mail addresses in their own form and "name at domain dot com"."""
    at = seen.low.find("@")
    while at >= 0:
        span = _around(seen, at)
        if span is not None:
            yield span
        at = seen.low.find("@", at + 1)
    if not (
        {"arro", "pont", "dot", "punt"} & seen.heads
        or "@" in seen.low
        or _BRACKET.search(seen.low) is not None
    ):
        return
    done = -1
    for anchor in _ANCHOR.finditer(seen.low):
        if anchor.start() < done or _PLAIN_AT.match(seen.low, max(0, anchor.start() - 1)):
            continue
        span = _written(seen, anchor)
        if span is not None:
            done = span.end
            yield span


def _around(seen: Folded, at: int) -> Span | None:
    """The plain address around the ``@`` at ``at``."""
    low = seen.low
    domain = _DOMAIN.match(low, at + 1, at + 256)
    if domain is None:
        return None
    backwards = _LOCAL_BACKWARDS.match(low[max(0, at - 64) : at][::-1])
    local = backwards.group()[::-1].lstrip(".'=-+%") if backwards else ""
    if not local or local.endswith("."):
        return None
    start = at - len(local)
    top = domain.group().rpartition(".")[2]
    if top in _FILES or _is_no_mailbox(seen, start, domain.end(), local, domain.group()):
        return None
    return Span(start, domain.end(), "email")


def _is_no_mailbox(seen: Folded, start: int, end: int, local: str, domain: str) -> bool:
    """Repositories, passwords in URLs, and addresses that stand for anybody's."""
    low = seen.low
    left = low[max(0, start - 64) : start]
    if local == "git" and low[end : end + 1] in (":", "/"):
        return True
    if re.search(r"://(?:[^\s/@]*:)?$", left):
        return True
    host = domain.split(".", maxsplit=1)[0]
    generic = re.match(
        r"(?:example|exemplo|ex[ae]mplo|dominio|domain|yourdomain|your-?domain|seudominio|seusite|company|empresa|email|mail|test|site|acme|foo|host|provedor)$",
        host,
    )
    if (local in _SOMEBODY and generic) or len(local) == len(host) == 1 or (local, host) == ("foo", "bar"):
        return True
    return (
        bool(generic)
        and local in ("john.doe", "jane.doe", "john", "jane", "joao", "maria")
        and (EXAMPLE.search(before(low, start) + after(low, end)) is not None)
    )


def _written(seen: Folded, anchor: re.Match[str]) -> Span | None:
    """The address written in words around ``anchor``."""
    low = seen.low
    first = max(0, anchor.start() - _REACH)
    window = low[first : anchor.end() + _REACH]
    split = anchor.start() - first
    for match in _WRITTEN.finditer(window):
        if not match.start() < split < match.end():
            continue
        text = match.group()
        words_only = re.search(r"[@\[({]", text) is None
        if words_only and not re.search(r"(?:^|[ _-])(?:dot|ponto|punto|arroba)(?:[ _-]|$)", text):
            return None  # "meet me at example.com": a place, not a mailbox
        if re.fullmatch(r"[\w.+%'-]+@[\w.-]+", text):
            return None  # in its own form: judged there
        local = match.group("local").replace(" ", "")
        domain = match.group("domain")
        if words_only and (
            domain in ("the", "a", "my")
            or (" at " in text and local in ("look", "me", "us", "is", "are", "was", "them"))
        ):
            return None
        if local in _SOMEBODY and re.match(r"dominio|domain|example|exemplo", domain):
            return None
        return Span(first + match.start(), first + match.end(), "email")
    return None


def find_addresses(seen: Folded) -> Iterator[Span]:
    """IP and MAC addresses that are said to be a person's, with the user's name where it is quoted."""
    if not seen.has_digits or (
        seen.low.count(".") < 3 and seen.low.count(":") < 3 and seen.low.count("-") < 5
    ):
        return
    found = False
    for pattern in (_IPV4, _IPV6, _MAC):
        for match in pattern.finditer(seen.low):
            if _is_somebodys(seen, match, numbered=pattern is _IPV4):
                found = True
                yield Span(match.start(), match.end(), "ip")
    if found:
        for match in _USER.finditer(seen.low):
            yield Span(match.start(1), match.end(1), "user")


def _is_somebodys(seen: Folded, match: re.Match[str], *, numbered: bool) -> bool:
    text = match.group()
    if numbered and text.startswith(_OWN_IPS):
        return False
    if len(set(text) - {":", "-"}) < 3:
        return False
    left, right = before(seen.low, match.start(), 90), after(seen.low, match.end(), 60)
    around = left + " | " + right
    if _PERSONAL.search(around) is None and not points_to_person(seen, match.start(), match.end()):
        return False
    return (
        _MACHINE.search(around) is None
        or re.search(r"(?<![a-z])(?:home|casa|logged in|residential)(?![a-z])", around) is not None
    )
