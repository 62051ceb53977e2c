"""Passwords that are said, assigned, or stand in a URL."""

import re
from collections.abc import Iterator

from coreto.routing.sensitive.context import heads, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.spans import Span

_URL = re.compile(
    r"(?<![a-z0-9])(?P<scheme>[a-z][a-z0-9+.-]{1,30})://(?P<user>[^\s/@:'\"]{0,80}):(?P<word>[^\s/'\"]{1,120})@(?=[\w\[])"
)
_DATABASES = ("postgres", "mysql", "mariadb", "mongodb", "redis", "rediss", "amqp", "mssql", "sqlserver", "oracle", "clickhouse",
              "cockroach", "jdbc", "snowflake", "couchbase", "neo4j", "bolt", "cassandra", "db2", "elasticsearch", "memcached")  # fmt: skip
_URL_QUERY = re.compile(
    rf"(?<![a-z0-9])(?:jdbc:)?(?:{'|'.join(_DATABASES)})[a-z0-9+]{{0,20}}://[^\s'\"?]{{1,200}}\?(?:[^\s'\"]{{0,200}}?&)?(?:password|pwd|pass)=(?P<word>[^\s&'\"]{{3,120}})"
)
_PLACEHOLDERS = frozenset({
    "password", "pass", "passwd", "pwd", "senha", "secret", "user", "username", "your_password", "yourpassword", "sua_senha",
    "example", "exemplo", "changeme", "xxx", "xxxx", "xxxxx", "string", "str", "none", "null", "nil", "undefined", "true", "false",
    "empty", "vazio", "vazia", "test", "teste", "todo", "redacted", "hidden", "required", "optional", "obrigatoria", "obrigatorio",
    "opcional", "token", "text", "varchar", "char", "here", "aqui", "pw", "mypassword", "mysecretpassword", "value", "input",
})  # fmt: skip
_NAME = re.compile(
    r"(?<![a-z0-9])(?:[a-z0-9]{1,30}[_-]){0,6}(?P<name>passwords?|passwd|passphrase|passcode|pwd|senhas?|contrasena|clave|palavra-passe|pass|pw|pin)(?![a-z0-9])"
)
_ASSIGNED = re.compile(
    r"[\"'`*]{0,2}(?: [\w'@.-]{1,30}){0,6}?[\"'`*]{0,2}[ \t]{0,2}(?:[:=]{1,2}|=>|->)[*]{0,2}\s{0,2}(?P<value>\S{3,128})"
)
_IS = re.compile(
    r"(?: [\w'@.-]{1,30}){0,6}? (?P<link>is|e|eh|era|was|sera|ficou|es|to|foi (?:alterada|trocada) para|mudou para)(?: (?:now|agora|still|ainda|agora e))? (?P<value>\S{3,128})"
)
_DIRECT = re.compile(r"(?: (?:nova|new|atual|root|admin))? (?P<value>\S{5,128})")
_MINE = re.compile(r"(?<![a-z])(?:minha|nossa|my|our|mi|the|dele|dela|his|her|a) (?:[\w-]+ ){0,2}$")
_CLUES = heads("password", "passwd", "passphrase", "passcode", "pwd", "senha", "contrasena", "clave", "palavra", "pass", "pw",
               "pin", "codigo", "code", "otp", "cvv", "cvc", "login", "acesso", "access", "credential", "credencial")  # fmt: skip
