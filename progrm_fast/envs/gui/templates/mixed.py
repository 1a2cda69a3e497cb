"""Tasks that go through two apps or more."""

from __future__ import annotations

from progrm_fast.envs.gui import words
from progrm_fast.envs.gui.tasks import HOME, Draft, Draw, either, enter, tap, template
from progrm_fast.envs.gui.templates.people import (
    IN_CONTACTS,
    IN_MAIL,
    IN_MESSAGES,
    MAIL,
    MESSAGES,
    open_contact,
    open_mail,
)
from progrm_fast.envs.gui.templates.things import (
    CALENDAR,
    CLOCK,
    NOTES,
    drawn_article,
    listed_article,
    open_article,
    open_product,
    ordering,
)
from progrm_fast.envs.gui.world import add_mail

IN_SEARCH, IN_NOTES = ("at", "search", ""), ("at", "notes", "")


@template("train")
def article_mail(draw: Draw) -> Draft:
    """Send an article by mail: by its share menu, or by copying the link."""
    title = drawn_article(draw)
    (name,) = draw.people(1)
    send = (enter("to", name), tap("send"))
    ways = []
    for way in open_article(title):
        ways.append((*way, tap("share"), tap("by mail"), *send))
        ways.append((*way, tap("copy link"), HOME, MAIL, tap("compose"), tap("paste"), *send))
    return Draft(
        f"mail the link to the article {title} to {name}",
        (
            IN_SEARCH,
            listed_article(title),
            ("at", "search.article", title),
            either(("at", "search.share", title), ("copied", title)),
            ("form", "mail.body", f"link {title}"),
            ("form", "mail.to", name),
        ),
        (("mail", name, "", f"link {title}"),),
        tuple(ways),
    )


@template("train")
def article_message(draw: Draw) -> Draft:
    """Send an article by message."""
    title = drawn_article(draw)
    (name,) = draw.people(1)
    ways = []
    for way in open_article(title):
        ways.append((*way, tap("share"), tap("by message"), tap(name), tap("send")))
        ways.append(
            (*way, tap("copy link"), HOME, MESSAGES, tap("new message"), tap(name), tap("paste"), tap("send"))
        )
    return Draft(
        f"message the link to the article {title} to {name}",
        (
            IN_SEARCH,
            listed_article(title),
            ("at", "search.article", title),
            either(("at", "search.share", title), ("copied", title)),
            either(("at", "search.receiver", title), IN_MESSAGES),
            ("at", "messages.open", name),
        ),
        (("message", name, f"link {title}"),),
        tuple(ways),
    )


@template("train")
def mail_alarm(draw: Draw) -> Draft:
    """Set an alarm for the time that a mail names."""
    (name,) = draw.people(1)
    subject, time = draw.word(words.SUBJECTS), draw.word(words.TIMES, *draw.world["alarms"])
    key = add_mail(draw.world, draw.rng, name, subject, f"come at {time}")
    return Draft(
        f"set an alarm for the time in the mail from {name} about {subject}",
        (
            IN_MAIL,
            ("at", "mail.open", key),
            ("at", "clock", ""),
            ("at", "clock.edit", ""),
            ("form", "clock.time", time),
        ),
        (("alarm", time, "on"),),
        tuple(
            (*way, HOME, CLOCK, tap("new alarm"), enter("time", time), tap("save"))
            for way in open_mail(name, subject)
        ),
    )


@template("train", instances=16)
def note_network(draw: Draw) -> Draft:
    """Connect to a network whose password is in a note."""
    network = draw.word(words.NETWORKS, draw.world["settings"]["network"])
    secret = draw.world["passwords"][network]
    title = draw.rng.choice(sorted(draw.world["notes"]))
    draw.world["notes"][title]["text"] = f"password {secret}"
    networks = (tap("settings"), tap("network"), tap("networks"), tap(network))
    connect = (enter("password", secret), tap("connect"))
    return Draft(
        f"connect to the network {network} with the password in the note {title}",
        (
            IN_NOTES,
            ("at", "notes.open", title),
            ("at", "settings", ""),
            ("at", "settings.page", "network"),
            ("at", "settings.networks", ""),
            ("at", "settings.network", network),
            ("form", "settings.password", secret),
        ),
        (("set", "network", network),),
        ((NOTES, tap(title), HOME, *networks, *connect),),
    )


