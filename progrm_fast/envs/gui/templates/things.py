"""Tasks about articles, products, notes, alarms, settings and events."""

from __future__ import annotations

from progrm_fast.envs.gui import words
from progrm_fast.envs.gui.apps.settings import CHOICES, PAGE_OF
from progrm_fast.envs.gui.phone import Fact
from progrm_fast.envs.gui.tasks import HOME, Draft, Draw, Move, answer, either, enter, tap, template
from progrm_fast.envs.gui.words import LEVELS
from progrm_fast.envs.gui.world import add_product

Ways = list[tuple[Move, ...]]
SEARCH, SHOP, CLOCK, NOTES, CALENDAR = tap("search"), tap("shop"), tap("clock"), tap("notes"), tap("calendar")


def topic_of(title: str) -> str:
    """Return the topic that lists an article."""
    return next(topic for topic, things in words.TOPICS.items() if title.split()[1] in things)


def open_article(title: str) -> Ways:
    """Ways from the home screen to an article."""
    return [
        (SEARCH, enter("words", title), tap("go"), tap(title)),
        (SEARCH, tap(topic_of(title)), tap(title)),
    ]


def listed_article(title: str) -> frozenset[Fact]:
    """Return the milestone of a list that holds the article."""
    found = [("at", "search.results", query) for query in (title, *title.split())]
    return either(("at", "search.topic", topic_of(title)), *found)


def listed_product(name: str) -> frozenset[Fact]:
    """Return the milestone of a list that holds the product."""
    return either(*(("at", "shop.results", query) for query in (name, *name.split())))


def open_product(name: str) -> Ways:
    """Ways from the home screen to a product."""
    return [
        (SHOP, enter("words", name), tap("go"), tap(name)),
        (SHOP, tap(f"all {name.split()[1]}"), tap(name)),
    ]


def set_setting(name: str, value: str) -> Ways:
    """Ways from the home screen to a changed setting."""
    change = (tap(name), tap(value)) if CHOICES[name] is LEVELS else (tap(name),)
    return [
        (tap("settings"), tap(PAGE_OF[name]), *change),
        (tap("settings"), tap("find setting"), enter("word", name.split()[0]), *change),
    ]


def shown_setting(name: str) -> frozenset[Fact]:
    """Return the milestone of a setting being on the screen."""
    return either(("at", "settings.page", PAGE_OF[name]), ("form", "settings.word", name.split()[0]))


def ordering(name: str) -> tuple[Fact | frozenset[Fact], ...]:
    """Return the milestones of an order."""
    start, product, checkout = ("at", "shop", ""), ("at", "shop.product", name), ("at", "shop.checkout", "")
    return start, listed_product(name), product, ("cart", name), ("at", "shop.cart", ""), checkout


def drawn_article(draw: Draw) -> str:
    """Return the title of some article."""
    titles: list[str] = sorted(draw.world["articles"])
    return draw.rng.choice(titles)


@template("train")
def article_author(draw: Draw) -> Draft:
    """Answer who wrote an article."""
    title = drawn_article(draw)
    author = draw.world["articles"][title]["author"]
    return Draft(
        f"answer who wrote the article {title}",
        (
            ("at", "search", ""),
            listed_article(title),
            ("at", "search.article", title),
            ("at", "search.about", title),
        ),
        (("answer", author),),
        tuple((*way, tap("about"), answer(author)) for way in open_article(title)),
    )


@template("train")
def article_save(draw: Draw) -> Draft:
    """Save an article and rate it."""
    title, stars = drawn_article(draw), draw.rng.randint(1, 5)
    ways: Ways = []
    for way in open_article(title):
        ways.append((*way, tap("saved"), tap("rate"), tap(f"{stars} stars")))
        ways.append((*way, tap("rate"), tap(f"{stars} stars"), tap("saved")))
    return Draft(
        f"save the article {title} and give it {stars} stars",
        (
            ("at", "search", ""),
            ("at", "search.article", title),
            ("saved", title, "on"),
            ("at", "search.rate", title),
        ),
        (("saved", title, "on"), ("rated", title, str(stars))),
        tuple(ways),
    )


@template("train", instances=32)
def shop_order(draw: Draw) -> Draft:
    """Order one product; an order is final."""
    name = draw.rng.choice(sorted(draw.world["products"]))
    rest = (tap("add to cart"), tap("cart"), tap("checkout"), tap("order"))
    return Draft(
        f"order the {name}",
        ordering(name),
        (("order", "shop", name),),
        tuple((*way, *rest) for way in open_product(name)),
    )