_CODE = re.compile(
    r"(?<![a-z0-9])(?:codigo (?:de (?:verificacao|seguranca|acesso|confirmacao)|do (?:sms|whatsapp|banco))|codigo (?:do|da) (?:portao|alarme|porta|cofre|predio)|(?:gate|door|alarm|entry|safe|lockbox|building|access) code|(?:verification|security|confirmation|one-time|login|2fa|sms) code"
    r"|otp|cvv|cvc|cvv2|pin|senha de (?:4|6|quatro|seis) digitos|token do (?:banco|app))(?![a-z0-9])(?P<gap>[^\n\d]{0,36}?)(?P<value>\d{3,8})(?![\w.,/-]\w|\w)"
)
_LOGIN = re.compile(
    r"(?<![a-z])(?:login|acesso|access|credentials?|credenciais|user(?:name)?|usuario|conta|root|admin|ssh|ftp|vpn)(?: is| e)?[:=]?(?: [\w.@-]{2,40})? ?[/|] ?(?P<value>\S{5,80})"
)
_GPIO = words(
    r"gpio",
    r"pinos?",
    r"arduino",
    r"esp32",
    r"raspberry",
    r"connector",
    r"led",
    r"rgb",
    r"board",
    r"placa",
    r"ground",
)
_CURL = re.compile(r"(?<![\w-])(?:-u|--user) ['\"]?(?P<user>[\w.@-]{1,60}):(?P<value>[^\s'\"]{3,80})")
_CODE_LIKE = re.compile(r"[({\[]|\w\.\w+\(|^[a-z_]+\.[a-z_]+\.?\w*$")
_TALK = words(
    r"forgot(?:ten)?", r"reset", r"recover", r"esqueci", r"recuperar?", r"required", r"wrong", r"expired", r"errad[oa]", r"incorret[oa]",
    r"obrigatori[oa]", r"invalid[oa]?", r"expirou", r"expirada", r"how", r"como", r"what", r"qual", r"strong", r"forte", r"fraca", r"weak",
)  # fmt: skip


def find_passwords(seen: Folded) -> Iterator[Span]:
    """Passwords and codes of ``seen``, without the words around them; credentials in URLs as a whole."""
    if "://" in seen.plain:
        yield from _in_urls(seen)
    if "-u" in seen.plain or "--user" in seen.plain:
        for match in _CURL.finditer(seen.plain):
            if not _stands_for_any(match.group("value")):
                yield Span(match.start("value"), match.end("value"), "password")
    if not _CLUES & seen.heads:
        return
    yield from _said(seen)
    for match in _LOGIN.finditer(seen.low):
        value = seen.plain[match.start("value") : match.end("value")].rstrip(".,;:)\"'")
        if _strong(value) and re.search(r"[A-Za-z]", value) and not re.search(r"[/@]\w+\.", value):
            yield Span(match.start("value"), match.start("value") + len(value), "password")
    if seen.has_digits:
        for match in _CODE.finditer(seen.low):
            if not _GPIO.search(seen.low[max(0, match.start() - 40) : match.end() + 30]):
                yield Span(match.start("value"), match.end("value"), "password")


def _in_urls(seen: Folded) -> Iterator[Span]:
    for match in _URL.finditer(seen.low):
        word = seen.plain[match.start("word") : match.end("word")]
        if word.isdigit() and not match.group("user"):
            continue
        if _stands_for_any(word):
            continue
        database = match.group("scheme").startswith(_DATABASES)
        yield Span(match.start(), match.end(), "db_url" if database else "password")

    for match in _URL_QUERY.finditer(seen.low):
        if not _stands_for_any(seen.plain[match.start("word") : match.end("word")]):
            yield Span(match.start(), match.end(), "db_url")


def _said(seen: Folded) -> Iterator[Span]:
    """After each name of a password: the value assigned, the value it is said to be, or a strong one."""
    done = -1
    for name in _NAME.finditer(seen.low):
        if name.start() < done:
            continue
        for pattern in (_ASSIGNED, _IS, _DIRECT):
            match = pattern.match(seen.low, name.end())
            span = match and _value(seen, name, match, pattern)
            if span:
                done = span.end
                yield span
                break


def _value(seen: Folded, name: re.Match[str], match: re.Match[str], pattern: re.Pattern[str]) -> Span | None:
    start = match.start("value")
    written = seen.plain[start : match.end("value")]
    quoted = written[0] in "\"'`"
    if quoted:
        start += 1
        end = seen.plain.find(written[0], start, start + 128)
        value = seen.plain[start:end] if end > start else written[1:].rstrip("\"'`.,;:)")
    else:
        value = written.rstrip(".,;:)*\"'`").lstrip("*")
        start += written.index(value) if value else 0
    if (
        not value
        or _stands_for_any(value)
        or (name.group("name") == "pin" and not re.fullmatch(r"\d{4,8}", value))
    ):
        return None
    if pattern is _ASSIGNED:
        fits = (
            not _CODE_LIKE.search(value)
            and not (value.isdigit() and len(value) < 4)
            and (quoted or _mixed(value) or _lonely(seen, start + len(value), value))
        )
    elif pattern is _IS:
        fits = _is_told(seen, name, match.group("link"), start, value) or (
            quoted and value not in _ADJECTIVES
        )
    else:  # "senha Jab0ticaba!", "password hunter2": only what no word looks like
        fits = _strong(value)
    return Span(start, start + len(value), "password") if fits else None


