"""The closed vocabulary of the phone: every word that a screen, a goal or an action can hold.

Names, prices, times and titles are drawn from the pools below; screens and goals add the words listed in ``FIXED``.
"""

from __future__ import annotations

__all__ = [
    "BODIES",
    "CITIES",
    "COLOURS",
    "DAYS",
    "LEVELS",
    "NAMES",
    "NETWORKS",
    "NOTE_TITLES",
    "NUMBERS",
    "PRICES",
    "PRODUCTS",
    "SECRETS",
    "SUBJECTS",
    "TIMES",
    "TOPICS",
    "VERBS",
    "vocabulary",
]

NAMES = ("ann", "bob", "carl", "dora", "emil", "fay", "gus", "hana", "ivan", "jill", "kurt", "lena", "max", "nina")
CITIES = ("rome", "oslo", "paris", "lima", "cairo", "tokyo", "delhi", "berlin")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
TOPICS = {
    "food": ("bread", "soup", "tea", "cake", "rice"),
    "craft": ("kite", "candle", "soap", "basket", "puppet"),
    "garden": ("roses", "herbs", "hedge", "pond", "compost"),
    "repair": ("bike", "roof", "radio", "pump", "boat"),
}
VERBS = ("make", "fix", "clean", "choose", "store", "sell")
SUBJECTS = ("dinner", "trip", "chess", "exam", "party", "yoga", "match", "visit", "meeting", "concert")
BODIES = ("see you", "thank you", "well done", "call me", "good luck", "i agree", "too late", "all fine")
NOTE_TITLES = ("ideas", "gifts", "plans", "packing", "work", "school", "recipes", "books")
PRODUCTS = ("lamp", "chair", "kettle", "tent", "jacket", "boots", "clock", "mug")
COLOURS = ("red", "blue", "green", "black", "white")
PRICES = tuple(f"${n}" for n in range(5, 45, 2))
TIMES = tuple(f"{hour}:{minute}" for hour in range(6, 22) for minute in ("00", "30"))
NUMBERS = tuple(str(n) for n in range(204, 1000, 31))
LEVELS = ("low", "medium", "high")
NETWORKS = ("cedar", "harbor", "comet", "maple")
SECRETS = ("falcon", "velvet", "anchor", "pepper", "tunnel", "marble")

ACTIONS = ("CLICK", "INPUT", "SCROLL", "BACK", "ANSWER", "DOWN", "UP")

# Titles, buttons and fields of the screens, and the words that goals add; a test walks the phone and compares.
FIXED = tuple(
    """
    # 0 : a about above add added alarm already an and answer app archive archived article asked at author
    battery below big birthday bluetooth brightness button buy by calendar calling camera cart change cheapest
    checkout city close come compose connect connected contact contacts contrast copied copy day delete deleted
    delivery details display do edit empty event events favourite field find for forward found from full give go
    has home how in install into is it item later let like link location lock mail many memory message messages
    minutes missing mode model more move name need network networks new night no not note notes nothing notice
    now number of off offers ok on option or order password paste phone pick pin pinned placed plan planned
    please post power price privacy product products rate read ready remove reply results roaming sale save
    saved saver says screen search send sent set setting settings share shop show silence sound standby star
    stars start started subject such switch tab text thanks the then there this time timer title to today topic
    up update version vibration volume wait was what when which who wifi wish with word words write written
    wrong wrote yes
    """.split()  # noqa: SIM905, a list of two hundred lines would not be read
)

MAX_ID = 40  # ids on a screen are below this


def vocabulary(*, content: bool = True) -> tuple[str, ...]:
    """Every word of the phone, sorted: screens, goals and actions split at white space give no other.

    ``content=False`` leaves out what is drawn from pools and is no part of the interface: names, titles, prices, times,
    products, passwords.
    """
    words = {*ACTIONS, *FIXED, *LEVELS, *map(str, range(1, MAX_ID))}
    if content:
        pools = (
            NAMES, CITIES, DAYS, TOPICS, VERBS, NOTE_TITLES, PRODUCTS, COLOURS, PRICES, TIMES, NUMBERS, NETWORKS,
            SECRETS, SUBJECTS, *TOPICS.values(), *(body.split() for body in BODIES),
        )  # fmt: skip
        words.update(word for pool in pools for word in pool)
    return tuple(sorted(words))
