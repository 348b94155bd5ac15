"""Which sentences say nothing worth remembering: greetings, thanks, laughter, agreement.

After the greeting filter of SuperLocalMemory's zero-LLM mode. It errs towards keeping: a
sentence goes only when each of its words is filler or a name of someone in the session.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re

from operators.extract.words import load_words

_MAX_CHARS = 80
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

_FILLER = load_words("filler_words.txt") | load_words("ack_words.txt")

# Some filler words carry no meaning alone but may together with others ("happy day"): a
# sentence of filler needs one of these, or to match a phrase below.
_STRONG = load_words("ack_words.txt")

_PHRASE = re.compile(
    r"(?:(?:hey|hi|hello|wow|oh|ok|okay|so|and|well|yeah|thanks|bye|great)[\s,!]*)?(?:"
    r"(?:how|hows|how's|how are|how have)\s+(?:are\s+)?(?:you|u|ya|it|things|everything|life)"
    r"(?:\s+(?:been|doing|going|today|lately|all))*"
    r"|what['’]?s (?:up|new|going on|happening)(?: with you)?|whats up|sup"
    r"|(?:it['’]?s |so |really )*(?:good|nice|great|lovely) (?:to )?(?:see|seeing|hear from|hearing from"
    r"|meet|meeting|talking to|chatting with|talk to|chat with) (?:you|u)(?: (?:again|too|both|all|today))?"
    r"|(?:talk|speak|see|catch|chat)(?: to| with)? (?:you|ya|u)(?: (?:soon|later|tomorrow|then|around|again))*"
    r"|take care(?: of yourself)?|have a (?:good|great|nice|lovely|wonderful) (?:one|day|night|evening|time|weekend)"
    r"|long time no (?:see|talk|chat)|no (?:problem|worries|prob|doubts?)|my pleasure|you too|same here"
    r"|not at all|don['’]t mention it|sounds (?:good|great|fun|amazing|awesome|like a plan)"
    r"|(?:i )?(?:totally|completely|fully|couldn['’]t)? ?agree(?: more| with you| completely)?"
    r"|keep (?:it up|up the (?:good|great|awesome) work)|good luck|best of luck|good for you|way to go|well done"
    r"|that['’]?s (?:so |really |just |super |very |pretty |absolutely )*(?:cool|nice|great|awesome|amazing|good|"
    r"wonderful|fantastic|lovely|sweet|incredible|brilliant|true|right|impressive|beautiful|inspiring)"
    r"|(?:i['’]m |so )*(?:glad|happy|great|good) to hear (?:it|that|from you)|i see|i understand|got it|of course"
    r"|(?:can['’]t|cannot) wait|is that (?:so|right)|anything else|go on|continue|more|next|please continue"
    r")(?:[\s,]+(?:so much|a lot|too|again|man|dude|guys|everyone|then|though|my friend|friend))*"
)


def is_noise(sentence: str, names: frozenset[str], min_words: int = 1) -> bool:
    """Whether `sentence` is filler; `names` are lower-case name words of the session's speakers."""
    if len(sentence) > _MAX_CHARS:
        return False
    words = _WORD.findall(sentence.lower().replace("’", "'"))
    if len(words) < min_words or not words:
        return not any(c.isalnum() for c in sentence) or len(words) < min_words
    rest = [w for w in words if not _is_name(w, names)]
    if not rest:
        return True
    if all(w in _FILLER for w in rest) and any(w in _STRONG for w in rest):
        return True
    return _PHRASE.fullmatch(" ".join(rest)) is not None


def _is_name(word: str, names: frozenset[str]) -> bool:
    """Whether a word is a speaker's name or a short form of it ("mel" for melanie)."""
    return word in names or (len(word) >= 3 and any(n.startswith(word) for n in names))