@template("train", instances=32)
def shop_delivery(draw: Draw) -> Draft:
    """Order one product by post."""
    name = draw.rng.choice(sorted(draw.world["products"]))
    rest = (tap("add to cart"), tap("cart"), tap("checkout"), tap("by post"), tap("order"))
    return Draft(
        f"order the {name} and let it come by post",
        (*ordering(name), ("delivery", "post")),
        (("order", "post", name),),
        tuple((*way, *rest) for way in open_product(name)),
    )


@template("train", instances=32)
def shop_stars(draw: Draw) -> Draft:
    """Answer how good a product is."""
    name = draw.rng.choice(sorted(draw.world["products"]))
    record = draw.world["products"][name]
    return Draft(
        f"answer how many stars the {name} has",
        (("at", "shop", ""), listed_product(name), ("at", "shop.product", name)),
        (("answer", record["stars"]),),
        tuple((*way, answer(record["stars"])) for way in open_product(name)),
    )


@template("test")
def shop_cheapest(draw: Draw) -> Draft:
    """Order the cheaper one of a kind."""
    kind = draw.word(words.PRODUCTS)
    for name in [name for name in draw.world["products"] if name.split()[1] == kind]:
        del draw.world["products"][name]
    colours = draw.rng.sample(words.COLOURS, 2)
    prices = sorted(draw.rng.sample(range(len(words.PRICES)), 2))
    for colour, price in zip(colours, prices, strict=True):
        add_product(draw.world, draw.rng, f"{colour} {kind}", words.PRICES[price])
    name = f"{colours[0]} {kind}"
    rest = (tap("add to cart"), tap("cart"), tap("checkout"), tap("order"))
    return Draft(
        f"order the cheapest {kind}",
        ordering(name),
        (("order", "shop", name),),
        (
            (SHOP, enter("words", kind), tap("go"), tap(name), *rest),
            (SHOP, tap(f"all {kind}"), tap(name), *rest),
        ),
    )


@template("dev")
def shop_wishes(draw: Draw) -> Draft:
    """Put two products on the wish list."""
    one, two = draw.rng.sample(sorted(draw.world["products"]), 2)
    return Draft(
        f"wish for the {one} and the {two}",
        (
            ("at", "shop", ""),
            listed_product(one),
            ("at", "shop.product", one),
            ("wish", one, "on"),
            listed_product(two),
            ("at", "shop.product", two),
        ),
        (("wish", one, "on"), ("wish", two, "on")),
        tuple(
            (*first, tap("wish"), HOME, *second, tap("wish"))
            for first in open_product(one)
            for second in open_product(two)
        ),
    )


@template("train", instances=56)
def note_new(draw: Draw) -> Draft:
    """Write a note."""
    title, text = draw.word(words.NOTE_TITLES, *draw.world["notes"]), draw.word(words.BODIES)
    fields = (enter("title", title), enter("text", text))
    start, end = (NOTES, tap("new note")), (tap("save"),)
    return Draft(
        f"write a new note {title} with text {text}",
        (
            ("at", "notes", ""),
            ("at", "notes.edit", ""),
            ("form", "notes.title", title),
            ("form", "notes.text", text),
        ),
        (("note", title, text),),
        ((*start, *fields, *end), (*start, *fields[::-1], *end)),
    )


@template("train", instances=56)
def note_edit(draw: Draw) -> Draft:
    """Change a note and pin it."""
    title = draw.rng.choice(sorted(draw.world["notes"]))
    text = draw.word(words.BODIES, draw.world["notes"][title]["text"])
    change = (tap("edit"), enter("text", text), tap("save"))
    return Draft(
        f"change the note {title} to {text} and pin it",
        (
            ("at", "notes", ""),
            ("at", "notes.open", title),
            ("at", "notes.edit", title),
            ("form", "notes.text", text),
            ("pinned", title, "on"),
        ),
        (("note", title, text), ("pinned", title, "on")),
        ((NOTES, tap(title), *change, tap("pinned")), (NOTES, tap(title), tap("pinned"), *change)),
    )


@template("train")
def alarm_new(draw: Draw) -> Draft:
    """Set an alarm and switch another on."""
    time = draw.word(words.TIMES, *draw.world["alarms"])
    other = draw.rng.choice(sorted(draw.world["alarms"]))
    switch = tap(f"{other} off")
    new = (tap("new alarm"), enter("time", time), tap("save"))
    return Draft(
        f"set a new alarm for {time} and switch the alarm {other} on",
        (("at", "clock", ""), ("at", "clock.edit", ""), ("form", "clock.time", time), ("alarm", other, "on")),
        (("alarm", time, "on"), ("alarm", other, "on")),
        ((CLOCK, *new, switch), (CLOCK, switch, *new)),
    )


