"""Patterns of attributes: of the speaker ("I", "my") and of the team's work.

Group `v` is the value, `x` the thing of a favourite or the kind of a pet, `s` or `t` the subject.
`keys` are lower-case words of which a sentence must hold one: a cheap check before the pattern.
"""
# ruff: noqa: E501 - a pattern reads best on one line

import re
from typing import NamedTuple


class Pattern(NamedTuple):
    """An attribute ("*favourite" is named by its thing), its keys and its pattern."""

    attribute: str
    keys: tuple[str, ...]
    regex: re.Pattern[str]


_I = r"\bI(?:['’](?:m|ve)| am| have)?(?:\s+(?:just|recently|now|currently|actually|also|still|finally|really|already|officially))*"
_AM = (
    r"\bI(?:['’]m| am)(?:\s+(?:just|now|currently|actually|also|still|officially|a proud|proudly))*"
)
_WE = r"\b(?:I|[Ww]e)(?:['’](?:m|ve|re)| am| have| are)?(?:\s+(?:just|recently|now|currently|also|finally|already|officially))*"
_W = r"(?:(?!I\b)[A-Z][\w’'&-]*|[A-Z]\.)"
_NAME = rf"{_W}(?:(?: | of | de | & |\. ){_W})*"
_PERSON = r"[A-Z][a-z]+(?:[- ][A-Z][a-z]+)?"
_PLACE = rf"{_NAME}(?:, {_NAME})?"
_NP = r"[\w$€£][\w$€£'’&/+ -]{0,50}?"
_STOP = r"(?=\s*(?:[.,;:!()\n–—]|$)|\s+(?:and|but|because|since|so|when|while|which|who|that|where|although|though|as|if|after|before|right|for|with|at|in|on|by|from|lately|recently|now|too|these|this|last|ever|please|anyway|again|then|always|instead|still|already|every|more|than)\b)"
_LONG_STOP = r"(?=\s*(?:[.,;:!?()\n–—\[]|- |$)|\s+(?:- |(?:I|because|cause|since|so|when|while|which|who|that|where|but|although|though|as|if|too|lately|these|this|last|ever|it|please|anyway|again|instead|already|every|more|than)\b|and (?:I|we|it|you|he|she|they|my|our|is|am|was|have|can|will|would|also|just|really|like|love|enjoy|hope|think|try|always|how|then|\w+ing)\b))"
_OPEN = r"(?:^|[.,;:!?–—-]\s*|\b(?:and|but|because|'cause|cause|so|that|though|well|yeah|yes|know|by the way,?)\s+)"
_KIN = r"(?:\s*,\s*|\s+)(?:(?:is\s+)?(?:named|called)\s+|\bname is\s+)?"
_JOB = (
    r"nurse|teacher|doctor|engineer|developer|designer|lawyer|chef|cook|writer|artist|musician|manager|director|"
    r"consultant|analyst|accountant|architect|electrician|plumber|carpenter|mechanic|pilot|driver|barista|waiter|waitress|"
    r"student|professor|researcher|photographer|journalist|editor|translator|dancer|actor|actress|singer|farmer|"
    r"firefighter|paramedic|police officer|librarian|scientist|programmer|freelancer|entrepreneur|founder|"
    r"counselor|coach|trainer|vet|veterinarian|social worker|salesperson|realtor|baker|tailor|soldier|\w+(?:ologist|ographer|icist|apist|cian)"
)
_PETS = r"dog|cat|puppy|kitten|parrot|hamster|rabbit|bunny|horse|turtle|lizard|snake|guinea pig|goldfish|bird|gecko|ferret|pup"
_THE_FIRM = rf"(?:the )?(?P<v>{_NAME})"
_DATE = r"(?:\w+day,? )?(?:the )?(?:\d{1,2}(?:st|nd|rd|th)?(?: of)? [A-Z][a-z]{2,8}|[A-Z][a-z]{2,8} \d{1,2}(?:st|nd|rd|th)?)\b(?:,? \d{4})?"
_SUM = r"(?:[$€£] ?)?\d[\d.,]*\d(?: ?(?:k|K|m|M|million|thousand))?\b(?: (?:dollars|euros?|EUR|USD|GBP))?"
_SELF_SINCE = r"\b(?:I|[Ww]e)(?:['’]ve| have)(?: (?:now|already|also|both|just))?"
_SPAN_OF = r"(?:\d+|an?|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|many|several|over|about|almost|nearly|more)"
_WHEN = r"(?:on |in |for |by |to )?(?:the )?"

