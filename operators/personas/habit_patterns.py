"""Patterns of habits, on sentences in which the speaker is `@`."""
# ruff: noqa: E501 - a pattern reads best on one line

import re

from operators.personas.claims import words

_OPEN = (
    r"(?:^|[.,;:–—-]\s*|\b(?:[Aa]nd|[Bb]ut|[Bb]ecause|[Ss]o|[Ww]ell|[Yy]eah|[Yy]es|Also|Now|Oh)\s+)"
)
_FREE = r"(?:^|@: |[;–—]\s*| - |\b(?:[Aa]nd|[Bb]ut|[Bb]ecause|[Ss]o|Also|Now|Oh)\s+)"  # nothing before it limits it
_WHO = r"(?:(?P<me>@)|[Ww]e)"
_DAYS = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days"
_FREQUENCY = (
    r"(?:every (?:single )?(?:other )?(?:day|night|morning|evening|afternoon|week|weekend|month|year|summer|winter|spring|autumn|\w+day)"
    r"|each (?:day|night|morning|evening|week|weekend|month|year|summer|winter|\w+day)"
    rf"|on (?:{_DAYS}|weekends|weekdays)(?:(?:,| and|, and) {_DAYS})*"
    r"|(?:once|twice|(?:two|three|four|five|six|\d+) times) (?:a|per) (?:day|week|month|year)"
    r"|most (?:days|mornings|evenings|weekends|nights))\b"
)
_REST = r"(?:[^.!?;:,@–—]|:(?=\S)){0,60}?"
EVERY = re.compile(
    rf"{_FREE}{_WHO} (?:also |still |just |now |both )*(?P<verb>[a-z]+) (?P<v>{_REST}{_FREQUENCY})"
)
USUALLY = re.compile(
    rf"{_FREE}{_WHO} (?:also |still )?(?P<how>usually|often|regularly|normally|typically|always) (?P<verb>[a-z]+)(?P<v>{_REST})"
    r"(?=\s*(?:[.,;!–—]|:(?!\S)|- |$)|\s+(?:but|because|when|so|though|while|since|if|and (?:@|we|it|they|he|she))\b)"
)
_TAIL = r"(?=\s*(?:[.,;!–—]|:(?!\S)|- |$)|\s+(?:but|because|so|since|last|this|again|after|before|when|every|now|too|lately|recently|regularly|and (?:@|I|we|it|they))\b)"
_OBJECT = r"(?:(?!into|been|to|about|with)[a-z]+ )?[a-z]+ing(?: (?!how|ever|what|where|why|how|more|and|but|so|to|for|with|at|in|on|by|from|since|last|this|again|as|a|an|the|more|of|about|over|up|off|out)[A-Za-z]+){0,2}?"
BEGAN = re.compile(
    rf"{_OPEN}@ (?:has |is )?(?:just |also |recently |finally |now |actually )*(?:started|begun|began|taken up|took up|starting|gotten into|got into) (?P<v>{_OBJECT}){_TAIL}"
)
SINCE = re.compile(
    rf"{_OPEN}@ has been (?P<v>{_OBJECT})(?= (?:since|for (?:\d+|a few|several|two|three|four|five|six|many|years|months|over)\b))"
)
STOPPED = re.compile(
    rf"{_OPEN}@ (?:has |is )?(?:just |also |recently |finally |now )*(?:stopped|quit|given up|gave up|giving up|quitting|stopping) (?P<v>{_OBJECT}){_TAIL}"
)
NO_GERUND = re.compile(
    r"(?:\w+ )?(?:going|being|thinking|feeling|looking|talking|trying|using|getting|having|seeing|wondering|noticing|realizing|"
    r"saying|wanting|making|doing|crying|laughing|worrying|believing|falling|losing|running out|putting|letting|asking|dating|"
    r"waiting|hoping|planning|considering|expecting|experiencing|something|anything|nothing|everything|morning|evening|during|"
    r"bring|string|spring|thing|king|ring|coming|living|dealing|missing|watering|searching|seeking|struggling|sending|telling|"
    r"shaking|hearing|caring|keeping|taking|working|meaning|playing around|showing|becoming|smiling|bothering|humming|the \w+|a \w+|my \w+|their \w+)\b"
)
NOT_A_HABIT = words(
    "is are was were has have had does do did says say think thinks know knows want wants need "
    "needs hope hopes feel feels mean means guess misses miss remember remembers wish wishes "
    "look looks will would can could should might may must been be get gets got seem seems keep "
    "keeps said thought appreciate appreciates believe believes love loves like likes enjoy "
    "enjoys hate hates find finds wonder wonders forget forgets agree agrees see sees hear "
    "hears understand end ends come comes put puts not never only even admire admires try tries "
    "count counts consider considers strive strives aim aims learn learns saw went took made "
    "forgot told hear tell tells ask asks appear support supports dream dreams"
)
ACTIVITIES = {
    form: forms.split()[-1]
    for forms in [
        "runs ran running",
        "swims swam swimming",
        "hikes hiked hiking",
        "camps camped camping",
        "paints painted painting",
        "bakes baked baking",
        "cooks cooked cooking",
        "dances danced dancing",
        "boulders bouldered bouldering",
        "climbs climbed climbing",
        "gardens gardened gardening",
        "knits knitted knitting",
        "skis skied skiing",
        "surfs surfed surfing",
        "cycles cycled cycling",
        "biked biking",
        "jogs jogged jogging",
        "volunteers volunteered volunteering",
        "fishes fished fishing",
        "sails sailed sailing",
        "meditates meditated meditating",
        "sketches sketched sketching",
        "skates skated skating",
        "kayaks kayaked kayaking",
        "rows rowed rowing",
        "sews sewed sewing",
        "crochets crocheted crocheting",
        "journals journaled journaling",
        "draws drew drawing",
        "writes wrote writing",
        "reading",
        "gaming",
        "bowled bowling",
        "yoga",
        "pottery",
        "photography",
        "woodworking",
        "birdwatching",
        "snowboarded snowboarding",
        "kickboxing",
        "boxing",
        "rowing",
    ]
    for form in forms.split()
}
BY_ITSELF = frozenset(ACTIVITIES.values()) | {
    "exercising",
    "training",
    "smoking",
    "drinking",
    "dieting",
}
_LIGHT = (
    r"(?:(?:is|are|has|have|had|been|was|were|just|also|finally|really|recently|usually|often|still|always|even|actually|"
    r"went|goes|go|going|took up|takes|took|did|does|do|enjoys?|enjoyed|loves?|loved|likes?|liked|spent \w+ \w+|tried|tries|"
    r"some|to go|into|on a|a lot of|did some|out|back) )*"
)
DID = re.compile(
    rf"{_OPEN}{_WHO} {_LIGHT}(?P<v>{'|'.join(sorted(ACTIVITIES))})\b(?! (?:up|out|off|into|your|away|this|that|on (?:@|the|my|their))\b)"
)
WENT = re.compile(
    rf"{_OPEN}{_WHO} {_LIGHT}(?:went|goes|go|going|gone) (?P<v>(?!shopping|looking|through|back|crazy|missing)[a-z]+ing)\b"
)
PLAYED = re.compile(
    rf"{_OPEN}{_WHO} {_LIGHT}play(?:s|ed|ing)? (?:the |some |a lot of )?(?P<v>(?!the\b|some\b|a\b|an\b|with\b|for\b|in\b|at\b|it\b|on\b|this\b|that\b|them\b|their\b|our\b|your\b|my\b|together\b|as\b|@|against\b|around\b|well\b|games\b|and\b|to\b|by\b|under\b|again\b|more\b|over\b|different\b|new\b|all\b|pro\b|really\b|good\b|like\b)[a-z]+(?: games)?)\b"
)


# Cheap checks before the patterns.
OFTEN = re.compile(
    r"every |each |days\b|times |once |twice |most |weekends|usually|often|regularly|normally|typically|always"
)
TURN = re.compile(r"start|begun|began|t?ook up|taken up|g[oe]t(?:ten)? into|been |stop|quit|g[ai]v")
DEED = re.compile(
    rf"\bplay(?:s|ed|ing)? |\bgo(?:es|ing|ne)? |\bwent |\b(?:{'|'.join(sorted(ACTIVITIES))})\b"
)
