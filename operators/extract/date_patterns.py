"""Date expressions as patterns: the table of rules, compiled alone and together."""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from collections.abc import Callable
from datetime import date

from operators.extract import date_rules
from operators.extract.calendar_rules import WEEKDAYS, Span

Rule = Callable[[re.Match[str], date, int], "Span | None"]

_NUMBER = r"\d{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_VAGUE = r"(?:a )?few|several|a couple(?: of)?|couple(?: of)?|some|many"
_MONTH = (
    r"january|february|(?-i:March|May)|april|june|july|august|september|october|november|december|"
    r"(?-i:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)"
)
_DOW = "|".join(WEEKDAYS) + r"|(?-i:Mon|Tues|Tue|Weds|Wed|Thurs|Thur|Thu|Fri|Sat|Sun)"
_UNIT = r"day|night|week|fortnight|weekend|month|quarter|year|decade|hour|minute"
_SUFFIX = r"(?:st|nd|rd|th)"
_ON_A = rf"(?:(?P<dow>{_DOW}),? (?:the )?)?"  # of "Friday 3 May"
_NOT_DATED = rf"(?!,? (?:the )?[0-3]?\d{_SUFFIX}?(?: of)? (?:{_MONTH})\b|,? (?:{_MONTH}) \d|,? the \d{{1,2}}{_SUFFIX}\b)"
_ENDS = r"(?=\s*(?:[.,;:!?)]|$)|\s+(?:is|was|at|and|in|then|instead|or|but|not|now|with|we|I|because|if|so)\b)"
_PART = r"(?: (?:morning|afternoon|evening|night))?"
_WHICH = r"last|next|this past|this coming|this|the past|past|the coming|coming|the following|following|the previous"

_RULES: tuple[tuple[str, str, Rule], ...] = (
    ("iso", r"\b(?P<y>(?:1[89]|20)\d\d)-(?P<m>\d\d)-(?P<d>\d\d)\b", date_rules.iso),
    (
        "numeric",
        r"\b\d{1,2}/\d{1,2}/(?:\d{4}|\d\d)\b(?!/)|\b\d{1,2}\.\d{1,2}\.(?:19|20)\d\d\b",
        date_rules.numeric,
    ),
    (
        "dmy",
        rf"\b{_ON_A}(?P<d>[0-3]?\d){_SUFFIX}?(?: of)? (?P<mon>{_MONTH})\b(?:\.?,? (?P<y>(?:1[5-9]|20)\d\d)\b)?",
        date_rules.day_month,
    ),
    (
        "mdy",
        rf"\b{_ON_A}(?P<mon>{_MONTH})\.? (?:the )?(?P<d>[0-3]?\d){_SUFFIX}?\b(?![:%$])(?:,? (?P<y>(?:1[5-9]|20)\d\d)\b)?",
        date_rules.day_month,
    ),
    ("my", rf"\b(?P<mon>{_MONTH})\.?,? (?:of )?(?P<y>(?:1[5-9]|20)\d\d)\b", date_rules.month_year),
    (
        "month",
        rf"\b(?P<p>(?:back in|in|during|by|until|till|since|from|around|after|before|(?:beginning|start|middle|end) of|early|late|mid|this past|"
        rf"this coming|coming|this|last|next|past)(?: the (?:start|beginning|end|middle) of)?"
        rf"(?: early| late| mid)?[ -])(?P<mon>{_MONTH})\b(?! \d)",
        date_rules.month_alone,
    ),
    (
        "season",
        r"\b(?P<s>spring|summer|autumn|fall|winter)(?: of)? (?P<y>(?:19|20)\d\d)\b",
        date_rules.season_year,
    ),
    (
        "year",
        r"\b(?P<p>back in|in|since|during|from|by|until|before|after|of|early|late|mid)[ -](?P<y>(?:1[5-9]|20)\d\d)\b"
        r"(?![-–:/%]|\.\d| (?:people|words|dollars|steps|calories))",
        date_rules.year,
    ),
    (
        "ago",
        rf"\b(?P<n>{_VAGUE}|{_NUMBER})(?: long)? (?P<u>{_UNIT})s? (?:ago|back(?=[\s]*(?:[.,;!?)]|$)))",
        date_rules.ago,
    ),
    (
        "ahead",
        rf"\bin (?:about |around |just |only )?(?P<n>{_NUMBER}|a couple of) (?P<u>{_UNIT})s?\b"
        rf"(?!['’]s|-| of| or)(?:['’]? time\b)?",
        date_rules.ahead,
    ),
    (
        "from_now",
        rf"\b(?P<n>{_NUMBER}|a couple of) (?P<u>{_UNIT})s? from (?:now|today)\b",
        date_rules.ahead,
    ),
    ("before_last", r"\bthe (?P<u>week|weekend|month|year) before last\b", date_rules.before_last),
    (
        "stretch",
        rf"\b(?:the )?(?P<w>past|last|next|coming) (?:(?P<n>{_VAGUE}|{_NUMBER}) )?"
        rf"(?P<u>day|night|week|weekend|month|year|decade)s\b",
        date_rules.stretch,
    ),
    (
        "day",
        rf"\b(?:the )?(?:day before yesterday|day after tomorrow)|\b(?:yesterday{_PART}|last night|tonight|"
        rf"today|tomorrow{_PART}|this (?:morning|afternoon|evening))\b",
        date_rules.day_word,
    ),
    (
        "dow",
        rf"\b(?P<w>{_WHICH}|on|by|until|for|since) (?P<dow>{_DOW})\b(?!s){_NOT_DATED}{_PART}",
        date_rules.dow,
    ),
    (
        "unit",
        rf"\b(?<!my )(?<!your )(?<!his )(?<!her )(?<!our )(?<!their )(?P<w>{_WHICH}) (?P<u>week|weekend|month|quarter|year|spring|summer|autumn|fall|winter)\b(?!ly)",
        date_rules.unit_word,
    ),
    ("weekend", r"\b(?:over |on |at |during |for )the weekend\b(?! of)", date_rules.the_weekend),
    (
        "holiday",
        r"\b(?P<w>last|next|this past|this coming|this) (?P<h>christmas(?: eve| day)?|halloween|"
        r"valentine['’]?s(?: day)?|new year['’]?s?(?: eve| day)?)\b",
        date_rules.holiday,
    ),
    (
        "weekday_dom",
        rf"\b(?:on )?(?P<dow>{_DOW}),? the (?P<d>[0-3]?\d){_SUFFIX}\b(?! of)",
        date_rules.weekday_of_month,
    ),
    (
        "dom",
        rf"(?:\b(?:on|by|until|since) the|(?:(?<=\bnot )|(?<=, )|(?<=['’]s )|(?<=\bis )|(?<=\bto )|(?<=\bwas ))"
        rf"the(?= \d\d?{_SUFFIX}{_ENDS})) (?P<d>[0-3]?\d){_SUFFIX}\b(?! (?:of|floor|hole|page|anniversary|century|"
        rf"street|avenue|day|time|row|try|attempt|grade|birthday|place|season|step|lap|mile))",
        date_rules.day_of_month,
    ),
)

