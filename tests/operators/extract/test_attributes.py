"""Attributes: what is stated, and what must not be read into a sentence."""

from datetime import date

import pytest

from operators.attributes import FUNCTIONAL_ATTRIBUTES, SET_VALUED_ATTRIBUTES, is_functional
from operators.extract.attributes import find_triple

BASE = date(2024, 2, 5)

STATED = [
    ("I live in Lisbon.", ("Nora", "home_city", "Lisbon")),
    ("I just moved to Porto, Portugal!", ("Nora", "home_city", "Porto, Portugal")),
    ("I moved from Rome to New York last month.", ("Nora", "home_city", "New York")),
    ("I'm based in Berlin now", ("Nora", "home_city", "Berlin")),
    ("We moved to a new flat in Lyon.", ("Nora", "home_city", "Lyon")),
    ("I work at Initech in Zurich.", ("Nora", "employer", "Initech")),
    ("I work as a data engineer at Globex.", ("Nora", "employer", "Globex")),
    ("I started a new job at Acme Corp yesterday!", ("Nora", "employer", "Acme Corp")),
    ("I was hired by Hooli.", ("Nora", "employer", "Hooli")),
    ("I'm a pediatric nurse.", ("Nora", "job_title", "pediatric nurse")),
    ("I work as a carpenter.", ("Nora", "job_title", "carpenter")),
    ("I got promoted to team lead last week", ("Nora", "job_title", "team lead")),
    ("My birthday is on 3 May.", ("Nora", "birthday", "3 May")),
    ("I'm 32 years old.", ("Nora", "age", "32")),
    ("I just turned 40!", ("Nora", "age", "40")),
    ("I'm single.", ("Nora", "relationship_status", "single")),
    ("We got married!", ("Nora", "relationship_status", "married")),
    ("My husband Tom cooks.", ("Nora", "partner", "Tom")),
    ("My wife's name is Ana.", ("Nora", "partner", "Ana")),
    ("I have a small brown dog called Rex.", ("Nora", "pet", "Rex (dog)")),
    ("My cat Luna sleeps.", ("Nora", "pet", "Luna (cat)")),
    ("We adopted a puppy named Max", ("Nora", "pet", "Max (puppy)")),
    ("I'm vegan.", ("Nora", "diet", "vegan")),
    ("I went vegetarian in June.", ("Nora", "diet", "vegetarian")),
    ("I'm allergic to peanuts.", ("Nora", "allergy", "peanuts")),
    ("I have a severe shellfish allergy", ("Nora", "allergy", "shellfish")),
    ("My favourite colour is green.", ("Nora", "favourite_colour", "green")),
    ("My favorite book is The Red Door.", ("Nora", "favourite_book", "The Red Door")),
    ("I love thai food.", ("Nora", "likes", "thai food")),
    ("I really enjoy hiking with friends, you know.", ("Nora", "likes", "hiking with friends")),
    ("I can't stand loud music.", ("Nora", "dislikes", "loud music")),
    ("I hate mushrooms!", ("Nora", "dislikes", "mushrooms")),
    ("My hobbies are pottery.", ("Nora", "hobby", "pottery")),
    ("I play the violin.", ("Nora", "hobby", "violin")),
    ("I speak Polish and German.", ("Nora", "language", "Polish and German")),
    ("I study biology at Springfield University.", ("Nora", "school", "Springfield University")),
    ("I drive a Toyota Corolla.", ("Nora", "car", "Toyota Corolla")),
    ("My older sister Kate called.", ("Nora", "sibling", "Kate")),
    ("My son Leo is two.", ("Nora", "child", "Leo")),
    ("The launch is on 21 March.", ("launch", "launch_date", "2024-03-21")),
    ("The Atlas launch moved to 4 April.", ("Atlas", "launch_date", "2024-04-04")),
    ("The deadline for the report is Friday.", ("report", "deadline", "2024-02-09")),
    ("The marketing budget is now $50,000.", ("marketing", "budget", "$50,000")),
    ("Marek owns billing now.", ("billing", "owner", "Marek")),
    ("Ines is taking over the search service from Marek.", ("search service", "owner", "Ines")),
    ("Our vendor is Contoso.", ("team", "vendor", "Contoso")),
    ("We chose Fabrikam as our new vendor", ("team", "vendor", "Fabrikam")),
    ("After we moved to Berlin, I was happy", ("Nora", "home_city", "Berlin")),
    ("I left Initech and joined Globex.", ("Nora", "employer", "Globex")),
    ("I joined Globex last month as an engineer", ("Nora", "employer", "Globex")),
    ("Marek took over payments last week.", ("payments", "owner", "Marek")),
    ("We moved the launch to 21 March.", ("launch", "launch_date", "2024-03-21")),
    ("I'm a nurse and might move to Rome.", ("Nora", "job_title", "nurse")),
    ("Now I live in Rome, I work at Acme.", ("Nora", "home_city", "Rome")),
    ("We've lived in York since school.", ("Nora", "home_city", "York")),
    ("I found work at the museum here in Oslo, at last.", ("Nora", "home_city", "Oslo")),
    ("We're in the new house in Ghent!", ("Nora", "home_city", "Ghent")),
    ("I've worked at Acme Press for six years.", ("Nora", "employer", "Acme Press")),
    ("Five years at the music school.", ("Nora", "employer", "music school")),
    ("I start at the museum on 1 June.", ("Nora", "employer", "museum")),
    ("I'm allergic to walnuts please!", ("Nora", "allergy", "walnuts")),
    ("My birthday's on 4 June and nobody knows.", ("Nora", "birthday", "4 June")),
    ("I love dramas and old films.", ("Nora", "likes", "dramas and old films")),
    ("I like sea swimming more every year.", ("Nora", "likes", "sea swimming")),
    ("I like sorting the shelves underneath.", ("Nora", "likes", "sorting the shelves")),
    ("Vegan now.", ("Nora", "diet", "vegan")),
    ("The search page is mine.", ("search page", "owner", "Nora")),
    (
        "We agreed on a launch date. Friday 5 April, at noon.",
        ("launch", "launch_date", "2024-04-05"),
    ),
    ("The launch moves from 4 April to Friday 10 May.", ("launch", "launch_date", "2024-05-10")),
    (
        "A correction on the launch: sorry, not the 4th, the 11th. So Thursday 11 April.",
        ("launch", "launch_date", "2024-04-11"),
    ),
    ("I raise the print budget from 8,000 to 9,500 euro.", ("print", "budget", "9,500 euro")),
    ("Eva stays in the team, full time, from Turin.", ("Eva", "home_city", "Turin")),
    ("Contoso is our paper supplier.", ("paper", "vendor", "Contoso")),
    ("All invoices now go through Fabrikam.", ("invoices", "vendor", "Fabrikam")),
    ("We hired Eva Lund as our cook.", ("Eva Lund", "job_title", "cook")),
    ("So from Monday Eva takes sales: she becomes sales lead.", ("Eva", "job_title", "sales lead")),
]


