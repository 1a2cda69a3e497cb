"""Tasks about mails, messages and contacts."""

from __future__ import annotations

from progrm_fast.envs.gui import words
from progrm_fast.envs.gui.tasks import HOME, Draft, Draw, Move, answer, either, enter, tap, template
from progrm_fast.envs.gui.world import add_mail

MAIL, MESSAGES, CONTACTS = tap("mail"), tap("messages"), tap("contacts")
COMPOSED = ("at", "mail.compose", "")
IN_MAIL, IN_MESSAGES, IN_CONTACTS = ("at", "mail", ""), ("at", "messages", ""), ("at", "contacts", "")


def open_contact(name: str) -> list[tuple[Move, ...]]:
    """Ways from the home screen to a contact."""
    return [
        (CONTACTS, tap(name)),
        (CONTACTS, tap("find contact"), enter("word", name), tap(name)),
    ]


def open_mail(sender: str, subject: str) -> list[tuple[Move, ...]]:
    """Ways from the home screen to a mail."""
    key = f"{sender} {subject}"
    return [
        (MAIL, tap(key)),
        (MAIL, tap("find mail"), enter("word", sender), tap(key)),
    ]


@template("train")
def mail_send(draw: Draw) -> Draft:
    """Write a mail with subject and text."""
    (name,) = draw.people(1)
    subject, body = draw.word(words.SUBJECTS), draw.word(words.BODIES)
    rest = (enter("subject", subject), enter("text", body), tap("send"))
    return Draft(
        f"send a mail to {name} with subject {subject} and text {body}",
        (
            either(IN_MAIL, IN_CONTACTS),
            COMPOSED,
            ("form", "mail.to", name),
            ("form", "mail.subject", subject),
            ("form", "mail.body", body),
        ),
        (("mail", name, subject, body),),
        (
            (MAIL, tap("compose"), enter("to", name), *rest),
            (MAIL, tap("compose"), tap("pick contact"), tap(name), *rest),
            *((*way, tap("write mail"), *rest) for way in open_contact(name)),
        ),
    )


@template("train")
def mail_reply(draw: Draw) -> Draft:
    """Answer a mail."""
    (name,) = draw.people(1)
    subject, body = draw.word(words.SUBJECTS), draw.word(words.BODIES)
    key = add_mail(draw.world, draw.rng, name, subject, draw.word(words.BODIES, body))
    return Draft(
        f"reply {body} to the mail from {name} about {subject}",
        (IN_MAIL, ("at", "mail.open", key), COMPOSED, ("form", "mail.body", body)),
        (("mail", name, subject, body),),
        tuple((*way, tap("reply"), enter("text", body), tap("send")) for way in open_mail(name, subject)),
    )


@template("train")
def mail_forward(draw: Draw) -> Draft:
    """Pass a mail on."""
    sender, receiver = draw.people(2)
    subject, body = draw.word(words.SUBJECTS), draw.word(words.BODIES)
    key = add_mail(draw.world, draw.rng, sender, subject, body)
    ways = []
    for way in open_mail(sender, subject):
        ways.append((*way, tap("forward"), enter("to", receiver), tap("send")))
        ways.append((*way, tap("forward"), tap("pick contact"), tap(receiver), tap("send")))
    return Draft(
        f"forward the mail from {sender} about {subject} to {receiver}",
        (IN_MAIL, ("at", "mail.open", key), COMPOSED, ("form", "mail.to", receiver)),
        (("mail", receiver, subject, body),),
        tuple(ways),
    )


@template("train")
def mail_delete(draw: Draw) -> Draft:
    """Delete one mail; a wrong one is gone for good."""
    (name,) = draw.people(1)
    subject = draw.word(words.SUBJECTS)
    key = add_mail(draw.world, draw.rng, name, subject, draw.word(words.BODIES))
    add_mail(draw.world, draw.rng, name, draw.word(words.SUBJECTS, subject), draw.word(words.BODIES))
    return Draft(
        f"delete the mail from {name} about {subject}",
        (IN_MAIL, ("at", "mail.open", key), ("at", "mail.delete", key)),
        (("deleted mail", key),),
        tuple((*way, tap("delete"), tap("yes")) for way in open_mail(name, subject)),
    )


