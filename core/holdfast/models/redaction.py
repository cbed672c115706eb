"""Masks personal data that has a form of its own, before it is stored or sent to a model.

    Memory(redactor=PersonalDataRedactor())       # needs the extra `privacy`

Found by form and check digit, on this machine: e-mail addresses, phone numbers (libphonenumber's rules, by
the phonenumbers library), payment cards, IBANs, Chinese identity card numbers (身份证), US social security
numbers (python-stdnum), and IP addresses. Names, addresses and what people say about themselves have no such
form and stay: without them there would be nothing to remember.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

from ..errors import InputError

Kind = Literal["email", "iban", "id", "ssn", "card", "ip", "phone"]
KINDS: tuple[Kind, ...] = get_args(Kind)  # if two overlap, the one listed first here is meant

Span = tuple[int, int]

# Python's \b sees no boundary between 是 and 1, nor does Chinese put a space there: boundaries are ASCII's.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}(?![A-Za-z0-9])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){2,8}", re.ASCII)
_ID = re.compile(r"(?<![A-Za-z0-9])\d{17}[\dXx](?![A-Za-z0-9])", re.ASCII)
_SSN = re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])", re.ASCII)
_CARD = re.compile(r"(?<![A-Za-z0-9])[2-6]\d{3}(?:[ -]?\d){9,15}(?![A-Za-z0-9])", re.ASCII)
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]*\d)", re.ASCII)
# With a digit and (below) at least six characters: a::b is code more often than an address.
_IPV6 = re.compile(
    r"(?<![A-Za-z0-9:.])(?=[A-Fa-f:]*\d)(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![A-Za-z0-9:])"
)
_FOUND = "|"  # stands for what is found already; no pattern matches it, and no phone number spans it
# Unicode's Default_Ignorable_Code_Point: what is not seen separates nothing.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class PersonalDataRedactor:
    """Replaces each find by its kind in brackets: "Call [phone] or write to [email]".

    kinds: which to look for; all by default.
    regions: ISO codes of the countries whose phone numbers are known without a country code. Numbers that
        begin with + are known everywhere. Every further region makes it likelier to take another number for one.
    mask: makes the replacement from the kind and the text found, for instance for pseudonyms.

    Raises InputError for unknown kinds or regions, and if the extra `privacy` is not installed.
    """

    def __init__(
        self,
        *,
        kinds: Iterable[Kind] = KINDS,
        regions: Sequence[str] = ("US", "GB", "CN"),
        mask: Callable[[Kind, str], str] = lambda kind, found: f"[{kind}]",
    ) -> None:
        wanted = frozenset(kinds)
        if unknown := wanted - frozenset(KINDS):
            raise InputError(f"kinds={sorted(unknown)}: choose among {', '.join(KINDS)}")
        phonenumbers = _libraries()
        if unknown_regions := set(regions) - phonenumbers.SUPPORTED_REGIONS:
            raise InputError(f"regions={sorted(unknown_regions)}: give ISO codes such as US, GB, CN")
        self._kinds = tuple(kind for kind in KINDS if kind in wanted)
        self._regions = tuple(regions)
        self._mask = mask

    def redact(self, text: str) -> str:
        """The text with what was found replaced; the same text if nothing was."""
        plain, places = _seen(text)
        found: list[tuple[Span, Kind]] = []
        while True:
            # A find becomes a boundary and may reveal what it touched: look until nothing is new.
            before = len(found)
            for kind in self._kinds:
                for start, end in list(self._spans(kind, plain)):
                    if _FOUND not in plain[start:end]:
                        found.append(((start, end), kind))
                        plain = plain[:start] + _FOUND * (end - start) + plain[end:]
            if len(found) == before:
                spans = [((places[start], places[end - 1] + 1), kind) for (start, end), kind in found]
                return _replaced(text, sorted(spans), self._mask)

    def _spans(self, kind: Kind, text: str) -> Iterator[Span]:
        match kind:
            case "email":
                return (match.span() for match in _EMAIL.finditer(text))
            case "iban":
                return _ibans(text)
            case "id":
                return _numbers(text, _ID, "stdnum.cn.ric")
            case "ssn":
                return _numbers(text, _SSN, "stdnum.us.ssn")
            case "card":
                return _numbers(text, _CARD, "stdnum.luhn")
            case "ip":
                return _addresses(text)
            case "phone":
                return _phones(text, self._regions)


def _seen(text: str) -> tuple[str, Sequence[int]]:
    """A text as it is read, character by character: without what is not seen, and in ASCII where possible (１＠Ａ as
    people type them in Chinese, digits of any script). And the place of each character in the text."""
    if text.isascii():
        return text, range(len(text))
    places = [at for at, character in enumerate(text) if not _UNSEEN.match(character)]
    return "".join(_ascii(text[at]) for at in places), places


@lru_cache(4096)
def _ascii(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    plain = unicodedata.normalize("NFKC", character) if digit is None else str(digit)
    return plain if len(plain) == 1 and plain.isascii() else character


def _libraries() -> Any:
    try:
        import phonenumbers
        import stdnum  # noqa: F401
    except ImportError as error:
        raise InputError(
            "PersonalDataRedactor needs phonenumbers and python-stdnum: pip install 'holdfast[privacy]'"
        ) from error
    return phonenumbers


def _numbers(text: str, pattern: re.Pattern[str], module: str) -> Iterator[Span]:
    """Numbers of a pattern whose check digits (and dates and places, if they contain any) are right."""
    from importlib import import_module

    is_valid = import_module(module).is_valid
    for match in pattern.finditer(text):
        if is_valid(re.sub("[ -]", "", match.group())):
            yield match.span()


def _ibans(text: str) -> Iterator[Span]:
    from stdnum import iban

    for match in _IBAN.finditer(text):
        candidate = match.group()
        while len(candidate) >= 15:  # Norway's, the shortest
            if iban.is_valid(candidate):
                yield match.start(), match.start() + len(candidate)
                break
            # The pattern matched words after it, too: "DE89 … 00 IS MINE".
            candidate = candidate.rpartition(" ")[0]


def _addresses(text: str) -> Iterator[Span]:
    for match in (*_IPV4.finditer(text), *_IPV6.finditer(text)):
        if len(match.group()) >= 6 and _is_address(match.group()):
            yield match.span()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    if sum(map(str.isdigit, text)) < 7:
        return
    for region in (None, *regions):
        for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
            yield match.start, match.end


def _replaced(text: str, found: Sequence[tuple[Span, Kind]], mask: Callable[[Kind, str], str]) -> str:
    parts: list[str] = []
    position = 0
    for (start, end), kind in found:
        parts += (text[position:start], mask(kind, text[start:end]))
        position = end
    return "".join((*parts, text[position:]))
