"""Which sentences may tell something lasting of a person: what is worth asking a model about.

A net by words, made to lose little: it lets through what people like, do regularly, are and
have, and whom they know. What it keeps out are questions, praise, plans and small talk, three
quarters of a chat.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re

from operators.personas.habit_patterns import ACTIVITIES
from operators.personas.relations import RELATION_WORDS

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”)]*\s+|\n+")
_PICTURE = re.compile(r"\[[^\]\n]*\]")
_TASTE = re.compile(
    r"\b(?:lov(?:e|es|ed|ing)|likes|liked|like(?= (?:to\b|\w+ing\b))|enjoy\w*|ador(?:e|es|ed)|prefers?|favou?rite|fan of|(?:is|am|'m|are) (?:really |so |super |also )?(?:into|keen on|fond of)|got into|"
    r"passion\w*|obsess\w*|interested in|hates?|hated|dislik\w*|despis\w*|can(?:['’]t|not) stand|addicted|hobb(?:y|ies)|(?:fun|great|good|nice|best) way to|"
    r"therapeutic|calming|relax(?:es|ing)?|de-?stress\w*|destress)\b",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(
    r"\b(?:liv(?:e|es|ed|ing) (?:in|with|alone|near|by)|mov(?:e|ed|ing) (?:to|from|in|out)|relocat\w+|from (?=[A-Z])|born|birthday|home ?(?:town|country|city)|roots|grew up|raised|"
    r"years old|year-old|turned \d+|aged?|works? (?:at|for|as|in)|working (?:at|for|as|in)|job|career|employ\w+|compan(?:y|ies)|business|boss|promot\w+|hired|fired|laid off|retired|"
    r"stud(?:y|ies|ied|ying)|school|college|universit\w+|degree|majors?|majored|graduat\w+|student|teacher|nurse|engineer|manager|director|lawyer|doctor|chef|"
    r"single|married|marriage|engaged|divorc\w+|widow\w*|dating|wedding|pregnant|transgender|trans|gay|lesbian|queer|bi|religio\w*|christian|muslim|jewish|church|"
    r"dogs?|cats?|pup(?:py|pies)?|kittens?|pets?|rabbit|guinea pig|turtles?|allerg\w+|lactose|dairy|gluten|(?:can['’]t|cannot) (?:have|eat|drink)|intoleran\w+|diabet\w+|asthma\w*|vegan|vegetarian|diet|drives|bought a (?:new )?(?:car|house)|"
    r"speaks|fluent|bilingual|languages?|member of|belongs to|owns?|adopted|instruments?|diagnosed|personality|shy|introvert\w*|extrovert\w*|afraid of|scared of|phobia)\b",
    re.IGNORECASE,
)
_HABIT = re.compile(
    r"\b(?:(?:every|each|most) (?:single |other )?(?:day|night|morning|evening|afternoon|week|weekend|month|year|summer|winter|spring|fall|autumn|\w+day)s?|daily|weekly|regular\w*|usually|often|always|normally|typically|"
    r"(?:once|twice|times) (?:a|per)|on (?:weekends|weekdays|\w+days)|routines?|habits?|tradition\w*|practi[cs]\w+|classes|lessons|"
    r"(?:has|have|is|just|been|I|we) (?:\w+ )?(?:started|taken up|begun|stopped|quit|given up)|took up|started (?=\w+ing)|gave up|for (?:a |over |almost |about )?(?:\w+ )?years|years now|(?:since|as) a (?:kid|child)|since \w+ was|volunteer\w*|learning)\b",
    re.IGNORECASE,
)
_DEED = re.compile(
    rf"\b(?:play(?:s|ed|ing) (?!with|a part)|went \w+ing|goes \w+ing|{'|'.join(sorted(ACTIVITIES))})\b"
)
_RELATION = re.compile(
    rf"(?:['’]s|\bmy|\bour|\bher|\bhis) (?:\w+ ){{0,2}}?(?:{RELATION_WORDS}|kids?|children|famil(?:y|ies)|parents|friends)\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:would|could|should|might|if|hop(?:e|es|ing)|wish\w*|want\w*|plan\w*|imagin\w*|gonna|can['’]?t wait|let['’]s|looking forward|congrat\w*|sounds|looks like|glad)\b|['’](?:ll|d)\b",
    re.IGNORECASE,
)
_SELF = re.compile(r"\b(?:I|[Ww]e|[Oo]ur|[Mm]y|[Uu]s)\b")

_WEIGHTS = ((_ATTRIBUTE, 3), (_TASTE, 3), (_HABIT, 2), (_RELATION, 2), (_DEED, 2))
_NEEDED = 2


def telling(text: str, speaker: str) -> tuple[str, int]:
    """The sentences of a statement that may tell of its speaker, and how much they promise.

    ("", 0) where there is none. A sentence that only supposes, thanks or praises is left out.

    >>> telling("Ann: What a day! Ann loves jazz. Does Ben like it?", "Ann")
    ('Ann loves jazz.', 3)
    """
    plain = _PICTURE.sub("", text).removeprefix(f"{speaker}: ").strip()
    kept: list[str] = []
    best = 0
    for sentence in _SENTENCE.split(plain):
        score = _score(sentence, speaker)
        if score >= _NEEDED:
            kept.append(sentence)
            best = max(best, score)
    told = " ".join(kept)
    if kept and speaker not in told:
        told = f"{speaker}: {told}"
    return told, best


def _score(sentence: str, speaker: str) -> int:
    if sentence.rstrip("\"'”) ").endswith("?"):
        return 0
    score = sum(weight for pattern, weight in _WEIGHTS if pattern.search(sentence))
    if _SUPPOSED.search(sentence):
        score -= 2
    if speaker not in sentence and _SELF.search(sentence) is None:
        score -= 3
    return score