SPEAKER: tuple[Pattern, ...] = tuple(
    Pattern(attribute, tuple(keys.split("|")), re.compile(regex))
    for attribute, keys, regex in (
        ("home_city", "moved |relocated ", rf"{_WE} (?:moved|relocated) (?:back |over |out |up |down )?(?:here )?(?:from {_PLACE} )?to (?:a (?:new )?\w+ in )?(?:the )?(?P<v>{_PLACE})"),
        ("home_city", "lived in|living in", rf"{_SELF_SINCE} (?:lived|been living) in (?:the )?(?P<v>{_PLACE})(?=,? (?:since|for {_SPAN_OF}\b|all (?:my|our)))"),
        ("home_city", "here in", rf"\b(?:the|[Mm]y|[Oo]ur) [a-z]+(?: [a-z]+)? here in (?P<v>{_PLACE})(?! for\b)"),
        ("home_city", "flat|house|apartment|place", rf"\b[Ww]e(?:['’]re| are) (?:now |finally )?in (?:the|our) new (?:flat|house|apartment|place|home) in (?P<v>{_PLACE})"),
        ("home_city", "arrived|settled", rf"{_WE} settled (?:down )?in (?P<v>{_PLACE})"),
        ("home_city", "live|living|based|reside", rf"{_WE} (?:live|living|am living|based|reside) (?:here |out |alone |together |with \w+ \w+ )?in (?:the )?(?P<v>{_PLACE})"),
        ("employer", "worked at|worked for|working at|working for", rf"{_SELF_SINCE} (?:worked|been working) (?:at|for) {_THE_FIRM}(?=,? (?:since|for {_SPAN_OF}\b))"),
        ("employer", "years at", rf"^(?i:{_SPAN_OF}) years at (?P<v>(?:the )?(?:[a-z]+ )?[a-z]{{4,}}|{_NAME})(?=\s*(?:[.,;!]|$))"),
        ("employer", "signed with", rf"{_I} signed (?:my |the |a )?(?:contract )?with {_THE_FIRM}(?= as an? | on )"),
        ("employer", "start", rf"{_I} (?:start|begin|started|began) (?:work )?at (?P<v>{_NAME}|the [a-z]+(?: [a-z]+)?) (?:on |in )(?:the )?(?:{_DATE}|[A-Z][a-z]+)"),
        ("employer", "work", rf"{_I} (?:work|working|started working) (?:as (?:an? )?[\w -]{{3,40}}? )?(?:at|for) (?:the )?(?P<v>{_NAME})"),
        ("employer", "job|role|position|started|hired|internship", rf"{_I} (?:started|got|landed|accepted|took|got hired|was hired|begun|began|starting)(?: (?:an?|my|the)(?: new)?(?: [a-z]+){{0,2}} (?:job|role|position|internship|gig))?(?: as (?:an? )?[\w -]{{3,40}}?)? (?:at|by) (?:the )?(?P<v>{_NAME})"),
        ("employer", "joined", rf"{_I} (?:left {_NAME} (?:and|to) )?join(?:ed)? (?P<v>{_NAME})(?: [a-z]+){{0,3}} as an? "),
        ("employer", "left ", rf"{_I} left {_NAME} (?:and|to) (?:have )?join(?:ed)? (?P<v>{_NAME})"),
        ("job_title", "start|hired|became|joined", rf"{_I} (?:started|became|was hired|got hired)(?: (?:at|by|with) {_NAME})?(?: (?:last|this) \w+)? as an? (?P<v>(?:[a-z-]+ ){{0,3}}?(?:{_JOB}))\b"),
        ("job_title", "work", rf"{_I} (?:work|working) as an? (?P<v>{_NP}){_STOP}"),
        ("job_title", "promoted", rf"{_I} (?:was |got |been )?promoted to (?P<v>{_NP}){_STOP}"),
        ("job_title", "i'm a|i’m a|i am a|an ", rf"{_AM} an? (?P<v>(?:[a-z-]+ ){{0,3}}?(?:{_JOB}))\b(?! of| in the making|['’])"),
        ("birthday", "birthday", rf"\b[Mm]y birthday(?:['’]s| is)?(?: always)? on (?:the )?(?P<v>{_DATE})"),
        ("birthday", "birthday", r"\b[Mm]y birthday(?:['’]s| is)(?: always)? (?:on )?(?:the )?(?P<v>[^.,;!?]{3,30}\d[^.,;!?]{0,20}|\d[^.,;!?]{3,20})"),
        ("birthday", "born", r"\bI was born on (?:the )?(?P<v>[^.,;!?]{0,20}\d[^.;!?]{0,20}?)(?= in |[.;!?]|$)"),
        ("age", "i'm |i’m |i am |turned ", rf"(?:{_AM}|{_I} turned) (?P<v>[1-9]\d)(?: years?[- ]old)?(?=\s*(?:[.,](?!\d)|[;!)]|$|and\b|now\b|years?[- ]old|last\b|this\b|yesterday|today|but\b))"),
        ("relationship_status", "single|married|engaged|divorced|widow|separated", rf"(?:{_AM}(?: happily)?|{_WE} (?:got|am|are|re)) (?P<v>single|married|engaged|divorced|widowed|separated)\b(?!\s+(?:in|with \w+ing|out|parent|mom|dad|mother|father))"),
        ("partner", "wife|husband|girlfriend|boyfriend|partner|fianc|spouse", rf"\b[Mm]y (?:new )?(?:wife|husband|girlfriend|boyfriend|partner|fianc[ée]e?|spouse)(?:['’]s)?{_KIN}(?P<v>{_PERSON})"),
        ("pet", _PETS, rf"\b[Mm]y (?:[a-z]+ )?(?P<x>{_PETS})(?:['’]s)?{_KIN}(?P<v>{_PERSON})"),
        ("pet", "named |called ", rf"{_WE} (?:have|has|had|got|adopted|own|bought|rescued) (?:an? )?(?:[\w-]+ ){{0,4}}?(?P<x>{_PETS})(?: who is)? (?:named|called) (?P<v>{_PERSON})"),
        ("diet", "vegan|vegetarian|pescatarian|keto|gluten|halal|kosher", rf"(?:{_AM}(?: an?| on an?| eating| strictly| fully)?|{_I} (?:went|became|become|gone|turned|eat|follow an?)) (?P<v>vegan|vegetarian|pescatarian|keto|gluten[- ]free|halal|kosher)\b"),
        ("diet", "vegan|vegetarian|pescatarian", r"^(?P<v>[Vv]egan|[Vv]egetarian|[Pp]escatarian) (?:then|now|again)\b"),
        ("diet", "since|still", r"\bI['’]m (?:still|now|a|officially|fully) (?P<v>vegan|vegetarian|pescatarian)\b"),
        ("*own", " mine", r"\b[Tt]he (?P<v>[a-z]+(?: [a-z]+)?) (?:is|are) (?:now )?mine\b"),
        ("allergy", "allerg", rf"{_AM}(?: \w+ly)? allergic to (?P<v>{_NP}){_STOP}"),
        ("allergy", "allerg", rf"{_I} (?:have|suffer from) an? (?:severe |bad |mild )?(?P<v>[a-z]+(?: [a-z]+)?) allergy"),
        ("*favourite", "favorite|favourite", r"\b[Mm]y (?:all[- ]time |current |new |absolute )?favou?rite (?P<x>[a-z]+(?: [a-z]+)?) (?:is|was|has to be|would be|right now is) (?:definitely |probably |still |always |now )?(?P<v>[^.,;!?()\n]{2,60})"),
        ("*favourite", "favorite|favourite", rf"(?P<v>{_NAME})(?:['’]s| is| remains) (?:still |now )?[Mm]y (?:all[- ]time |current |new |absolute )?favou?rite (?P<x>[a-z]+(?: [a-z]+)?){_STOP}"),
        ("school", "stud|graduat|university|college|school|enrol", rf"{_I} (?:study|studied|studying|go|graduated|enrolled|got accepted|accepted|got)(?: [a-z ]{{2,30}})? (?:at|from|to|in|into) (?:the )?(?P<v>{_W}(?: (?:of |at )?{_W})* (?:University|College|Institute|School|Academy)|(?:University|Institute|College|School) of {_NAME}|MIT|Harvard|Stanford|Oxford|Cambridge|Yale|Princeton)"),
        ("car", "drive|bought|car", rf"{_I} (?:drive|driving|bought|got|own) (?:an? |my )(?:new |used |old |20\d\d |second-hand )*(?P<v>(?:Toyota|Honda|Ford|BMW|Audi|Tesla|Mazda|Nissan|Subaru|Kia|Hyundai|Volvo|Volkswagen|VW|Mercedes|Jeep|Chevrolet|Chevy|Porsche|Skoda|Fiat|Renault|Peugeot|Lexus|Prius|Dodge|Mini)(?: [A-Z0-9][\w-]*){{0,2}})"),
        ("sibling", "sister|brother|sibling", rf"\b[Mm]y (?:older |younger |little |big |twin |half-|step)?(?:sister|brother)(?:['’]s)?{_KIN}(?P<v>{_PERSON})"),
        ("child", "son |daughter|son,|son'|son’|kid |child|baby", rf"\b[Mm]y (?:\w+[- ]year[- ]old |older |oldest |younger |youngest |little |newborn |baby )*(?:son|daughter|kid|child|baby)(?:['’]s)?{_KIN}(?P<v>{_PERSON})"),
        ("language", "speak|fluent", rf"(?:{_I} speak|{_AM} fluent in)(?: fluent| some| native)? (?P<v>[A-Z][a-z]+(?:(?:, | and |, and )[A-Z][a-z]+)*)"),
        ("hobby", "hobb", rf"\b[Mm]y (?:main |new |favou?rite |biggest )?hobb(?:y|ies)(?: is| are|['’]s) (?P<v>{_NP}){_STOP}"),
        ("hobby", "took up|taken up|play the", rf"{_I} (?:took up|taken up|play the) (?P<v>{_NP}){_STOP}"),
        ("dislikes", "hate|dislike|stand", rf"{_OPEN}I (?:\w+ly )?(?:hate|dislike|can['’]t stand|cannot stand|despise) (?P<v>{_NP}){_LONG_STOP}"),
        ("likes", "love|like|enjoy|adore", rf"{_OPEN}I (?:really |absolutely |just |also |still |totally )*(?:love|like|enjoy|adore) (?P<v>{_NP}){_LONG_STOP}"),
    )
)  # fmt: skip

