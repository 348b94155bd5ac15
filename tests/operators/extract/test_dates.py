"""Date expressions against a fixed base: 8 May 2023, a Monday."""

from datetime import date

import pytest

from operators.extract.dates import annotate, find_dates

BASE = date(2023, 5, 8)


# text, words found, first day, last day (exclusive), label
CASES = [
    ("I went there yesterday", "yesterday", "2023-05-07", "2023-05-08", "7 May 2023"),
    ("I swam yesterday morning", "yesterday morning", "2023-05-07", "2023-05-08", "7 May 2023"),
    (
        "It rained the day before yesterday",
        "the day before yesterday",
        "2023-05-06",
        "2023-05-07",
        "6 May 2023",
    ),
    ("We danced last night", "last night", "2023-05-07", "2023-05-08", "7 May 2023"),
    ("I feel good today", "today", "2023-05-08", "2023-05-09", "8 May 2023"),
    ("We will eat out tonight", "tonight", "2023-05-08", "2023-05-09", "8 May 2023"),
    ("I ran this morning", "this morning", "2023-05-08", "2023-05-09", "8 May 2023"),
    ("See you tomorrow", "tomorrow", "2023-05-09", "2023-05-10", "9 May 2023"),
    (
        "We leave the day after tomorrow",
        "the day after tomorrow",
        "2023-05-10",
        "2023-05-11",
        "10 May 2023",
    ),
    ("I ran a race last Saturday", "last Saturday", "2023-05-06", "2023-05-07", "6 May 2023"),
    ("I slept last Monday", "last Monday", "2023-05-01", "2023-05-02", "1 May 2023"),
    ("We meet next Friday", "next Friday", "2023-05-19", "2023-05-20", "19 May 2023"),
    ("We leave this Saturday", "this Saturday", "2023-05-13", "2023-05-14", "13 May 2023"),
    ("I won this past Sunday", "this past Sunday", "2023-05-07", "2023-05-08", "7 May 2023"),
    (
        "The party is this coming Sunday",
        "this coming Sunday",
        "2023-05-14",
        "2023-05-15",
        "14 May 2023",
    ),
    ("I saw him on Friday", "on Friday", "2023-05-05", "2023-05-06", "5 May 2023"),
    ("I will see him on Friday", "on Friday", "2023-05-12", "2023-05-13", "12 May 2023"),
    ("It is due by Thursday", "by Thursday", "2023-05-11", "2023-05-12", "11 May 2023"),
    ("I have been ill since Friday", "since Friday", "2023-05-05", "2023-05-09", "5 May 2023"),
    ("I saw him last Fri", "last Fri", "2023-05-05", "2023-05-06", "5 May 2023"),
    ("I was in Rome last week", "last week", "2023-05-01", "2023-05-08", "week of 1 May 2023"),
    ("It is busy this week", "this week", "2023-05-08", "2023-05-15", "week of 8 May 2023"),
    ("I fly next week", "next week", "2023-05-15", "2023-05-22", "week of 15 May 2023"),
    (
        "I was ill the week before last",
        "the week before last",
        "2023-04-24",
        "2023-05-01",
        "week of 24 April 2023",
    ),
    ("We hiked last weekend", "last weekend", "2023-05-06", "2023-05-08", "weekend of 6 May 2023"),
    (
        "We will hike this weekend",
        "this weekend",
        "2023-05-13",
        "2023-05-15",
        "weekend of 13 May 2023",
    ),
    (
        "We will hike next weekend",
        "next weekend",
        "2023-05-20",
        "2023-05-22",
        "weekend of 20 May 2023",
    ),
    (
        "I painted over the weekend",
        "over the weekend",
        "2023-05-06",
        "2023-05-08",
        "weekend of 6 May 2023",
    ),
    ("I started last month", "last month", "2023-04-01", "2023-05-01", "April 2023"),
    ("I will paint this month", "this month", "2023-05-01", "2023-06-01", "May 2023"),
    ("We go camping next month", "next month", "2023-06-01", "2023-07-01", "June 2023"),
    ("I moved last year", "last year", "2022-01-01", "2023-01-01", "2022"),
    ("I will move next year", "next year", "2024-01-01", "2025-01-01", "2024"),
    ("Sales fell last quarter", "last quarter", "2023-01-01", "2023-04-01", "Q1 2023"),
    ("We surfed last summer", "last summer", "2022-06-01", "2022-09-01", "summer 2022"),
    ("I will surf next summer", "next summer", "2023-06-01", "2023-09-01", "summer 2023"),
    ("I skied last winter", "last winter", "2022-12-01", "2023-03-01", "winter 2022/23"),
    ("We met this spring", "this spring", "2023-03-01", "2023-06-01", "spring 2023"),
    ("I arrived 3 days ago", "3 days ago", "2023-05-05", "2023-05-06", "5 May 2023"),
    (
        "I arrived a couple of days ago",
        "a couple of days ago",
        "2023-05-06",
        "2023-05-07",
        "6 May 2023",
    ),
    (
        "I arrived two weeks ago",
        "two weeks ago",
        "2023-04-24",
        "2023-05-01",
        "week of 24 April 2023",
    ),
    (
        "We met two weekends ago",
        "two weekends ago",
        "2023-04-29",
        "2023-05-01",
        "weekend of 29 April 2023",
    ),
    ("I arrived a month ago", "a month ago", "2023-04-01", "2023-05-01", "April 2023"),
    ("I arrived five months ago", "five months ago", "2022-12-01", "2023-01-01", "December 2022"),
    ("I began three years ago", "three years ago", "2020-01-01", "2021-01-01", "2020"),
    ("I began a decade ago", "a decade ago", "2013-01-01", "2014-01-01", "2013"),
    ("I left an hour ago", "an hour ago", "2023-05-08", "2023-05-09", "8 May 2023"),
    ("I left a few days ago", "a few days ago", "2023-05-01", "2023-05-07", None),
    ("We fly in two weeks", "in two weeks", "2023-05-22", "2023-05-29", "week of 22 May 2023"),
    ("We fly in 10 days", "in 10 days", "2023-05-18", "2023-05-19", "18 May 2023"),
    (
        "We fly three months from now",
        "three months from now",
        "2023-08-01",
        "2023-09-01",
        "August 2023",
    ),
    ("The past two months were hard", "The past two months", "2023-03-09", "2023-05-09", None),
    ("We launched in March", "in March", "2023-03-01", "2023-04-01", "March 2023"),
    ("We will launch in March", "in March", "2024-03-01", "2024-04-01", "March 2024"),
    ("I met her in December", "in December", "2022-12-01", "2023-01-01", "December 2022"),
    (
        "I have lived here since January",
        "since January",
        "2023-01-01",
        "2023-05-09",
        "January 2023",
    ),
    ("I met her last October", "last October", "2022-10-01", "2022-11-01", "October 2022"),
    ("I will see her next August", "next August", "2023-08-01", "2023-09-01", "August 2023"),
    ("I met her on 3 May", "3 May", "2023-05-03", "2023-05-04", "3 May 2023"),
    ("I met her on the 3rd of May", "3rd of May", "2023-05-03", "2023-05-04", "3 May 2023"),
    ("I met her on April 30th", "April 30th", "2023-04-30", "2023-05-01", "30 April 2023"),
    (
        "The launch is on 21 March and will be great",
        "21 March",
        "2024-03-21",
        "2024-03-22",
        "21 March 2024",
    ),
    ("It was May 3rd, 2021", "May 3rd, 2021", "2021-05-03", "2021-05-04", None),
    ("It was 3 May 2021", "3 May 2021", "2021-05-03", "2021-05-04", None),
    ("It was in June 2021", "June 2021", "2021-06-01", "2021-07-01", None),
    ("It was in the summer of 2019", "summer of 2019", "2019-06-01", "2019-09-01", None),
    ("Due 2023-06-03", "2023-06-03", "2023-06-03", "2023-06-04", None),
    ("It was on 12/25/2022", "12/25/2022", "2022-12-25", "2022-12-26", "25 December 2022"),
    ("It was on 14.03.2022", "14.03.2022", "2022-03-14", "2022-03-15", "14 March 2022"),
    ("I moved here in 2015", "in 2015", "2015-01-01", "2016-01-01", None),
    ("I have lived here since 2015", "since 2015", "2015-01-01", "2023-05-09", None),
    ("The review will be on the 14th", "on the 14th", "2023-05-14", "2023-05-15", "14 May 2023"),
    ("I met him on the 5th", "on the 5th", "2023-05-05", "2023-05-06", "5 May 2023"),
    ("I met him on the 25th", "on the 25th", "2023-04-25", "2023-04-26", "25 April 2023"),
    ("My last day is 31 March", "31 March", "2024-03-31", "2024-04-01", "31 March 2024"),
    (
        "I signed up for a race, it's on 18 June",
        "18 June",
        "2023-06-18",
        "2023-06-19",
        "18 June 2023",
    ),
    ("I met him on 18 June", "18 June", "2022-06-18", "2022-06-19", "18 June 2022"),
    ("Agreed, so 6 September", "6 September", "2023-09-06", "2023-09-07", "6 September 2023"),
    ("For me 20 April", "20 April", "2023-04-20", "2023-04-21", "20 April 2023"),
    ("I fly on Tuesday 9 May", "Tuesday 9 May", "2023-05-09", "2023-05-10", "9 May 2023"),
    (
        "Saturday 24 December",
        "Saturday 24 December",
        "2022-12-24",
        "2022-12-25",
        "24 December 2022",
    ),
    ("Sunday the 14th, a party", "Sunday the 14th", "2023-05-14", "2023-05-15", "14 May 2023"),
    ("They've agreed to wait until June", "until June", "2023-06-01", "2023-07-01", "June 2023"),
    ("I sent it on Wednesday", "on Wednesday", "2023-05-03", "2023-05-04", "3 May 2023"),
    ("It can be made on Friday", "on Friday", "2023-05-12", "2023-05-13", "12 May 2023"),
    ("I danced on Friday night", "on Friday night", "2023-05-05", "2023-05-06", "5 May 2023"),
    (
        "My flight was cancelled, there's a strike on the 12th",
        "on the 12th",
        "2023-05-12",
        "2023-05-13",
        "12 May 2023",
    ),
    (
        "We ate a lot last Christmas",
        "last Christmas",
        "2022-12-25",
        "2022-12-26",
        "25 December 2022",
    ),
]


