"""Claims into traits: values that follow each other, end, or clash."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from operators.personas.claims import Claim, Column, Kind, words
from operators.personas.people import person_key

_NARROWED = frozenset({"home_city", "employer", "school", "job_title", "partner", "car"})
_NAMED_RELATIONS = {
    "sibling": ("sister", "brother"),
    "child": ("son", "daughter"),
}
CHANGE_WORDS = words(
    "moved move moving new now left leave leaving started start starting joined became become "
    "switched switch changed change quit relocated settled since longer anymore promoted "
    "arrived"
)
"""Words by which a statement announces that things are no longer as they were."""


@dataclass
class Trait:
    """A value of a person's attribute with its claims in event order and its validity."""

    kind: Kind
    attribute: str
    claims: list[Claim]
    status: str = "current"
    start: int | None = None
    end: int | None = None
    clashes: set[str] = field(default_factory=set[str])  # sessions that say otherwise
    announced_end: int | None = None

    @property
    def person(self) -> str:
        """The person, as in the first claim."""
        return self.claims[0].person

    @property
    def key(self) -> str:
        """The value by which it is equal to others."""
        return self.claims[0].key


def traits(
    claims: Sequence[Claim], column: Column, habit_sessions: int, latest: int
) -> list[Trait]:
    """Traits of one conversation; `claims` in event order of their facts, as of time `latest`."""
    single: dict[tuple[str, str], list[Claim]] = {}
    several: dict[tuple[str, str, str, str], list[Claim]] = {}
    for claim in _named_apart(claims):
        person = person_key(claim.person)
        if claim.slot is None:
            several.setdefault((person, claim.kind, claim.attribute, claim.key), []).append(claim)
        else:
            holder = "" if claim.slot.startswith("owner:") else person
            single.setdefault((holder, claim.slot), []).append(claim)
    out = [trait for chain in single.values() for trait in _in_sequence(chain, column)]
    for members in several.values():
        out += _begun_and_ended(members, column, habit_sessions)
    for trait in out:
        if trait.status == "current" and trait.end is not None and trait.end <= latest:
            trait.status = "former"
    _oppose(out, column)
    _end_with_the_job(out)
    return out


def sessions(items: Iterable[Claim], column: Column) -> list[str]:
    """Sessions of the claims, in event order."""
    return list(dict.fromkeys(column["session_id"][claim.row] for claim in items))


def _named_apart(claims: Sequence[Claim]) -> list[Claim]:
    """One claim a fact and value; general words give way to those that tell more."""
    best: dict[tuple[int, str, str, str], Claim] = {}
    relations: dict[tuple[str, str], str] = {}
    foods: dict[tuple[str, str], str] = {}
    for claim in claims:
        if claim.kind == "relation" and claim.attribute not in _NAMED_RELATIONS:
            relations.setdefault((claim.person, claim.key), claim.attribute)
        if claim.attribute in {"allergy", "intolerance"}:
            foods.setdefault((claim.person, claim.key), claim.attribute)
    tasted = {c.row for c in claims if c.kind == "preference" and not c.from_triple}
    for claim in claims:
        attribute = claim.attribute
        if claim.from_triple and attribute in {"likes", "dislikes"} and claim.row in tasted:
            continue  # the same words, read once more
        if attribute in _NAMED_RELATIONS:
            told = relations.get((claim.person, claim.key))
            attribute = told if told in _NAMED_RELATIONS[attribute] else attribute
        elif attribute == "does_not_eat":
            attribute = foods.get((claim.person, claim.key), attribute)
        key = (claim.row, claim.person, attribute, claim.key)
        if key not in best or claim.weight > best[key].weight:
            best[key] = replace(claim, attribute=attribute)
    return list(best.values())


def _since(claim: Claim, column: Column) -> int:
    row = claim.row
    if claim.slot is not None and column["attribute"][row] in {claim.attribute, "owner"}:
        since = column["valid_from"][row]
        return column["event_time"][row] if since is None else since
    return column["event_time"][row]


def _same(one: Claim, other: Claim) -> bool:
    """Whether two claims of a slot state one value of one person."""
    if person_key(one.person) != person_key(other.person):
        return False
    return same_value(one.attribute, one.key, other.key)


def same_value(attribute: str, one: str, other: str) -> bool:
    """Whether two normalised values of an attribute are one, or one narrows the other.

    >>> same_value("home_city", "porto", "porto, portugal"), same_value("diet", "vegan", "keto")
    (True, False)
    """
    if one == other or attribute not in _NARROWED:
        return one == other
    left, right = (set(key.replace(",", " ").split()) for key in (one, other))
    return left <= right or right <= left