def _is_told(seen: Folded, name: re.Match[str], link: str, start: int, value: str) -> bool:
    """Whether "the password is …" goes on with a password and not with what is the matter with it."""
    if _strong(value) or (value.isdigit() and link != "to"):
        return True
    # a plain word: only where somebody tells theirs and nothing else ("my password is purplecow, log in")
    rest = seen.low[start + len(value) : start + len(value) + 2]
    left = seen.low[max(0, name.start() - 40) : name.start()]
    return (
        link in ("is", "e", "eh", "es")
        and len(value) >= 5
        and value.isalnum()
        and value.islower()
        and (rest[:1] in ("", ",", ";", "\n") or rest == ".")
        and _MINE.search(left) is not None
        and not _TALK.search(left + seen.low[start : start + len(value) + 20])
        and value not in _ADJECTIVES
    )


def _lonely(seen: Folded, end: int, value: str) -> bool:
    """Whether a plain word after ``password:`` is all there is in its line or list."""
    rest = seen.low[end : end + 24]
    return (
        value.lower() not in _ADJECTIVES
        and len(value) >= 5
        and re.match(r"\s*(?:$|[\n|/;]|, (?:please|por favor|user|login))", rest) is not None
    )


_ADJECTIVES = frozenset({
    "required", "optional", "wrong", "invalid", "expired", "correct", "incorrect", "weak", "strong", "hashed", "encrypted", "stored",
    "secret", "private", "unknown", "missing", "empty", "changed", "obrigatoria", "opcional", "errada", "incorreta", "invalida",
    "expirada", "correta", "fraca", "forte", "secreta", "vazia", "desconhecida", "pessoal", "intransferivel", "segura", "secure",
    "sensitive", "confidential", "different", "diferente", "important", "importante", "temporary", "temporaria", "protected",
    "protegida", "criptografada", "numerica", "numeric", "shared", "compartilhada", "unica", "unique", "mandatory", "simples",
    "login", "usuario", "email", "token", "conta", "username", "complex", "simple", "short", "curta", "longa", "leaked", "vazada", "string", "compulsory", "hidden", "masked", "visible",
})  # fmt: skip


def _stands_for_any(value: str) -> bool:
    """Whether ``value`` shows where a password goes and is none."""
    bare = value.strip("<>[]{}()*\"'`").lower().rstrip("!")
    if bare in _PLACEHOLDERS or value.startswith(("$", "<", "{", "%(", "[")) or not value.strip("*.xX_•-"):
        return True
    return (
        re.search(
            r"(?:your|sua|seu|my)[_-]|\.\.\.|\*\*\*|_here$|_aqui$|(?:environ|getpass|getenv|process\.env|vault|secrets?\.)",
            value.lower(),
        )
        is not None
    )


def _mixed(value: str) -> bool:
    """Whether it holds more than small letters: a digit, a sign, or a capital inside."""
    return (
        any(c.isdigit() for c in value)
        or bool(re.search(r"[^\w\s]", value))
        or value[1:] != value[1:].lower()
    )


def _strong(value: str) -> bool:
    """Whether no sentence would hold it: letters with a digit or a sign inside, or both."""
    if len(value) < 5 or not re.search(r"[A-Za-z]", value):
        return bool(re.fullmatch(r"\d+(?:[-.#]\d+){2,}", value))
    if _stands_for_any(value) or re.search(r"[()\[\]]|://|^\d+(?:st|nd|rd|th|h|ms|x)$|^\w+'\w{1,2}$", value):
        return False
    digit = re.search(r"\d", value) is not None
    sign = re.search(r"[!@#$%^&*+=?~_](?!$)|[!#$%^&*]$", value) is not None
    return digit or (sign and value[1:] != value[1:].lower()) or (sign and len(value) >= 8)