@template("train")
def mail_time(draw: Draw) -> Draft:
    """Star a mail and answer what it says."""
    (name,) = draw.people(1)
    subject, time = draw.word(words.SUBJECTS), draw.word(words.TIMES)
    key = add_mail(draw.world, draw.rng, name, subject, f"come at {time}")
    add_mail(
        draw.world, draw.rng, name, draw.word(words.SUBJECTS, subject), f"come at {draw.word(words.TIMES, time)}"
    )
    return Draft(
        f"star the mail from {name} about {subject} and answer when to come",
        (IN_MAIL, ("at", "mail.open", key)),
        (("star", key, "True"), ("answer", time)),
        tuple((*way, tap("star"), answer(time)) for way in open_mail(name, subject)),
    )


@template("dev")
def mail_tidy(draw: Draw) -> Draft:
    """Star one mail and archive another."""
    first, second = draw.people(2)
    subject, other = draw.word(words.SUBJECTS), draw.word(words.SUBJECTS)
    starred = add_mail(draw.world, draw.rng, first, subject, draw.word(words.BODIES))
    archived = add_mail(draw.world, draw.rng, second, other, draw.word(words.BODIES))
    back = tap("home")
    return Draft(
        f"star the mail from {first} about {subject} and archive the mail from {second} about {other}",
        (
            IN_MAIL,
            ("at", "mail.open", starred),
            ("star", starred, "True"),
            ("at", "mail.open", archived),
        ),
        (("star", starred, "True"), ("archived", archived)),
        tuple(
            (*one, tap("star"), HOME, *two, tap("archive"))
            for one in open_mail(first, subject)
            for two in open_mail(second, other)
        )
        + tuple(
            (*two, tap("archive"), back, *one, tap("star"))
            for one in open_mail(first, subject)
            for two in open_mail(second, other)
        ),
    )


@template("train")
def message_send(draw: Draw) -> Draft:
    """Write to somebody."""
    (name,) = draw.people(1)
    body = draw.word(words.BODIES)
    rest = (enter("text", body), tap("send"))
    ways: list[tuple[Move, ...]] = [(MESSAGES, tap("new message"), tap(name), *rest)]
    ways += [(*way, tap("message"), *rest) for way in open_contact(name)]
    if name in draw.world["threads"]:
        ways.append((MESSAGES, tap(name), *rest))
    return Draft(
        f"send the message {body} to {name}",
        (either(IN_MESSAGES, IN_CONTACTS), ("at", "messages.open", name), ("form", "messages.text", body)),
        (("message", name, body),),
        tuple(ways),
    )


@template("train")
def contact_number(draw: Draw) -> Draft:
    """Change somebody's number."""
    (name,) = draw.people(1)
    number = draw.word(words.NUMBERS, draw.world["contacts"][name]["number"])
    city = draw.world["contacts"][name]["city"]
    return Draft(
        f"change the number of {name} to {number}",
        (
            IN_CONTACTS,
            ("at", "contacts.open", name),
            ("at", "contacts.edit", name),
            ("form", "contact.number", number),
        ),
        (("contact", name, number, city),),
        tuple((*way, tap("edit"), enter("number", number), tap("save")) for way in open_contact(name)),
    )


@template("train")
def contact_new(draw: Draw) -> Draft:
    """Make a contact."""
    name = draw.word(words.NAMES, *draw.world["contacts"])
    number, city = draw.word(words.NUMBERS), draw.word(words.CITIES)
    fields = (enter("name", name), enter("number", number), enter("city", city))
    start, end = (CONTACTS, tap("new contact")), (tap("save"),)
    return Draft(
        f"make a new contact {name} with number {number} and city {city}",
        (
            IN_CONTACTS,
            ("at", "contacts.edit", ""),
            ("form", "contact.name", name),
            ("form", "contact.number", number),
            ("form", "contact.city", city),
        ),
        (("contact", name, number, city),),
        ((*start, *fields, *end), (*start, *fields[::-1], *end)),
    )


