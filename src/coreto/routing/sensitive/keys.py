"""API keys, tokens and private keys: the shapes that providers give them, and anything random that is
named a key."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from coreto.routing.sensitive.context import before, heads, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.spans import Span

_LONG = re.compile(r"[\w.:/+=~-]{18,}", re.ASCII)
_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      sk-(?:proj|svcacct|admin|ant(?:-[a-z]+\d*)?|or(?:-v1)?|lf|None)-[\w-]{16,}     # OpenAI, Anthropic, OpenRouter
    | (?:sk|pk|rk|ck)-[A-Za-z0-9]{20,}                               # OpenAI's old ones and many that copied it
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,} | whsec_[\w+/=-]{16,}     # Stripe
    | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_\w{30,}                # GitHub
    | gl(?:pat|ptt|rt|cbt|dt|soat|ft|agent)-[\w.-]{18,}                 # GitLab
    | xox[abeoprs]-[\w-]{12,} | xapp-\d-[\w-]{12,}                # Slack
    | [MNO][A-Za-z0-9_-]{23,28}\.[\w-]{6}\.[\w-]{27,}                 # Discord's bots
    | hooks\.slack\.com/(?:services|workflows)/[\w/]{20,}
    | discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{30,}
    | (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])             # AWS
    | AIza[\w-]{30,} | GOCSPX-[\w-]{20,} | ya29\.[\w-]{20,} | 1//0[\w-]{30,}    # Google
    | EAA[A-Za-z0-9]{24,}                                            # Meta
    | hf_[A-Za-z0-9]{24,} | api_org_[A-Za-z0-9]{24,}                 # Hugging Face
    | \d{8,10}:AA[\w-]{28,}                                        # Telegram's bots
    | eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{10,}                         # signed JSON web tokens
    | SG\.[\w-]{16,}\.[\w-]{16,} | key-[0-9a-f]{32} | (?:AC|SK)[0-9a-f]{32}(?![0-9a-f])  # SendGrid, Mailgun, Twilio
    | npm_[A-Za-z0-9]{30,} | pypi-[\w-]{40,} | rubygems_[0-9a-f]{40,}
    | do[opr]_v1_[0-9a-f]{40,} | shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}
    | gsk_[A-Za-z0-9]{30,} | r8_[A-Za-z0-9]{30,} | pplx-[A-Za-z0-9]{30,} | xai-[A-Za-z0-9]{30,} | nvapi-[\w-]{30,}
    | lin_api_[A-Za-z0-9]{30,} | ntn_[A-Za-z0-9]{30,} | secret_[A-Za-z0-9]{40,} | figd_[\w-]{30,} | tskey-[\w-]{20,}
    | dapi[0-9a-f]{32} | PMAK-[0-9a-f-]{40,} | phc_[\w-]{30,} | sntrys_[\w+/=-]{30,} | glsa_\w{30,} | hvs\.[\w-]{20,}
    | fo1_[\w-]{30,} | tvly-[\w-]{20,} | vercel_[\w]{20,} | sbp_[0-9a-f]{30,} | rnd_[A-Za-z0-9]{24,} | re_[A-Za-z0-9_]{24,}
    | APP_USR-[\w-]{30,} | \$aact_[\w:=]{20,} | AGE-SECRET-KEY-1[A-Z0-9]{40,} | CFPAT-[\w-]{30,} | ATATT[\w=-]{30,}
    | dckr_pat_[\w-]{20,} | pat[A-Za-z0-9]{14}\.[0-9a-f]{40,} | NRAK-[A-Z0-9]{20,} | AccountKey=[\w+/]{60,}={0,2}
    )""",
    re.VERBOSE | re.ASCII,
)  # fmt: skip
_NO_KEY = re.compile(
    r"(?<![a-z0-9])(?:your|sua|seu|example|exemplo|placeholder|change|changeme|replace|insert|dummy|fake|aqui|here|todo)(?![a-z0-9])"
    r"|EXAMPLE|x{6,}|X{6,}|\.\.\.|\*\*\*|0{10,}|1234567890abc|abcdefghij|_here|_aqui"
)
_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\n){0,4}(?=[A-Za-z0-9+/=:\s\\,-]{0,200}?[A-Za-z0-9+/=]{16})"
)
_BLOCK_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_PUTTY = re.compile(r"PuTTY-User-Key-File-\d:[^\0]{0,400}Private-Lines: \d+")
_SEED = re.compile(
    r"(?<![a-z])(?:seed phrase|recovery phrase|mnemonic|frase semente|frase de recuperacao|palavras[- ]semente)"
    r"[^\n:]{0,40}[:=-] ?((?:[a-z]{3,8}[ ,]{1,2}){11,23}[a-z]{3,8})"
)

