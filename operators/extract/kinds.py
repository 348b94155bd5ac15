"""Type of a statement after PREMem: factual, experiential (events, acts) or subjective."""
# ruff: noqa: E501 - a pattern reads best on one line

import re

FACTUAL, EXPERIENTIAL, SUBJECTIVE = "factual", "experiential", "subjective"

_FEELING = re.compile(
    r"\b(?:love|loved|like|enjoy(?:ed)?|hate[ds]?|dislike|adore|prefer|favou?rite|feel|felt|feeling|happy|sad|excited|"
    r"proud|scared|afraid|worried|anxious|nervous|grateful|thankful|thrilled|upset|angry|lonely|stressed|tired|"
    r"think|believe|opinion|hope|hoping|wish|miss|regret|appreciate|can['’]t stand|can['’]t wait|looking forward|"
    r"amazing|awesome|wonderful|beautiful|terrible|awful|horrible|fantastic|inspiring|overwhelm\w*|frustrat\w*|"
    r"interested in|passionate|fond of|keen on|into)\b",
    re.IGNORECASE,
)
_SELF = re.compile(r"\b(?:I|i|[Mm]y|[Ww]e|[Mm]e|I['’]m)\b")
_EVENT = re.compile(
    r"\b(?:I|i|[Ww]e)(?:['’](?:ve|m|re|d))?(?:\s+(?:just|also|recently|finally|actually|really|even|already|have|had|am|are|"
    r"was|were|been|then|both|got to))*\s+(?:went|got|took|made|saw|met|said|told|gave|found|bought|left|began|ran|won|"
    r"lost|ate|wrote|spent|built|brought|taught|heard|held|kept|came|had|did|read|flew|drove|rode|swam|sang|"
    r"gone|seen|done|given|taken|written|\w{2,}ed|\w{2,}ing)\b"
)
_FEELING_VERB = re.compile(
    r"\b(?:loving|feeling|thinking|hoping|enjoying|loved|felt|enjoyed|hated|missed)\b"
)


def kind_of(text: str) -> str:
    """Kind of the original wording: subjective needs a speaker who feels, experiential one who acts."""
    if _SELF.search(text) is None:
        return FACTUAL
    event = _EVENT.search(text)
    if event and not _FEELING_VERB.search(event.group()):
        return EXPERIENTIAL
    return SUBJECTIVE if _FEELING.search(text) else FACTUAL