TEAM: tuple[Pattern, ...] = tuple(
    Pattern(attribute, tuple(keys.split("|")), re.compile(regex))
    for attribute, keys, regex in (
        ("home_city", "works|working|stays", rf"\b(?P<s>{_PERSON}) (?:now )?(?:works|is working|stays (?:on|with us|in the team))(?:, full[- ]time,| full[- ]time| remotely)? from (?P<v>{_PLACE})"),
        ("launch_date", "launch|release|go-live", rf"\b(?:[Tt]he )?(?:(?P<s>[A-Z]\w+(?: [A-Z]\w+)?) )?(?:launch|release|go-live)(?: date)? (?:(?:is|was|has been|got|will be) )?(?:now )?(?:(?:re)?scheduled |set |planned |moved |moves |slips |slipped |pushed |postponed |delayed |brought forward )?(?:back )?(?P<v>{_WHEN}[^.;!?()\n]{{3,40}})"),
        ("launch_date", "launch|release", rf"\b(?:launch|release|go-live) date[.:,] (?:[Ii]t['’]s |[Ii]t is |[Oo]n )?(?P<v>{_DATE})"),
        ("launch_date", "launch", rf"\b(?:[Cc]orrection|[Cc]hange|[Uu]pdate|[Nn]ews) (?:on|to|about|of|for) the launch\b[^\n]{{0,200}}?\b(?:[Ss]o|now|it['’]s|is) (?:now |on )?(?P<v>{_DATE})"),
        ("deadline", "deadline", rf"\b[Dd]eadline(?: for (?:the )?(?P<s>[\w -]{{2,40}}?))? (?:(?:is|was|has been|got|will be) )?(?:now )?(?:set |moved |pushed |extended |postponed )?(?:back )?(?P<v>{_WHEN}[^.;!?()\n]{{3,40}})"),
        ("budget", "budget", r"\b(?:[Tt]he )?(?:(?P<s>[A-Z]\w+(?: [A-Z]\w+)?|marketing|project|team|travel|event) )?[Bb]udget(?: for (?:the )?(?P<t>[\w -]{2,40}?))? (?:(?:is|was|has been|got|will be) )?(?:now )?(?:set (?:at|to) |raised (?:from \S+ )?to |increased (?:from \S+ )?to |cut (?:from \S+ )?to |reduced (?:from \S+ )?to )?(?P<v>(?:[$€£] ?)?\d[\d.,]*\d(?: ?(?:k|K|m|M|million|thousand))?\b(?: (?:dollars|euros|EUR|USD|GBP))?|[$€£] ?\d[\d.,]*\d? ?(?:k|K|m|M|million|thousand)?)"),
        ("budget", "budget", rf"\b(?:(?P<s>[A-Za-z]\w+) )?[Bb]udget (?:is |goes |went |was )?(?:raised |up |increased |cut |reduced |down )?from {_SUM} to (?P<v>{_SUM})"),
        ("job_title", "becomes|lead|manager|head", rf"\b(?P<s>{_PERSON}) (?:becomes|became|will become|is now|was promoted to) (?:the |our |an? )?(?:new )?(?P<v>(?:[a-z]+ ){{0,2}}(?:lead|manager|head of [a-z]+|director|{_JOB}))\b"),
        ("job_title", "becomes", rf"\b(?P<s>{_PERSON}) (?:takes|gets|moves|joins|leads)\b[^.;!?\n]{{0,40}}[:,] (?:s?he|they) becomes? (?:the |our |an? )?(?:new )?(?P<v>(?:[a-z]+ ){{0,2}}(?:lead|manager|director|{_JOB}))\b"),
        ("job_title", "hire", rf"\b[Ww]e (?:have |['’]ve )?hired? (?P<s>{_PERSON}(?: [A-Z][a-z]+)?) as (?:our |an? |the )(?:new )?(?P<v>[a-z]+(?: [a-z]+)?){_STOP}"),
        ("owner", "own", rf"\b(?P<v>{_PERSON}) (?:now )?(?:owns|will own) (?:the )?(?P<s>[\w /&-]{{2,40}}?)(?=\s*(?:[.,;!?]|$)| (?:now|from|and|as|going|since|while|in|at|for|with|this|last|today|but)\b)"),
        ("owner", "own", rf"\b[Tt]he (?:new )?owner of (?:the )?(?P<s>[\w /&-]{{2,40}}?) is (?:now )?(?P<v>{_PERSON})"),
        ("owner", "owned", rf"\b(?:[Tt]he )?(?P<s>[\w/&-]+(?: [\w/&-]+)?) is (?:now )?owned by (?P<v>{_PERSON})"),
        ("owner", "over", rf"\b(?P<v>{_PERSON}) (?:is taking|has taken|took|takes|will take) over (?:the )?(?P<s>[\w /&-]{{2,40}}?)(?= from |\s*(?:[.,;!?]|$)| (?:now|and|as|on|in|at|last|this|next|today|yesterday|tomorrow|for|with|since|after|when|while)\b)"),
        ("vendor", "vendor|supplier|provider", rf"\b(?P<v>{_NAME}) is (?:now )?our (?:new )?(?P<s>[a-z]+(?: [a-z]+)?) (?:vendor|supplier|provider)\b"),
        ("vendor", "through|via", rf"\b(?:[Aa]ll|[Oo]ur)(?: our)? (?P<s>[a-z]{{4,}}) (?:now )?(?:go(?:es)?|runs?) (?:through|via) (?P<v>{_NAME})(?= now|\s*[.,;!]|$)"),
        ("vendor", "vendor|supplier", rf"\b(?:[Oo]ur |[Tt]he )?(?:new )?(?:vendor|supplier)(?: for (?:the )?(?P<s>[\w -]{{2,30}}?))? (?:is|will be) (?:now )?(?P<v>{_NAME})"),
        ("vendor", "vendor|supplier", rf"\b[Ww]e (?:have |['’]ve )?(?:chose|chosen|picked|selected|signed|went with|switched to|are using|use) (?P<v>{_NAME}) as (?:our |the )?(?:new )?(?:(?P<s>[\w-]+) )?(?:vendor|supplier)"),
    )
)  # fmt: skip
