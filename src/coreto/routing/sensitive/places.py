"""Where people live: street addresses, postal codes, coordinates; and when they were born."""

import re
from collections.abc import Iterator

from coreto.routing.sensitive.context import after, before, heads, words
from coreto.routing.sensitive.folding import Folded
from coreto.routing.sensitive.people import people_in, points_to_person
from coreto.routing.sensitive.spans import Span

_STOP = (
    r"(?!(?:abre|fica|em|as|para|pra|com|que|foi|tem|esta|ate|por|na|no|nos|nas|is|was|the|at|in|on|and|mais|tinha|teve|fechou|ou|or|quando|desde"
    r"|between|from|to|has|closed|vai|ao|depois|antes|onde|sem|sob|sobre|entre|custa|mede)\b)"
)
_NUMBER = r"(?:\s?,?\s?(?:-\s?)?(?:n[o.]{0,2}|numero|num\.?|number|no\.?|#)\s?|\s?,\s?|\s)(?P<n>\d{1,5})[a-z]?(?![\w%]|[.,:/]\d|\s?(?:h|horas|anos|km|m2|metros|reais|pessoas|lojas|predios|andares|years|people|de (?:jan|fev|mar|abr|mai|jun|jul|ago|set|out|nov|dez)))"
_STREET_FIRST = re.compile(
    rf"(?<![a-z0-9])(?:rua|r\.|av\.?|avenida|travessa|trav\.?|tv\.|alameda|al\.|praca|pca\.?|rodovia|estrada|largo|ladeira|beco|viela|vila|servidao|calle|c/|via|viale|rue|carrer|paseo|avenue)\s"
    rf"(?:\d{{1,2}} de )?{_STOP}[a-z0-9][\w'.]*(?: {_STOP}[\w'.]+){{0,6}}?{_NUMBER}"
)
_SUFFIX = r"(?:street|avenue|road|lane|boulevard|drive|terrace|crescent|parkway|highway|gardens|grove|mews)"
_SUFFIX_CAPITAL = r"(?:St|Ave|Rd|Ln|Dr|Close|Court|Ct|Way|Blvd|Place|Pl|Cres|Square|Sq|Hill|Row|Pkwy|Hwy|Circle|Cir|Trail|Walk|Park|Street|Avenue|Road|Lane|Drive|Boulevard|Terrace|Crescent|Gardens|Grove|Mews|View|Rise|Loop)"
_NUMBER_FIRST = re.compile(
    rf"(?<![\w.,/-])\d{{1,5}}[a-z]?,? (?:[nsew]\.? )?(?:[a-z][\w'.]* ){{1,3}}?{_SUFFIX}(?![a-z])"
)
_NUMBER_FIRST_CAPITAL = re.compile(
    rf"(?<![\w.,/-])\d{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:[A-Z][\w'.]* ){{1,3}}?{_SUFFIX_CAPITAL}(?![A-Za-z])"
)
_FRENCH = re.compile(
    r"(?<![\w.,/-])\d{1,4},?(?: bis| ter)? (?:rue|avenue|boulevard|place|impasse|chemin|quai) (?:de la |de l'|de |des |du |d')?[a-z]{3,}"
)
_GERMAN = re.compile(
    r"(?<![a-z])[a-z]{3,24}(?:strasse|str\.|weg|platz|gasse|allee|straat|laan) \d{1,4}[a-z]?(?![\w:])"
)
_BLOCKS = re.compile(
    r"(?<![a-z])(?:quadra|qd\.?|sq[ns]|scl[ns]|qn[a-z]?|setor [a-z]+,? quadra)\s?\d+\w?,?\s?-?\s?(?:lote|lt\.?|conjunto|conj\.?|casa|bloco|bl\.?)\s?[a-z0-9]{1,4}(?:,?\s?(?:casa|apto?\.?|apartamento|lote)\s?\d+)?"
)
_BUILDING = re.compile(
    r"(?<![a-z])(?:edificio|ed\.|condominio|cond\.|residencial|conjunto) [a-z][^\n;]{1,40}?(?<![a-z])(?:apto?\.?|apartamento|ap\.|bloco|torre|casa|unidade) ?\d+\w?"
)
_FLAT = re.compile(
    r"(?<![a-z])(?:flat|apartment|apt\.?|unit|suite) [0-9]{1,4}[a-z]?,? (?:[a-z][\w']* ){1,3}(?:house|court|building|tower|towers|mansions|place)(?![a-z])"
)
_PO_BOX = re.compile(r"(?<![a-z])(?:p\.? ?o\.? box|caixa postal) \d{1,6}")
_CEP = re.compile(r"(?<![\w.,/-])\d{2}\.?\d{3}-\d{3}(?![\w-]|[.,/]\d)")
_CEP_NAMED = re.compile(
    r"(?<![a-z])(?:cep|codigo postal|zip(?: code)?|postcode)(?: (?:e|is|do|da|dele|dela|novo|meu|minha|casa|de|my|:)){0,4}[ :=#]{0,3}(?P<code>\d{2}\.?\d{3}-?\d{3}|\d{5}(?:-\d{4})?|[a-z]{1,2}\d[a-z0-9]? ?\d[a-z]{2})(?![\w-])"
)
_STEMS = heads(
    "rua", "av", "avenida", "travessa", "trav", "tv", "alameda", "al", "praca", "rodovia", "estrada", "largo", "ladeira", "beco", "viela", "vila",
    "calle", "via", "rue", "street", "avenue", "road", "lane", "boulevard", "drive", "terrace", "crescent", "st", "ave", "rd", "ln", "dr", "close",
    "court", "ct", "way", "blvd", "place", "pl", "square", "sq", "hill", "row", "quadra", "qd", "edificio", "ed", "condominio", "cond", "flat",
    "apartment", "apt", "unit", "suite", "box", "cep", "zip", "postcode", "codigo", "parkway", "highway", "gardens", "grove", "mews", "caixa", "quai",
    "paseo", "residencial", "servidao", "hwy", "trail", "walk", "circle", "park", "view", "cres", "sqn", "sqs", "impasse", "chemin", "carrer", "pca",
    "viale", "conjunto", "rise", "loop", "pkwy", "cir",
)  # fmt: skip
_PUBLIC = words(
    r"museus?", r"museum", r"masp", r"lojas?", r"shop", r"stores?", r"restaurantes?", r"restaurants?", r"hotel", r"hospital", r"prefeitura", r"sede",
    r"matriz", r"headquarters", r"head office", r"offices?", r"teatro", r"theat(?:er|re)", r"shopping", r"cinema", r"biblioteca", r"library", r"estacao",
    r"station", r"embaixada", r"embassy", r"consulad[oa]", r"consulate", r"company", r"empresa", r"escritorio", r"bar", r"cafe", r"padaria", r"bakery",
    r"igreja", r"church", r"university", r"universidade", r"holmes", r"white house", r"gallery", r"galeria", r"stadium", r"estadio", r"landmark", r"feira",
    r"cartorio", r"detran", r"poupatempo", r"court ?house", r"city hall", r"showroom", r"venue", r"evento", r"event",
)  # fmt: skip
_HOME = words(
    r"mor[oa]", r"moram", r"moramos", r"minha casa", r"meu (?:endereco|apartamento|predio|apto)", r"entreg\w*", r"deliver\w*", r"ship", r"lives?", r"living",
    r"home", r"house", r"apto?\.?", r"apartamento", r"apt\.?", r"flat", r"bloco", r"casa", r"clientes?", r"client", r"customer", r"me busca", r"buscar?",
    r"pick (?:me|her|him|them)? ?up", r"dele", r"dela", r"his", r"her", r"residen\w+", r"endereco", r"address", r"mand[oae]r?", r"envi\w+", r"send",
    r"interfone", r"leave", r"parcel", r"package", r"encomenda", r"fundos", r"portaria", r"resid[eo]", r"mudei", r"moved", r"moving",
)  # fmt: skip
_FAMOUS = re.compile(
    r"221b baker|10 downing|1600 pennsylvania|paulista,? 1578|avenida paulista,? (?:no?\.? )?1578|742 evergreen|4 privet|12 grimmauld|1 infinite loop|amphitheatre parkway|1 hacker way|sesame street|350 fifth avenue"
)
_PAIR = re.compile(r"(?<![\w.])(-?\d{1,2}\.\d{3,8}) ?[,;/ ] ?(-?\d{1,3}\.\d{3,8})(?![\w.]\d|\w)")
_LAT_LON = re.compile(
    r"(?<![a-z])lat(?:itude)?[ :=]{1,3}-?\d{1,2}\.\d{2,8}[^\n]{1,20}?lon(?:g|gitude)?[ :=]{1,3}-?\d{1,3}\.\d{2,8}"
)
_DEGREES = re.compile(
    r"\d{1,2}°\s?\d{1,2}'[\d.\s\"']{0,8}[nsNS][,\s]{1,3}\d{1,3}°\s?\d{1,2}'[\d.\s\"']{0,8}[ewoEWO]"
)
_SOMEBODYS = words(
    r"his", r"her", r"hers", r"my", r"our", r"their", r"she", r"he", r"we", r"i", r"ela", r"ele", r"dele", r"dela", r"meu", r"minha", r"nossa", r"moro", r"mora",
    r"casa", r"home", r"house", r"lives?", r"filh[oa]s?", r"celular", r"estou", r"esposa", r"marido", r"apartment", r"flat",
)  # fmt: skip
_MONTH = r"(?:jan|fev|feb|mar|abr|apr|mai|may|jun|jul|ago|aug|set|sep|out|oct|nov|dez|dec)[a-z]{0,7}\.?"
_DATE = re.compile(
    rf"(?<![\w/.-])(?:\d{{1,2}}[/.-]\d{{1,2}}[/.-](?:19|20)?\d{{2}}|(?:19|20)\d{{2}}[/.-]\d{{1,2}}[/.-]\d{{1,2}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|o)?(?: de| of)? {_MONTH}(?: de|,)? (?:19|20)\d{{2}}|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d{{2}})(?![\w/-])"
)
_BORN = words(
    r"nascid[oa]s?", r"nasceu", r"nasci", r"nascimento", r"d\.?n\.?", r"dob", r"d\.o\.b\.?", r"date of birth", r"birth ?dates?", r"birthday", r"born", r"born on",
    r"aniversario", r"dt\.? nasc\.?", r"nasc\.?", r"nacimiento", r"data nasc\.?",
)  # fmt: skip
_BORN_STEMS = heads("nascido", "nascida", "nasceu", "nasci", "nascimento", "dn", "dob", "birth", "birthday", "birthdate", "born", "aniversario", "nasc",
                    "nacimiento")  # fmt: skip