@pytest.mark.parametrize(("text", "expected"), STATED, ids=lambda v: str(v)[:40])
def test_stated(text: str, expected: tuple[str, str, str]) -> None:
    found = find_triple(text, "Nora", BASE)
    assert found is not None
    assert tuple(found) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Do I live in Lisbon?",
        "Explain tides like I'm 10.",
        "I'm 87.5% of the way there.",
        "This is the bench where we got engaged.",
        "Marek owns the move.",
        "I don't live in Lisbon any more.",
        "I no longer work at Initech.",
        "I used to work at Initech.",
        "I might move to Rome.",
        "I'd love to live in Rome.",
        "If I moved to Rome, I would cry.",
        "I want to live in Rome.",
        "I wish I lived in Rome",
        "I never lived in Rome.",
        "I moved to the couch.",
        "I'm not vegan.",
        "I'm not allergic to nuts.",
        "I'm 10 minutes late.",
        "I love it.",
        "I love how you sing.",
        "I'd like a coffee.",
        "I like to",
        "That is something I love every day.",
        "The launch was great.",
        "The launch might move to 4 April.",
        "The deadline is tight.",
        "My dog barks.",
        "My birthday is soon.",
        "He owns a boat.",
        "I'm a bit tired.",
        "I joined a gym.",
        "I'm moving to Rome.",
        "When I lived in Oslo I skied.",
        "Is Marek owning billing?",
        "The weather is nice.",
        "I hate to say it.",
        "Eva works from Monday.",
        "The train goes through Rome.",
        "We lived in Rome.",
        "I'm here in Rome for a week.",
        "I'll work at Acme from June.",
        "Acme offered me the job.",
        "Ten years in Oslo.",
        "The fault is mine.",
        "I start at the beginning of June.",
        "We went through Rome.",
        "I love making",
        "",
    ],
)
def test_not_stated(text: str) -> None:
    assert find_triple(text, "Nora", BASE) is None


def test_an_assistant_has_no_tastes_and_no_home() -> None:
    assert find_triple("I like the cook more every time.", "Assistant", BASE) is None
    assert find_triple("I live in Rome.", "Assistant", BASE) is None


def test_an_attribute_is_functional_or_set_valued() -> None:
    assert not FUNCTIONAL_ATTRIBUTES & SET_VALUED_ATTRIBUTES
    assert (
        is_functional("home_city")
        and is_functional("favourite_colour")
        and not is_functional("pet")
    )
    for _, (_, attribute, _) in STATED:
        assert is_functional(attribute) != (attribute in SET_VALUED_ATTRIBUTES)