@template("train")
def alarm_move(draw: Draw) -> Draft:
    """Change the time of an alarm and start the timer."""
    old = draw.rng.choice(sorted(draw.world["alarms"]))
    time = draw.word(words.TIMES, *draw.world["alarms"])
    minutes = draw.word(("5", "10", "15", "20"))
    change = (tap(f"alarm {old}"), enter("time", time), tap("save"))
    run = (tap("timer"), tap(f"{minutes} minutes"))
    return Draft(
        f"move the alarm from {old} to {time} and start a timer of {minutes} minutes",
        (
            ("at", "clock", ""),
            ("at", "clock.edit", old),
            ("form", "clock.time", time),
            ("at", "clock.timer", ""),
        ),
        (("moved alarm", old, time), ("timer", minutes)),
        ((CLOCK, *change, *run), (CLOCK, *run, *change)),
        (("alarm", time, "on"),),
    )


@template("train")
def settings_two(draw: Draw) -> Draft:
    """Change two settings."""
    one, two = draw.rng.sample(sorted(CHOICES), 2)
    settings = draw.world["settings"]
    values = [draw.word(CHOICES[name], settings[name]) for name in (one, two)]
    return Draft(
        f"set {one} to {values[0]} and {two} to {values[1]}",
        (("at", "settings", ""), shown_setting(one), ("set", one, values[0]), shown_setting(two)),
        (("set", one, values[0]), ("set", two, values[1])),
        tuple(
            (*first, HOME, *second)
            for first in set_setting(one, values[0])
            for second in set_setting(two, values[1])
        ),
    )


@template("dev")
def settings_answer(draw: Draw) -> Draft:
    """Answer what the phone says of itself, after a setting was changed."""
    name = draw.rng.choice(sorted(CHOICES))
    value = draw.word(CHOICES[name], draw.world["settings"][name])
    what = draw.rng.choice(sorted(draw.world["phone"]))
    known = draw.world["phone"][what]
    look = (tap("settings"), tap("this phone"))
    return Draft(
        f"set {name} to {value} and answer which {what} this phone has",
        (("at", "settings", ""), shown_setting(name), ("set", name, value), ("at", "settings.phone", "")),
        (("set", name, value), ("answer", known)),
        tuple((*way, HOME, *look, answer(known)) for way in set_setting(name, value))
        + tuple((*look, HOME, *way, answer(known)) for way in set_setting(name, value)),
    )


@template("train")
def event_new(draw: Draw) -> Draft:
    """Plan an event."""
    title = draw.word(words.SUBJECTS, *draw.world["events"])
    day, time = draw.word(words.DAYS), draw.word(words.TIMES)
    named, timed, end = enter("title", title), enter("time", time), tap("save")
    return Draft(
        f"plan {title} for {day} at {time}",
        (
            ("at", "calendar", ""),
            ("at", "calendar.edit", ""),
            ("form", "calendar.title", title),
            ("form", "calendar.day", day),
            ("form", "calendar.time", time),
        ),
        (("event", title, day, time),),
        (
            (CALENDAR, tap("new event"), named, enter("day", day), timed, end),
            (CALENDAR, tap(day), tap("new event"), named, timed, end),
        ),
    )


@template("train")
def event_move(draw: Draw) -> Draft:
    """Move an event to another day."""
    title = draw.rng.choice(sorted(draw.world["events"]))
    old, time = draw.world["events"][title]
    day = draw.word(words.DAYS, old)
    change = (tap(title), tap("edit"), enter("day", day), tap("save"))
    return Draft(
        f"move {title} from {old} to {day}",
        (
            ("at", "calendar", ""),
            either(("at", "calendar.all", ""), ("at", "calendar.day", old)),
            ("at", "calendar.open", title),
            ("at", "calendar.edit", title),
            ("form", "calendar.day", day),
        ),
        (("event", title, day, time),),
        ((CALENDAR, tap("all events"), *change), (CALENDAR, tap(old), *change)),
    )


@template("train")
def event_delete(draw: Draw) -> Draft:
    """Delete an event and answer when it would have been."""
    title = draw.rng.choice(sorted(draw.world["events"]))
    day, time = draw.world["events"][title]
    gone = (tap(title), tap("delete"), tap("yes"), answer(time))
    return Draft(
        f"delete {title} on {day} and answer at what time it was",
        (
            ("at", "calendar", ""),
            either(("at", "calendar.all", ""), ("at", "calendar.day", day)),
            ("at", "calendar.open", title),
            ("at", "calendar.delete", title),
            ("deleted event", title),
        ),
        (("deleted event", title), ("answer", time)),
        ((CALENDAR, tap("all events"), *gone), (CALENDAR, tap(day), *gone)),
    )