_COMPANY_BORN = words(
    r"empresa",
    r"company",
    r"fundad[oa]",
    r"founded",
    r"cidade",
    r"city",
    r"loja",
    r"store",
    r"marca",
    r"brand",
    r"banda",
    r"band",
    r"startup",
)


def find_places(seen: Folded) -> Iterator[Span]:
    """Street addresses of people, postal codes with their name, coordinates of somebody."""
    if not seen.has_digits:
        return
    if (
        _STEMS & seen.heads
        or "strasse" in seen.low
        or "str." in seen.low
        or "weg " in seen.low
        or "r." in seen.low
    ):
        yield from _addresses(seen)
    if "." in seen.plain or "°" in seen.plain:
        yield from _coordinates(seen)
    if _BORN_STEMS & seen.heads:
        yield from _births(seen)


def _addresses(seen: Folded) -> Iterator[Span]:
    low = seen.low
    found = False
    for pattern in (_STREET_FIRST, _NUMBER_FIRST, _FRENCH, _GERMAN, _BLOCKS, _BUILDING, _FLAT, _PO_BOX):
        for match in pattern.finditer(low):
            if _is_home(seen, match):
                found = True
                yield Span(match.start(), match.end(), "address")
    for match in _NUMBER_FIRST_CAPITAL.finditer(seen.plain):
        if _is_home(seen, match):
            found = True
            yield Span(match.start(), match.end(), "address")
    for match in _CEP_NAMED.finditer(low):
        code = match.start("code")
        personal = found or _HOME.search(before(low, code, 60) + after(low, match.end(), 40)) is not None
        if match.group().startswith("cep") or personal:
            yield Span(code, match.end("code"), "cep")
        if personal and re.search(r"(?:numero|n\.?o?\.?|casa|number) ?\d{1,5}", after(low, match.end(), 24)):
            yield Span(
                match.end("code"), match.end("code") + len(after(low, match.end(), 16).rstrip()), "address"
            )
    if found:
        for match in _CEP.finditer(low):
            yield Span(match.start(), match.end(), "cep")


