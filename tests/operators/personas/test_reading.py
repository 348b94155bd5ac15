"""What the rules read from a statement, and what they must leave alone."""

import pytest

from operators.personas.claims import said_by
from operators.personas.habits import habits
from operators.personas.relations import relations
from operators.personas.tastes import tastes
from operators.personas.traits import text_attributes

READ = [
    ("Nora's sister Ana got engaged.", ("sister", "Ana")),
    ("Nora: Nora's mum Meera lives in York.", ("mother", "Meera")),
    ("Nora's best friend Eva Lund came.", ("friend", "Eva Lund")),
    ("Nora's brother-in-law is called Max.", ("brother_in_law", "Max")),
    ("Nora's buddy is Marta, the quiet one.", ("buddy", "Marta")),
    ("Max, Nora's colleague, was late.", ("colleague", "Max")),
    ("Nora really loves live music!", ("likes", "live music")),
    ("Nora: We enjoy hiking in the hills.", ("likes", "hiking in the hills")),
    ("Nora loves trips with Nora's parents.", ("likes", "trips with their parents")),
    ("Nora can't stand loud bars.", ("dislikes", "loud bars")),
    ("Nora doesn't like running.", ("dislikes", "running")),
    ("Nora is a big fan of chess.", ("likes", "chess")),
    ("Nora runs on Tuesdays and Thursdays.", ("habit", "runs on Tuesdays and Thursdays")),
    ("Nora usually takes the early train.", ("habit", "usually takes the early train")),
    ("Nora: We run by the canal every Sunday.", ("habit", "runs by the canal every Sunday")),
    ("Nora has been learning Spanish since May.", ("habit", "learning Spanish")),
    ("Nora has started sea swimming, twice now.", ("habit", "sea swimming")),
    ("Nora is lactose intolerant.", ("intolerance", "lactose")),
    ("Nora works at Acme as a data analyst.", ("job_title", "data analyst")),
]
NOTHING = [
    "Does Nora love jazz?",
    "Nora would love a coffee.",
    "Nora loves it when you sing.",
    "Nora loves that song.",
    "If Nora loves jazz, good.",
    "Nora likes Ema.",
    "Nora loves making",
    "Nora wants to start running every day.",
    "Nora never went running on Sundays.",
    "Nora usually is there.",
    "Nora feels good every day.",
    "Nora's sister works there.",
    "Nora's sister, Tomas knows, works there.",
    "Nora's sister is Irish.",
    "Nora's brother and Nora left.",
    "Nora's friend Monday called.",
    "Nora started reading a book.",
    "Nora started thinking.",
    "Nora has been waiting for two hours.",
    'Nora said "Nora loves jazz".',
    "Nora hates to say it.",
    "Tomas loves jazz.",
    "Somebody thinks so every year.",
]


def read(text: str) -> list[tuple[str, str]]:
    said = said_by(0, "Nora", text)
    people = {"Nora", "Tomas"}
    claims = [*relations(said, people), *tastes(said, people), *habits(said)]
    claims += text_attributes(said)
    return [(claim.attribute, claim.value) for claim in claims]


@pytest.mark.parametrize(("text", "expected"), READ, ids=lambda v: str(v)[:40])
def test_read(text: str, expected: tuple[str, str]):
    assert expected in read(text)


@pytest.mark.parametrize("text", NOTHING)
def test_left_alone(text: str):
    assert read(text) == []