_NAME = (
    r"(?:api[ _-]?keys?|x-api-key|apikey|access[ _-]?(?:keys?|tokens?)|secret[ _-]?(?:access[ _-]?)?keys?|(?:auth|bearer|bot|refresh|session|personal access|id|csrf|service|deploy)[ _-]?tokens?"
    r"|(?:client|api)[ _-]?secret|(?:app|webhook|signing|shared|consumer)[ _-]?(?:signing[ _-]?)?secret|private[ _-]?key|account[ _-]?key|encryption[ _-]?key|license[ _-]?key|auth[ _-]?key"
    r"|tokens?|secrets?|segredos?|credentials?|credenciais|credencial|chaves?|keys?|bearer|authorization|chave de (?:acesso|api)|token de acesso|sid)"
)
_NAMED = re.compile(
    rf"(?<![a-z0-9]){_NAME}(?![a-z0-9])(?P<between>(?:[\"']?\s{{0,2}}(?:[:=]{{1,2}}>?|=>|\bis\b|\be\b|\bsao\b|\beh\b|\bare\b)\s{{0,2}}|[^\n]{{0,44}}?[\s:=\"'(]))"
    r"(?:bearer |basic |token )?[\"'`(<]?(?P<value>[\w+/=.~!@#$%^&*-]{16,400})"
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAMES = heads("api", "apikey", "key", "keys", "token", "secret", "segredo", "credential", "credencial", "chave", "bearer",
               "authorization", "access", "client", "auth", "private", "account") | {"to", "auth"}  # fmt: skip
_HASH = words(
    r"commit", r"sha-?(?:1|224|256|384|512)?", r"md5", r"hash(?:es)?", r"checksum", r"etag", r"digest", r"uuid", r"integrity",
    r"revision", r"public", r"publica", r"trace", r"request", r"fingerprint", r"blob", r"tree", r"campaign", r"address",
)  # fmt: skip


def find_keys(seen: Folded) -> Iterator[Span]:
    """Keys of known shapes, private key blocks, and random values next to a word that names a secret."""
    plain = seen.plain
    if "-----BEGIN" in plain or "PuTTY" in plain:
        yield from _blocks(plain)
    if {"seed", "reco", "mnem", "fras", "pala"} & seen.heads:
        for match in _SEED.finditer(seen.low):
            yield Span(match.start(1), match.end(1), "private_key")
    long = False
    for token in _LONG.finditer(plain):
        long = True
        for match in _SHAPES.finditer(plain, token.start(), token.end()):
            value = match.group()
            if not _NO_KEY.search(value) and _varied(value):
                yield Span(match.start(), match.start() + len(value.rstrip(".:/~-")), "api_key")
    if long or (_NAMES & seen.heads and seen.has_digits):
        yield from _named(seen)


def _blocks(plain: str) -> Iterator[Span]:
    for match in _BLOCK.finditer(plain):
        end = _BLOCK_END.search(plain, match.end(), match.end() + 20_000)
        yield Span(match.start(), end.end() if end else min(len(plain), match.end() + 64), "private_key")
    for match in _PUTTY.finditer(plain):
        yield Span(match.start(), match.end(), "private_key")


def _named(seen: Folded) -> Iterator[Span]:
    """Random values of 16 characters and more after "token", "chave", "API_KEY=" …"""
    for match in _NAMED.finditer(seen.low):
        start, end = match.span("value")
        value = seen.plain[start:end].rstrip(".,;:!?\"'")
        if _random(value) and not _NO_KEY.search(value.lower()) and not _NO_KEY.search(value):
            around = before(seen.low, start, 30)
            if "-----" in match.group("between"):
                continue  # the body of a public key or a certificate
            if _HASH.search(match.group("between")) or (_HASH.search(around) and "=" not in around):
                continue
            if _UUID.fullmatch(value.lower()) and "pix" in seen.low[max(0, start - 60) : end + 30]:
                continue  # a random payment key: a bank's matter
            yield Span(start, start + len(value), "api_key")


def _random(value: str) -> bool:
    """Whether ``value`` looks drawn by lot: digits and letters mixed, few repeats, no path, call or words."""
    if len(value) < 16 or re.search(r"[(){}\[\]<>\s$]|://|^[\d.,:/-]+$", value):
        return False
    if _UUID.fullmatch(value.lower()):
        return True
    digits = sum(c.isdigit() for c in value)
    if digits < 4 and re.search(r"\w\.\w+\.\w", value):  # os.environ.get
        return False
    parts = re.split(r"[_.-]", value)
    if all(re.fullmatch(r"[A-Za-z]+|\d+", part) for part in parts):  # words and counts: a name in code
        return False
    letters = sum(c.isalpha() for c in value)
    # words in camelCase are two fifths vowels, letters drawn by lot one fifth
    vowels = sum(c in "aeiouAEIOU" for c in value)
    turns = sum(a.isupper() != b.isupper() for a, b in pairwise(value) if a.isalpha() and b.isalpha())
    drawn = digits >= 2 or (vowels * 10 < letters * 3 and turns * 6 >= len(value))
    return letters >= 3 and drawn and _entropy(value) >= 3.0


def _varied(value: str) -> bool:
    return len(set(value)) >= 10


def _entropy(value: str) -> float:
    """Bits a character by the value's own frequencies: 16 random hexadecimal digits have about 3.3."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values())
