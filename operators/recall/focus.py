"""What a question is about, without the request around it."""

import re

_ONLY = r"(?:^|(?<=[.?!]))\s*(?:please\s+)?(?:mention|list|name|include|give|answer|use)\b"
_ASKING = r"(?:(?:can|could|would|will) you\s+)?(?:please\s+)?"
_VERB = (
    r"(?:list|give me|provide(?: me with)?|walk me through|tell me|remind me(?: of)?|recap|"
    r"summari[sz]e|outline|describe)"
)
_SAID = (
    r"(?:brought up|bring up|mention(?:ed)?|discuss(?:ed)?|talk(?:ed)? about|raised?|said|say|"
    r"told you(?: about)?|tell you(?: about)?|asked(?: you)?(?: about)?|ask(?: you)?(?: about)?)"
)
_TALKS = r"(?:conversations?|chats?|sessions?|discussions?|messages)"
_OUR = r"(?:all|of|our|my|the|these|those|this|past|previous|earlier|recent)"
_FRAMES = (
    rf"{_ONLY}[^.?!]*\bonly\b[^.?!]*[.?!]?",
    rf"^\s*{_ASKING}{_VERB}\b",
    r"\b(?:an?|the)\s+(?:\w+\s+)?(?:summary|overview|recap)\s+of\b",
    r"\bthe order in which\b",
    r",?\s*\bin (?:the )?(?:\w+ )?order\b(?=\s*(?:[.,?!]|$))",
    rf"\b(?:did|do|have|had)\s+I\s+(?:ever\s+)?{_SAID}\b",
    rf"\bI(?:'ve| have| had)?\s+{_SAID}\b",
    r"\b(?:different|various|several)\s+(?:aspects|sides|points|topics)\s+of\b",
    rf"\b(?:throughout|across|over|during|in|from|based on)\s+(?:{_OUR}\s+){{1,3}}{_TALKS}\b",
)
_FRAME = re.compile("|".join(_FRAMES), re.IGNORECASE)
_LEFT = re.compile(r"\w{3,}")


def focus(question: str) -> str:
    """The question without its frame: who should answer how, and that something was said.

    "Can you list the order in which I brought up my trips in our chats?" is about "my trips";
    the other words are rare in any conversation and would decide the search. A question that
    is all frame is given back as it is.
    """
    rest = " ".join(_FRAME.sub(" ", question).split()).strip(" ,")
    return rest if _LEFT.search(rest) else question
