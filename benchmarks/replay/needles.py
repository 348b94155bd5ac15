"""Needles: made-up statements among the messages, each with a question only it answers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

_KINDS = (
    ("the password of the greenhouse is", "What is the password of the greenhouse?"),
    ("my grandmother's rowing boat is called", "What is your grandmother's rowing boat called?"),
    ("the hamster of the neighbours is named", "What is the hamster of the neighbours named?"),
    ("the secret ingredient of the soup is", "What is the secret ingredient of the soup?"),
    ("the winner of the raffle was a man called", "Who won the raffle?"),
    ("the spare key is hidden under the", "Where is the spare key hidden?"),
    ("the stolen painting showed a", "What did the stolen painting show?"),
    ("the hall on the fourth floor is named", "What is the hall on the fourth floor named?"),
    ("the lighthouse was painted in the colour", "In which colour was the lighthouse painted?"),
    ("the orchestra will play in the city of", "In which city will the orchestra play?"),
    ("the wooden box was full of", "What was the wooden box full of?"),
    ("the old professor collects", "What does the old professor collect?"),
    ("the statue at the harbour is made of", "What is the statue at the harbour made of?"),
    ("the blue parrot keeps saying the word", "Which word does the blue parrot keep saying?"),
    ("the museum is showing a giant", "What giant thing is the museum showing?"),
    ("the code name of the expedition is", "What is the code name of the expedition?"),
)
_VALUES = (
    *("falcon", "maple", "lantern", "river", "castle", "tiger", "hammer", "piano", "rocket"),
    *("copper", "violet", "silver", "golden", "amber", "lemon", "pepper", "honey", "coral"),
    *("Oliver", "Victor", "Oscar", "Vienna", "Madrid", "Boston", "cotton", "marble", "paper"),
    *("stamps", "coins", "shells", "feathers", "bottles", "button", "candle", "ladder", "whale"),
)
MOST = len(_KINDS)


@dataclass(frozen=True)
class Needle:
    """A statement with one word that nothing else tells.

    Attributes:
        statement: as a message says it.
        question: asks for the word.
        beginning: how the answer begins; the word follows after a space. With it a small model
            needs no skill but to look the word up.
        word: the answer.
    """

    statement: str
    question: str
    beginning: str
    word: str


def needles(count: int, seed: str, without: Sequence[str] = ()) -> tuple[Needle, ...]:
    """`count` needles with different words, none of which `without` holds.

    A function of its arguments. Raises `ValueError` for more than `MOST`.
    """
    if count > MOST:
        raise ValueError(f"there are {MOST} kinds of needles, not {count}")
    said = " ".join(without).lower()
    rng = random.Random(seed)
    words = rng.sample([word for word in _VALUES if word.lower() not in said], count)
    kinds = rng.sample(_KINDS, count)
    return tuple(
        Needle(
            statement=f"By the way, {says} {word}.",
            question=asks,
            beginning=says[0].upper() + says[1:],
            word=word,
        )
        for (says, asks), word in zip(kinds, words, strict=True)
    )