def _is_home(seen: Folded, match: re.Match[str]) -> bool:
    """Whether it is somebody's address and not that of a museum or of a detective in a novel."""
    around = before(seen.low, match.start(), 80) + " | " + after(seen.low, match.end(), 60)
    written = match.group().lower()
    if _FAMOUS.search(written + after(seen.low, match.end(), 20)):
        return False
    return _PUBLIC.search(around) is None or _HOME.search(written + around) is not None


def _coordinates(seen: Folded) -> Iterator[Span]:
    for pattern, text in ((_PAIR, seen.plain), (_LAT_LON, seen.low), (_DEGREES, seen.plain)):
        for match in pattern.finditer(text):
            if pattern is _PAIR and not (
                abs(float(match.group(1))) <= 90 and abs(float(match.group(2))) <= 180
            ):
                continue
            around = before(seen.low, match.start(), 80) + " | " + after(seen.low, match.end(), 60)
            if _SOMEBODYS.search(around) or points_to_person(seen, match.start(), match.end()):
                yield Span(match.start(), match.end(), "geo")


def _births(seen: Folded) -> Iterator[Span]:
    for match in _DATE.finditer(seen.low):
        left, right = before(seen.low, match.start(), 60), after(seen.low, match.end(), 40)
        if not _BORN.search(left) and not re.search(r"(?:birthday|aniversario|dob|nascimento)", right):
            continue
        if _COMPANY_BORN.search(left):
            continue
        sentence = slice(max(0, match.start() - 80), match.end() + 60)
        people = people_in(seen.plain[sentence], seen.low[sentence])
        bare = (
            re.search(r"(?:dob|birth|nasc\w*|d\.n\.?)[^a-z]{0,4}$", left.replace("nascimento", "nasc"))
            is not None
        )
        formal = re.search(r"(?:dob|date of birth|nascimento|birthdate|nasc\.)", left) is not None
        named = (
            re.search(
                r"[A-Z][a-z]+,? (?:was )?born (?:on )?$",
                seen.plain[max(0, match.start() - 40) : match.start()],
            )
            is not None
        )
        if people.any or bare or formal or named or "nascid" in left:
            yield Span(match.start(), match.end(), "birthdate")
