"""The ontology of the lab's world: what there is, what kind it is, where it is found, what it is for.

Concepts are ids in English, for people to read; each language has words of its own for them.
"""

from __future__ import annotations

#: Kinds of things: the hypernym, then its hyponyms.
KINDS: dict[str, tuple[str, ...]] = {
    "person": ("teacher", "doctor", "farmer", "king", "child", "woman", "man", "soldier", "singer", "thief"),
    "animal": ("dog", "cat", "horse", "cow", "bird", "mouse"),
    "food": ("bread", "meat", "soup", "cake", "apple"),
    "drink": ("water", "milk", "tea"),
    "tool": ("knife", "hammer", "key", "brush"),
    "clothing": ("hat", "shirt", "coat"),
    "container": ("box", "bag", "cup", "bottle"),
    "furniture": ("table", "chair", "bed"),
    "toy": ("ball", "doll"),
    "place": ("house", "kitchen", "garden", "market", "school", "river", "forest", "field"),
}
#: Things without a hypernym of their own.
OTHERS = ("book", "letter", "ring", "lamp", "door", "window", "town")
#: Heads of the names of organisations.
ORGANISATIONS = ("company", "club", "bank")

HYPERNYM = {hyponym: kind for kind, members in KINDS.items() for hyponym in members}
PEOPLE, ANIMALS, PLACES, FOOD, DRINK = (KINDS[kind] for kind in ("person", "animal", "place", "food", "drink"))

#: Words that mean the same as a commoner one.
SYNONYMS = {
    "home": "house",
    "sack": "bag",
    "cap": "hat",
    "large": "big",
    "little": "small",
    "glad": "happy",
    "grab": "take",
    "hand": "give",
    "watch": "see",
    "mend": "repair",
}
RARER = {common: rare for rare, common in SYNONYMS.items()}

_OPPOSITES = (
    ("big", "small"),
    ("old", "new"),
    ("clean", "dirty"),
    ("hot", "cold"),
    ("wet", "dry"),
    ("full", "empty"),
    ("happy", "sad"),
    ("open", "closed"),
    ("broken", "whole"),
)
#: Opposites among adjectives, and among verbs with the same participants.
OPPOSITE = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}
OPPOSITE_VERB = {
    a: b
    for pair in (("lose", "find"), ("break", "repair"), ("laugh", "cry"), ("close", "unlock"))
    for a, b in (pair, pair[::-1])
}
COLOURS = ("red", "blue", "green", "white")
#: States of people and animals that give reasons.
NEEDS = ("hungry", "thirsty", "tired")
#: Adjectives that stand beside a noun and follow from nothing that happens.
EPITHETS = ("big", "small", "old", "new", *COLOURS)
ADJECTIVES = (*OPPOSITE, *COLOURS, *NEEDS, "large", "little", "glad")

#: Verbs by what they take besides a subject.
INTRANSITIVE = ("sleep", "laugh", "cry", "sing", "work")
MOTION = ("go", "run")
TRANSITIVE = (
    "see", "help", "follow", "call", "take", "buy", "lose", "find", "wash", "break", "repair", "close", "unlock",
    "eat", "swallow", "cook", "cut", "read", "write", "hide", "chase", "thank", "feed", "have", "want", "grab",
    "watch", "mend",
)  # fmt: skip
DITRANSITIVE = ("give", "send", "show", "sell", "hand")
PLACING = ("put", "leave")
VERBS = (*INTRANSITIVE, *MOTION, *TRANSITIVE, *DITRANSITIVE, *PLACING)

ADPOSITIONS = ("in", "near", "under", "behind", "to", "from", "with")
TIMES = ("yesterday", "morning", "evening", "night")
NUMERALS = ("two", "three", "four", "five")

#: Words of grammar with their universal part of speech. A language has those that its parameters ask for.
FUNCTION_WORDS = {
    "the": "DET",
    "a": "DET",
    "of": "ADP",
    "that": "PRON",
    "not": "PART",
    "several": "PART",
    "and": "CCONJ",
    "then": "CCONJ",
    "because": "SCONJ",
    "so": "SCONJ",
    "who": "PRON",
    "whom": "PRON",
    "what": "PRON",
    "where": "ADV",
    "when": "ADV",
    "why": "ADV",
    "how": "ADV",
    "how-many": "ADV",
    "whether": "PART",
    "be": "AUX",
}
#: What an affix may say. A language has those that its parameters ask for.
AFFIXES = ("PL", "ACC", "GEN", "DAT", "DEF", "NEG", "3SG", "3PL")

NOUNS = (*KINDS, *HYPERNYM, *OTHERS, *ORGANISATIONS, "home", "sack", "cap")

#: Where things are found, as all know.
FOUND_IN = {
    "bread": "kitchen", "meat": "kitchen", "soup": "kitchen", "cake": "kitchen", "cup": "kitchen",
    "apple": "garden", "bird": "garden", "tea": "garden", "chair": "garden",
    "cow": "field", "horse": "field", "farmer": "field", "milk": "field",
    "bed": "house", "doll": "house", "lamp": "house", "dog": "house",
    "book": "school", "teacher": "school", "child": "school", "letter": "school",
    "water": "river", "brush": "river", "bottle": "river", "shirt": "river",
    "hammer": "market", "bag": "market", "thief": "market", "coat": "market",
    "mouse": "forest", "soldier": "forest", "knife": "forest", "box": "forest",
}  # fmt: skip
#: What things are for, as all know: a verb and what it is done to (None where the verb has no object).
USED_FOR: dict[str, tuple[str, str | None]] = {
    "knife": ("cut", "meat"),
    "hammer": ("break", "window"),
    "key": ("unlock", "door"),
    "brush": ("wash", "shirt"),
    "bed": ("sleep", None),
    "cup": ("swallow", "tea"),
    "lamp": ("read", "letter"),
    "bag": ("hide", "ring"),
    "bottle": ("feed", "child"),
    "box": ("send", "cake"),
}

#: Things that can be carried, given and lost; that get dirty; that break; that open.
PORTABLE = (
    *FOOD, *DRINK, *(thing for kind in ("tool", "clothing", "container", "toy") for thing in KINDS[kind]),
    "book", "letter", "ring", "lamp",
)  # fmt: skip
WASHABLE = (*KINDS["clothing"], "cup", "bottle", "knife", "ball", "doll")
BREAKABLE = ("lamp", "cup", "bottle", "doll", "brush", "key", "hammer", "ring", "chair")
OPENABLE = ("box", "door", "window", "bag")
READABLE = ("book", "letter")
