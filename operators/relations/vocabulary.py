"""Closed word classes that the rules of relations go by, and a light stemmer.

English only: the shipped extraction is. Words are lower case, with straight apostrophes.
They are code: raise `TypedRelations.VERSION` when one changes.
"""

from functools import lru_cache


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


NEGATIONS = words("no not never none nobody nothing neither nor cannot without hardly dont doesnt")
"""Words that deny; contractions in n't do so too."""

HEDGES = words(
    "if would could should might may maybe perhaps probably wonder wonders wondering hope hopes "
    "hoping wish wishes want wants wanted wanna plan plans planning planned consider considers "
    "considering considered think thinks thinking try tries trying tried gonna going will i'll "
    "we'll won't wouldn't shouldn't couldn't let's lets unless until whether imagine suppose "
    "supposed debating deciding sure guess bet seems seem like'd i'd we'd almost nearly soon "
    "tomorrow eventually possibly expect expects hopefully can't"
)
"""Words of what is wished, planned, supposed or asked: nothing is stated."""

ASKING = words(
    "do does did is are was were am can could would will should shall may have has had what how "
    "why when where who whom whose which what's how's who's where's any don't doesn't isn't "
    "aren't didn't haven't hasn't won't wouldn't couldn't please"
)
"""Words that open a question or a request."""

LEADING = words(
    "and but so because then also well oh yes yeah yep no nope wow hey hi ok okay actually now "
    "the a an by way btw just really still even as anyway though honestly plus besides since "
    "currently recently lately finally sometimes usually often always overall update fyi"
)
"""Words before the head of a clause."""

PRONOUNS = words(
    "he she it they him her them his their its this that these those we us our you your i me my "
    "there here one someone something everyone everything it's that's he's she's they're we're "
    "you're who which what nothing nobody here's there's how's what's nor "
    "neither both all some many most another"
)

CONNECTIVES = words(
    "because due thanks led inspired resulted caused why result therefore thus hence "
    "consequently means words"
)
"""Words of which a statement that names a cause or a consequence has one."""

ENDINGS = words("longer anymore any stopped quit gave given used switched moved changed instead")
"""Words of which a statement that tells of an end or a change has one."""

CLAUSE_WORDS = words(
    "and but because cause so which while although though whereas who therefore thus hence "
    "consequently then unless especially considering"
)
"""Words that begin another clause."""

STOP_WORDS = (
    NEGATIONS
    | ASKING
    | LEADING
    | PRONOUNS
    | words(
        "about after again all almost already am an another anymore any anything are around "
        "at away back be been before being both came come comes coming could day days did do "
        "does doing done down during each else ever every few first for from further gave get "
        "gets getting give gives giving go goes going gonna gone good got great had has have "
        "having he'd hers him himself i'd i'll i'm i've if in into is isn't it itself keep keeps "
        "kind know knows last less let like'd little long longer lot lots made make makes making "
        "many maybe me more most much must need needs new next nice not of off on once only or "
        "other others out over own part pretty put quite rather right said same say says see "
        "seen seems she'd should show since some sort such sure take takes taking than thank "
        "thanks that the them themself themselves thing things think thinks thinking thought "
        "through time times to today together too took totally tried try trying two under until "
        "up upon use used using very via want wants was way we'd we'll we've went were what "
        "whatever whether will with won't would yesterday yet you'll you've yourself help helps "
        "helped week weeks month months year years morning evening night able always awesome "
        "amazing super cool big bit definitely absolutely feel feels feeling felt glad happy "
        "hear heard look looks looking looked love'd work'd start started starting photo image "
        "picture pic user assistant image; let's hope hopes appreciate appreciates especially "
        "considering end lead leads led may might shall per kinda sorta ones own"
    )
) - words("like work love")
"""Words without a topic: not counted when two statements are compared."""

IRREGULAR = {
    past: present
    for past, _, present in (
        pair.partition(":")
        for pair in words(
            "ate:eat eaten:eat became:become began:begin begun:begin bought:buy brought:bring "
            "built:build caught:catch chose:choose chosen:choose drank:drink drew:draw "
            "drove:drive driven:drive fell:fall flew:fly forgot:forget found:find grew:grow "
            "held:hold hung:hang kept:keep knew:know known:know learnt:learn left:leave "
            "lost:lose meant:mean met:meet paid:pay ran:run rode:ride sang:sing sat:sit saw:see "
            "sent:send slept:sleep sold:sell spent:spend spoke:speak stood:stand swam:swim "
            "taught:teach told:tell took:take understood:understand went:go won:win wore:wear "
            "wrote:write written:write made:make gave:give got:get had:have was:be were:be "
            "did:do said:say came:come broke:break led:lead"
        )
    )
}
"""Past forms that no suffix gives away."""

COUNTS = words(
    "zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"
)
"""Numbers written as words; "one" is mostly a pronoun."""

_SUFFIXES = (("ies", "y", 5), ("ied", "y", 5), ("ing", "", 6), ("ed", "", 5), ("es", "", 5))


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The word without possessive and inflection; equal for most forms of one word."""
    base = word.removesuffix("'s").removesuffix("'")
    base = IRREGULAR.get(base, base)
    for suffix, instead, least in _SUFFIXES:
        if len(base) >= least and base.endswith(suffix):
            base = base[: -len(suffix)] + instead
            break
    else:
        if len(base) > 3 and base.endswith("s") and not base.endswith("ss"):
            base = base[:-1]
    if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "aeiouls":
        base = base[:-1]
    return base.removesuffix("e") if len(base) > 3 else base


def is_negation(word: str) -> bool:
    """Whether the word denies its clause."""
    return word in NEGATIONS or word.endswith("n't")


def is_past(word: str) -> bool:
    """Whether the word is, by its form, a past verb or participle."""
    return word in IRREGULAR or (len(word) > 4 and word.endswith("ed"))