@template("train", instances=34)
def contact_answer(draw: Draw) -> Draft:
    """Answer what is known of somebody."""
    (name,) = draw.people(1)
    what = draw.word(("number", "city", "birthday"))
    known = draw.world["contacts"][name][what]
    return Draft(
        f"answer the {what} of {name}",
        (IN_CONTACTS, ("at", "contacts.open", name), ("at", "contacts.details", name)),
        (("answer", known),),
        tuple((*way, tap("details"), answer(known)) for way in open_contact(name)),
    )


@template("train")
def contact_number_message(draw: Draw) -> Draft:
    """Tell somebody a number that is in the contacts."""
    owner, receiver = draw.people(2)
    number = draw.world["contacts"][owner]["number"]
    write = (enter("text", number), tap("send"))
    ways = []
    for way in open_contact(owner):
        ways.append((*way, tap("details"), HOME, MESSAGES, tap("new message"), tap(receiver), *write))
        ways.append((*way, tap("details"), HOME, CONTACTS, tap(receiver), tap("message"), *write))
    return Draft(
        f"send the number of {owner} to {receiver} by message",
        (
            IN_CONTACTS,
            ("at", "contacts.open", owner),
            ("at", "contacts.details", owner),
            ("at", "messages.open", receiver),
            ("form", "messages.text", number),
        ),
        (("message", receiver, number),),
        tuple(ways),
    )


@template("dev")
def contact_tidy(draw: Draw) -> Draft:
    """Make one contact a favourite and delete another."""
    kept, gone = draw.people(2)
    return Draft(
        f"make {kept} a favourite and delete the contact {gone}",
        (
            IN_CONTACTS,
            ("at", "contacts.open", kept),
            ("favourite", kept, "on"),
            ("at", "contacts.open", gone),
            ("at", "contacts.delete", gone),
        ),
        (("favourite", kept, "on"), ("deleted contact", gone)),
        tuple(
            (*one, tap("favourite"), HOME, *two, tap("delete"), tap("yes"))
            for one in open_contact(kept)
            for two in open_contact(gone)
        ),
    )


@template("test")
def contact_call(draw: Draw) -> Draft:
    """Call whoever sent a mail, and star the mail first."""
    (name,) = draw.people(1)
    subject = draw.word(words.SUBJECTS)
    key = add_mail(draw.world, draw.rng, name, subject, draw.word(words.BODIES))
    return Draft(
        f"star the mail from {name} about {subject} then call {name}",
        (IN_MAIL, ("at", "mail.open", key), ("star", key, "True"), IN_CONTACTS, ("at", "contacts.open", name)),
        (("star", key, "True"), ("called", name)),
        tuple(
            (*one, tap("star"), HOME, *two, tap("call"))
            for one in open_mail(name, subject)
            for two in open_contact(name)
        ),
    )


@template("test")
def message_answer(draw: Draw) -> Draft:
    """Answer a question that a message asks."""
    asked, about = draw.people(2)
    draw.world["threads"][asked] = f"what is the number of {about}"
    number = draw.world["contacts"][about]["number"]
    write = (enter("text", number), tap("send"))
    ways = [
        (MESSAGES, tap(asked), HOME, *way, tap("details"), HOME, MESSAGES, tap(asked), *write)
        for way in open_contact(about)
    ]
    return Draft(
        f"read the message of {asked} and reply with what is asked for",
        (
            IN_MESSAGES,
            ("at", "messages.open", asked),
            IN_CONTACTS,
            ("at", "contacts.open", about),
            ("at", "contacts.details", about),
            ("form", "messages.text", number),
        ),
        (("message", asked, number),),
        tuple(ways),
    )