@template("test")
def note_order(draw: Draw) -> Draft:
    """Order what a note names."""
    product = draw.rng.choice(sorted(draw.world["products"]))
    title = draw.rng.choice(sorted(draw.world["notes"]))
    draw.world["notes"][title]["text"] = f"buy {product}"
    rest = (tap("add to cart"), tap("cart"), tap("checkout"), tap("order"))
    return Draft(
        f"order the product in the note {title}",
        (
            IN_NOTES,
            ("at", "notes.open", title),
            *ordering(product),
        ),
        (("order", "shop", product),),
        tuple((NOTES, tap(title), HOME, *way, *rest) for way in open_product(product)),
    )


@template("train")
def event_message(draw: Draw) -> Draft:
    """Tell somebody on which day something is."""
    title = draw.rng.choice(sorted(draw.world["events"]))
    _, time = draw.world["events"][title]
    (name,) = draw.people(1)
    write = (enter("text", time), tap("send"))
    look = (CALENDAR, tap("all events"), tap(title), HOME)
    return Draft(
        f"message {name} the time of {title}",
        (
            ("at", "calendar", ""),
            ("at", "calendar.open", title),
            either(IN_MESSAGES, IN_CONTACTS),
            ("at", "messages.open", name),
            ("form", "messages.text", time),
        ),
        (("message", name, time),),
        (
            (*look, MESSAGES, tap("new message"), tap(name), *write),
            *((*look, *way, tap("message"), *write) for way in open_contact(name)),
        ),
    )


@template("test")
def mail_event(draw: Draw) -> Draft:
    """Plan what a mail proposes."""
    (name,) = draw.people(1)
    title = draw.word(words.SUBJECTS, *draw.world["events"])
    day, time = draw.word(words.DAYS), draw.word(words.TIMES)
    key = add_mail(draw.world, draw.rng, name, title, f"come on {day} at {time}")
    fields = (enter("title", title), enter("time", time))
    ways = []
    for way in open_mail(name, title):
        ways.append((*way, HOME, CALENDAR, tap("new event"), enter("day", day), *fields, tap("save")))
        ways.append((*way, HOME, CALENDAR, tap(day), tap("new event"), *fields, tap("save")))
    return Draft(
        f"plan {title} for when the mail from {name} says",
        (
            IN_MAIL,
            ("at", "mail.open", key),
            ("at", "calendar", ""),
            ("at", "calendar.edit", ""),
            ("form", "calendar.title", title),
            ("form", "calendar.day", day),
            ("form", "calendar.time", time),
        ),
        (("event", title, day, time),),
        tuple(ways),
    )


@template("dev")
def message_alarm(draw: Draw) -> Draft:
    """Set an alarm for the time that a message names."""
    name = draw.rng.choice(sorted(draw.world["threads"]))
    time = draw.word(words.TIMES, *draw.world["alarms"])
    draw.world["threads"][name] = f"i come at {time}"
    alarm = (HOME, CLOCK, tap("new alarm"), enter("time", time), tap("save"))
    return Draft(
        f"set an alarm for the time in the message of {name}",
        (
            either(IN_MESSAGES, IN_CONTACTS),
            ("at", "messages.open", name),
            ("at", "clock", ""),
            ("at", "clock.edit", ""),
            ("form", "clock.time", time),
        ),
        (("alarm", time, "on"),),
        (
            (MESSAGES, tap(name), *alarm),
            *((*way, tap("message"), *alarm) for way in open_contact(name)),
        ),
    )


@template("dev")
def article_note(draw: Draw) -> Draft:
    """Write a note that holds who wrote an article."""
    title = drawn_article(draw)
    author = draw.world["articles"][title]["author"]
    note = draw.word(words.NOTE_TITLES, *draw.world["notes"])
    write = (HOME, NOTES, tap("new note"), enter("title", note), enter("text", author), tap("save"))
    return Draft(
        f"write the author of the article {title} into a new note {note}",
        (
            IN_SEARCH,
            listed_article(title),
            ("at", "search.article", title),
            ("at", "search.about", title),
            IN_NOTES,
            ("at", "notes.edit", ""),
            ("form", "notes.title", note),
            ("form", "notes.text", author),
        ),
        (("note", note, author),),
        tuple((*way, tap("about"), *write) for way in open_article(title)),
    )
