"""Sentences of the generated logs: templates whose slots are filled from word lists.

`{slot}` draws a word each time. Slots in lower case vary by session (`Session.lists`): the
speaker's own city or employer is the same through many sessions, its friends through all.
"""

import re

from benchmarks.scale.words import LISTS

SLOT = re.compile(r"\{(\w+)\}")

STATEMENTS = (
    "I {did} the {thing} {PAST}.",
    "We {did} the {thing} with {friend} {PAST}, and it was {OPINIONS}.",
    "The {thing} was {OPINIONS}.",
    "{friend} {did} the {thing} {PAST}, at the {place}.",
    "I'm going to the {place} {FUTURE}, because of the {thing}.",
    "It cost {AMOUNTS} euros, which is more than the {thing} last year.",
    "My {RELATIVES} {friend} says the {thing} can wait until {MONTHS}.",
    "I've spent {NUMBERS} hours on the {thing} and I'm {FEELINGS}.",
    "The {place} in {city} is closed until {MONTHS}.",
    "{friend} moved to {CITIES} {PAST} to be nearer to the {place}.",
    "I still don't have the {thing}, they promised it {FUTURE}.",
    "Guess what: {friend} finally {did} the {thing}.",
    "We are meeting {friend} at the {place} on {day} {MONTHS}.",
    "I don't like the {place} near {STREETS}, it is always full.",
    "After the {thing} we walked along {STREETS} for {NUMBERS} kilometres.",
    "I stopped with the {thing} because I was {FEELINGS} all the time.",
    "There were {NUMBERS} people at the {place}, {friend} among them.",
    "I want the {thing} done before {MONTHS}.",
)
FACTS = (
    "I live in {city} now, close to {STREETS}.",
    "I moved to {city} in {MONTHS}.",
    "I work at {employer} as a {job}.",
    "I started as a {job} at {employer} {PAST}.",
    "I'm {diet}, so nothing of that for me.",
    "I'm allergic to {allergy}, as always.",
    "Our {pet} {pet_name} is {NUMBERS} years old.",
    "My {relative} {relative_name} lives in {relative_city}.",
    "My birthday is on {birthday}.",
    "{pet_name} had to go to the vet {PAST}.",
    "I've been a {job} for {NUMBERS} years.",
    "I love the {place} and I never miss the {thing}.",
    "I don't drink coffee any more.",
    "I go to the {place} every {WEEKDAYS}.",
)
QUESTIONS = (
    "How is the {thing} going?",
    "Did you {ask} the {thing} in the end?",
    "When do you go to the {place}?",
    "Is {other_friend} still in {CITIES}?",
    "Are you coming to {city} {FUTURE}?",
    "What did {friend} say about the {thing}?",
    "How is {other_pet}?",
    "Do you know anybody at {EMPLOYERS}?",
    "Where did you find the {thing}?",
    "How many people will be at the {place} {FUTURE}?",
)
REQUESTS = (
    "Can you help me plan the {thing}? I have until {MONTHS} and about {AMOUNTS} euros.",
    "What should I watch out for with a {thing}?",
    "I live in {city} and I need a {place} near {STREETS}. Any ideas?",
    "Remind me what we said about the {thing}.",
    "My {relative} {relative_name} wants to come along to the {place} {FUTURE}. What changes?",
    "I'm {diet} and allergic to {allergy}. Does that matter for the {thing}?",
    "Please write a short note to {friend} about the {thing}.",
    "I work at {employer} as a {job}. How do I find time for the {thing}?",
)
ADVICE = (
    "For the {thing}, {tip}.",
    "First, {tip}; then look at the {place} again {FUTURE}.",
    "Most people {tip_plain} before they think about the {thing}.",
    "With {AMOUNTS} euros you can cover the {thing} and still have something left for {MONTHS}.",
    "Since you live in {city}, the {place} near {STREETS} is about {NUMBERS} minutes away.",
    "If {friend} joins you, plan {NUMBERS} hours instead of {NUMBERS}.",
    "A common mistake with the {thing} is to start too late; {tip}.",
    "You mentioned that you are {diet}, so check the menu of the {place} beforehand.",
    "I would put the {thing} on a {WEEKDAYS}, because the {place} is quiet then.",
    "Keep a note of what you paid, and ask again in {MONTHS}.",
    "In short: {tip}, and don't worry about the rest.",
)
OPENERS = (
    "That depends on your plans.",
    "Good question!",
    "Here is how I would go about it.",
    "Happy to help with the {thing}.",
    "Let's take it step by step.",
)

Compiled = tuple[tuple[str, str], ...]
"""Pairs of the text before a slot and the slot; the last slot is ''."""


def compiled(template: str) -> Compiled:
    """A template taken apart, so that filling it is a few look-ups."""
    parts = SLOT.split(template)
    pairs = [(parts[at], parts[at + 1]) for at in range(0, len(parts) - 1, 2)]
    return (*pairs, (parts[-1], ""))


GREETINGS = tuple(map(compiled, LISTS["GREETINGS"]))
REACTIONS = tuple(map(compiled, LISTS["REACTIONS"]))
CLOSINGS = tuple(map(compiled, LISTS["CLOSINGS"]))
STATEMENT = tuple(map(compiled, STATEMENTS))
FACT = tuple(map(compiled, FACTS))
QUESTION = tuple(map(compiled, QUESTIONS))
REQUEST = tuple(map(compiled, REQUESTS))
ADVISE = tuple(map(compiled, ADVICE))
OPEN = tuple(map(compiled, OPENERS))