@pytest.mark.parametrize(
    ("text", "words", "first", "last", "label"), CASES, ids=lambda v: str(v)[:40]
)
def test_expressions(text: str, words: str, first: str, last: str, label: str | None) -> None:
    (found,) = find_dates(text, BASE)
    assert (text[found.start : found.end], str(found.first), str(found.last), found.label) == (
        words,
        first,
        last,
        label,
    )


@pytest.mark.parametrize(
    "text",
    [
        "I may go",
        "The first day without rain in nine years",
        "I haven't slept in two weeks",
        "My last week at the office, sadly",
        "I sat down in the sun",
        "We march on",
        "I work out every Saturday",
        "I love Fridays",
        "I read 14 books",
        "It is on the 14th floor",
        "I finished the book in two weeks",
        "The common decision was made by doctors",
        "I may have 3 dogs",
        "Call me at 10:30",
        "31 June is no day",
        "",
    ],
)
def test_no_expression(text: str) -> None:
    assert find_dates(text, BASE) == []


def test_a_day_belongs_to_the_month_spoken_of() -> None:
    text = "Not on 3 July, sorry: not the 14th, the 21st"
    assert [str(d.first) for d in find_dates(text, BASE)] == [
        "2023-07-03",
        "2023-07-14",
        "2023-07-21",
    ]
    (found,) = find_dates("I will be back by the 12th", BASE, month=date(2023, 10, 1))
    assert found.first == date(2023, 10, 12)
    (found,) = find_dates("I came back on the 2nd", BASE, month=date(2023, 10, 1))
    assert found.first == date(2023, 5, 2)  # October is yet to come


def test_annotation_goes_behind_the_words_once() -> None:
    text = "last week's trip was fun, and last week I also swam"
    assert annotate(text, find_dates(text, BASE)) == (
        "last week's (week of 1 May 2023) trip was fun, and last week I also swam"
    )


def test_an_explained_date_is_left_alone() -> None:
    text = "It was yesterday (Sunday)"
    assert annotate(text, find_dates(text, BASE)) == text


def test_only_absolute_ignores_relative_words() -> None:
    text = "Rest today, and note that on March 3, 1917 it began"
    (found,) = find_dates(text, BASE, only_absolute=True)
    assert text[found.start : found.end] == "March 3, 1917"


@pytest.mark.parametrize("base", [date.min, date.max])
def test_the_ends_of_time_do_not_crash(base: date) -> None:
    for text, *_ in CASES:
        find_dates(text, base)