def _in_sequence(chain: list[Claim], column: Column) -> list[Trait]:
    """Runs of equal values; each ends where the next begins."""
    runs: list[Trait] = []
    for claim in chain:
        if claim.ends:
            _announce_end(runs, claim, column)
        elif runs and _same(runs[-1].claims[-1], claim):
            runs[-1].claims.append(claim)
            announced, said = runs[-1].announced_end, column["event_time"][claim.row]
            if announced is not None and announced < said:
                runs[-1].announced_end = None  # it is said to hold after all
        else:
            runs.append(Trait(claim.kind, claim.attribute, [claim]))
    runs, slips = _without_slips(runs, column)
    floor: int | None = None
    for number, run in enumerate(runs):
        start = _since(run.claims[0], column)
        run.start = start if floor is None else max(start, floor)
        floor = run.start
        if number:
            before = runs[number - 1]
            before.status, before.end = "former", run.start
    for run in runs:
        if run.announced_end is not None:
            end = run.announced_end if run.end is None else min(run.announced_end, run.end)
            run.end = end if run.start is None else max(end, run.start)
    for one, other in pairwise(runs):
        if _unordered(one.claims[-1], other.claims[0], column):
            clash(one, other, column)
            one.end = None
    for slip, held in slips:
        slip.start = _since(slip.claims[0], column)
        clash(held, slip, column)
        held.status = "current" if held is runs[-1] else "former"
    return runs + [slip for slip, _ in slips]


def _announce_end(runs: list[Trait], claim: Claim, column: Column) -> None:
    """Note the end in the last run of that value; the end of what nobody stated says nothing."""
    for run in reversed(runs):
        if _same(run.claims[0], claim):
            run.claims.append(claim)
            said = column["event_time"][claim.row]
            run.announced_end = said if claim.when is None else claim.when
            return


def _without_slips(
    runs: list[Trait], column: Column
) -> tuple[list[Trait], list[tuple[Trait, Trait]]]:
    """Runs without those that one session states, unannounced, between two of another value."""
    kept: list[Trait] = []
    slips: list[tuple[Trait, Trait]] = []
    for run in runs:
        if len(kept) > 1 and _same(kept[-2].claims[-1], run.claims[0]):
            held, slip = kept[-2], kept[-1]
            known = sessions(held.claims + run.claims, column)
            if len(sessions(slip.claims, column)) == 1 < len(known) and not _announced(
                slip, column
            ):
                kept.pop()
                held.claims += run.claims
                slips.append((slip, held))
                continue
        kept.append(run)
    return kept, slips


def _announced(trait: Trait, column: Column) -> bool:
    return any(announces_change(column["text"][claim.row]) for claim in trait.claims)


def announces_change(text: str) -> bool:
    """Whether a statement tells of a change: "moved to Porto", "my new job"."""
    return not CHANGE_WORDS.isdisjoint(text.casefold().replace(".", " ").split())


def _unordered(one: Claim, other: Claim, column: Column) -> bool:
    """Whether two messages say different things at one time."""
    same = all(column[n][one.row] == column[n][other.row] for n in ("event_time", "seq"))
    return same and column["message_id"][one.row] != column["message_id"][other.row]


def clash(one: Trait, other: Trait, column: Column) -> None:
    """Mark two traits that cannot both hold, each with the sessions of the other."""
    one.status = other.status = "conflict"
    one.clashes.update(sessions(other.claims, column))
    other.clashes.update(sessions(one.claims, column))


def _begun_and_ended(claims: list[Claim], column: Column, habit_sessions: int) -> list[Trait]:
    """A trait per stretch between claims that it ended."""
    repeated = all(claim.repeated for claim in claims)
    if repeated and len(sessions(claims, column)) < habit_sessions:
        return []
    out: list[Trait] = []
    for claim in claims:
        time = column["event_time"][claim.row]
        if not out or (out[-1].end is not None and not claim.ends):
            start = None if claim.ends else time
            out.append(Trait(claim.kind, claim.attribute, [], start=start))
        out[-1].claims.append(claim)
        if claim.ends and out[-1].end is None:
            out[-1].status, out[-1].end = "former", time
    return out


def _oppose(found: list[Trait], column: Column) -> None:
    """Likes and dislikes of one thing: a later, confirmed one is a change, else they clash."""
    liked = {
        (person_key(t.person), t.key): t for t in found if t.attribute == "likes" and t.end is None
    }
    for other in found:
        one = liked.get((person_key(other.person), other.key))
        if other.attribute != "dislikes" or one is None:
            continue
        early, late = sorted((one, other), key=lambda t: _order(t.claims[0], column))
        after = _order(late.claims[0], column) > _order(early.claims[-1], column)
        if after and len(sessions(late.claims, column)) > 1:
            early.status, early.end = "former", late.start
        else:
            clash(early, late, column)


def _end_with_the_job(found: list[Trait]) -> None:
    """A title said with an employer, or work done regularly, ends when the employer does."""
    left = [t for t in found if t.attribute == "employer" and t.end is not None]
    for trait in found:
        if trait.status != "current" or trait.start is None:
            continue
        titled = trait.attribute == "job_title"
        if not titled and not (trait.kind == "habit" and trait.key.startswith(_AT_WORK)):
            continue
        for job in left:
            mine = person_key(job.person) == person_key(trait.person)
            together = {c.row for c in trait.claims} <= {c.row for c in job.claims}
            if mine and (together or not titled) and trait.start < (job.end or 0):
                trait.status, trait.end = "former", job.end
                break


_AT_WORK = ("teaches ", "works ")


def _order(claim: Claim, column: Column) -> tuple[int, int, str, int]:
    row = claim.row
    return (
        column["event_time"][row], column["seq"][row], column["message_id"][row],
        column["ordinal"][row],
    )  # fmt: skip