MONTHLY = frozenset({"dmy", "mdy", "my", "month"})
"""Rules whose expressions name a month, to which "the 14th" beside them belongs."""

ABSOLUTE = frozenset({"iso", "numeric", "dmy", "mdy", "my", "season"})
"""Rules whose expressions mean the same whoever says them: used for long assistant answers."""


def _any_of(names: frozenset[str]) -> re.Pattern[str]:
    """One pattern whose last group names the rule; the rule's own pattern then reads the parts."""
    options = (
        f"(?P<{name}>{re.sub(r'[(][?]P<[a-z]+>', '(?:', pattern)})"
        for name, pattern, _ in _RULES
        if name in names
    )
    return re.compile("|".join(options), re.IGNORECASE)


PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern, _ in _RULES}
HANDLERS = {name: rule for name, _, rule in _RULES}
ANY = _any_of(frozenset(HANDLERS))
ANY_ABSOLUTE = _any_of(ABSOLUTE)

# A sentence without one of these holds no expression: ten times cheaper than the full pattern.
HINT = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|tue|wed|thu|fri|sat|sun)|"
    r"tues|weds|thurs?|(?:day|night|week|weekend|fortnight|month|quarter|year|decade|hour|minute)s?|ago|"
    r"morning|afternoon|evening|jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|spring|summer|autumn|fall|winter|christmas|"
    r"halloween|valentine|new year|\d{4}|\d{1,2}(?:st|nd|rd|th)|\d{1,2}[/.]\d{1,2}[/.]\d+)",
    re.IGNORECASE,
)
HINT_ABSOLUTE = re.compile(
    r"\d{4}|\d[/.]\d|(?:st|nd|rd|th|of|\d) [A-Z][a-z]{2}|[A-Z][a-z]{2,8}\.?(?: the)? [0-3]?\d\b"
)
