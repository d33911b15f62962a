"""From a meaning to a sentence, by the parameters of a language."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from adapterstilts.lab.concepts import ADJECTIVES, ADPOSITIONS, FUNCTION_WORDS, NUMERALS, TIMES, VERBS
from adapterstilts.lab.languages import Language
from adapterstilts.lab.meaning import Both, Clause, Compound, Meaning, Noun, Phrase, Place
from adapterstilts.lab.words import lexicon, name_root, write

WordsOf = Callable[[str], Language]


@dataclass(frozen=True)
class Token:
    """A word or a punctuation mark of a sentence, with what is known about it."""

    form: str
    """As it is written."""
    gloss: str
    """Concept and affixes, as in an interlinear: ``dog-PL-ACC``."""
    upos: str
    """Universal part of speech."""
    use: str
    """What it does in its sentence (``adjective``, ``verb:transitive``, ``adposition:argument`` …)."""
    role: str = ""
    """The phrase of the main clause that it belongs to (``subject``, ``place`` …); empty for verbs and the like."""
    entity: str = "O"
    """Named entity: ``B-PER``, ``I-ORG`` … or ``O``."""
    concept: str = ""
    """What the word means, without its affixes; empty for punctuation."""


_UPOS = (
    dict.fromkeys(VERBS, "VERB")
    | dict.fromkeys(ADJECTIVES, "ADJ")
    | dict.fromkeys(ADPOSITIONS, "ADP")
    | dict.fromkeys(TIMES, "ADV")
    | dict.fromkeys(NUMERALS, "NUM")
    | FUNCTION_WORDS
)
_FULL_STOP = {"Devanagari": "।", "Armenian": "։"}
_QUESTION_MARK = {"Greek": ";", "Armenian": "՞"}
PUNCTUATION = (".", "?", *_FULL_STOP.values(), *_QUESTION_MARK.values())


#: The word that asks for a phrase; for an object that is no person it is ``what``.
QUESTION_WORDS = {
    "subject": "who",
    "object": "whom",
    "recipient": "whom",
    "place": "where",
    "means": "how",
    "time": "when",
    "reason": "why",
}


@dataclass(frozen=True)
class Sentence:
    """A sentence of a language."""

    language: Language
    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        """The sentence as it is written."""
        return join(self.language, [token.form for token in self.tokens])

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The first character of each token in the text, and the one after its last."""
        found: list[tuple[int, int]] = []
        end = 0
        for token in self.tokens:
            start = end if _glued(self.language, token.form, end) else end + 1
            end = start + len(token.form)
            found.append((start, end))
        return found

    def span(self, role: str) -> tuple[int, int]:
        """Return the first character of the phrase with this role, and the one after its last.

        Raises:
            ValueError: the sentence has no such phrase.
        """
        places = [index for index, token in enumerate(self.tokens) if token.role == role]
        if not places:
            raise ValueError(f"no phrase is '{role}' in: {self.text}")
        spans = self.spans
        return spans[places[0]][0], spans[places[-1]][1]


def join(language: Language, forms: Sequence[str]) -> str:
    """Join words as the language writes them: with spaces between words, none before punctuation."""
    text = ""
    for form in forms:
        text += form if _glued(language, form, len(text)) else f" {form}"
    return text


def _glued(language: Language, form: str, before: int) -> bool:
    """Tell whether a word stands without a space after the text before it."""
    return not before or form in PUNCTUATION or not language.spaced


def sentence(meaning: Meaning, language: Language, words_of: WordsOf | None = None) -> Sentence:
    """Say a meaning in a language.

    Args:
        meaning: what is said.
        language: whose grammar it has.
        words_of: tells for each concept which language's word to take, for code-switched text; its own if left out.
    """
    return _Speaker(language, words_of).sentence(meaning)


class _Speaker:
    def __init__(self, language: Language, words_of: WordsOf | None = None) -> None:
        self.language = language
        self.words_of = words_of or (lambda _: language)
        self.order = language.word_order

    # words

    def word(self, concept: str, use: str, affixes: Iterable[str] = (), *, upos: str = "", entity: str = "O") -> Token:
        said = tuple(affixes)
        form, gloss = _form(self.words_of(concept), concept, said)
        return Token(form, gloss, upos or _UPOS.get(concept, "NOUN"), use, entity=entity, concept=concept)

    # phrases

    def phrase(self, phrase: Phrase, case: str = "", kind: str = "PER") -> list[Token]:
        if isinstance(phrase, Both):
            return [
                *self.noun(phrase.first, case, kind),
                self.word("and", "and"),
                *self.noun(phrase.second, case, kind),
            ]
        return self.noun(phrase, case, kind)

    def noun(self, noun: Noun, case: str = "", kind: str = "PER") -> list[Token]:
        if noun.named:
            return self.name(noun, case, kind)
        language = self.language
        affixes = []
        if noun.plural and language.plural == "affix":
            affixes.append("PL")
        if noun.definite and language.articles == "definite affix":
            affixes.append("DEF")
        if case in self.language.marked_cases:
            affixes.append(case)
        before: list[Token] = []
        after: list[Token] = []
        article = {"definite and indefinite": "the" if noun.definite else "a", "definite": "the" * noun.definite}
        if (word := article.get(language.articles, "")) and not (noun.count and not noun.definite):
            before.append(self.word(word, "article"))
        if noun.count:
            before.append(self.word(noun.count, "numeral"))
        elif noun.plural and language.plural == "word":
            before.append(self.word("several", "plural"))
        if noun.adjective:
            (before if language.adjective == "adjective-noun" else after).append(self.word(noun.adjective, "adjective"))
        if noun.owner:
            if language.genitive == "noun-genitive":
                after += self.owner(noun.owner)
            else:
                before = self.owner(noun.owner) + before
        if noun.relative:
            clause = self.core(noun.relative)
            that = self.word("that", "relativiser")
            if language.relative == "noun-relative":
                after += [that, *clause]
            else:
                before = [*clause, that, *before]
        return [*before, self.word(noun.head, "noun", affixes), *after]

    def owner(self, owner: Noun) -> list[Token]:
        if "GEN" in self.language.marked_cases:
            return self.noun(owner, "GEN")
        of = self.word("of", "linker")
        said = self.noun(owner)
        return [of, *said] if self.language.genitive == "noun-genitive" else [*said, of]

    def name(self, noun: Noun, case: str, kind: str) -> list[Token]:
        affixes = [case] if case in self.language.marked_cases else []
        if noun.organisation:
            parts = [(noun.head, "name", "PROPN", []), (noun.organisation, "organisation", "NOUN", affixes)]
            if self.language.genitive == "noun-genitive":
                parts.reverse()
            kind = "ORG"
        elif noun.surname:
            parts = [(noun.head, "name", "PROPN", []), (noun.surname, "name", "PROPN", affixes)]
        else:
            parts = [(noun.head, "name", "PROPN", affixes)]
        return [
            self.word(concept, use, said, upos=upos, entity=("B-" if index == 0 else "I-") + kind)
            for index, (concept, use, upos, said) in enumerate(parts)
        ]

    def adposition(self, adposition: str, said: list[Token], use: str) -> list[Token]:
        word = self.word(adposition, f"adposition:{use}")
        return [word, *said] if self.language.adposition == "prepositions" else [*said, word]

    def place(self, place: Place, use: str) -> list[Token]:
        return self.adposition(place.adposition, self.noun(place.noun, kind=_place_kind(place)), use)

    def recipient(self, phrase: Phrase) -> list[Token]:
        if "DAT" in self.language.marked_cases:
            return self.phrase(phrase, "DAT")
        return self.adposition("to", self.phrase(phrase), "recipient")

    # clauses

    def verb(self, clause: Clause) -> list[Token]:
        affixes = []
        negation = self.language.negation
        if clause.negated and negation == "affix":
            affixes.append("NEG")
        if self.language.agreement == "subject" and clause.subject is not None:
            affixes.append("3PL" if _is_plural(clause.subject) else "3SG")
        said = [self.word(clause.verb, f"verb:{_frame(clause)}", affixes)]
        if clause.negated and negation != "affix":
            particle = self.word("not", "negation")
            said = [particle, *said] if negation == "before" else [*said, particle]
        return said

    def object(self, clause: Clause) -> list[Token]:
        if clause.quality:
            return [self.word(clause.quality, "quality")]
        if clause.object is None or clause.asked == "number":
            return []
        return _as("object", self.phrase(clause.object, "ACC"))

    def core(self, clause: Clause) -> list[Token]:
        """Say a relative clause: verb, object and place, as the language orders them."""
        verb, said = self.verb(clause), self.object(clause)
        place = self.place(clause.place, _place_use(clause)) if clause.place else []
        if self.language.verb_final:
            tokens = [*place, *said, *verb]
        else:
            tokens = [*(verb + said if self.language.verb_before_object else said + verb), *place]
        return _as("", tokens)

    def clause(self, clause: Clause) -> list[Token]:
        subject_kind = "LOC" if clause.object == TOWN and clause.verb == "be" else "PER"
        subject = _as("subject", self.phrase(clause.subject, kind=subject_kind)) if clause.subject else []
        said = self.object(clause)
        recipient = _as("recipient", self.recipient(clause.recipient)) if clause.recipient else []
        place = _as("place", self.place(clause.place, _place_use(clause))) if clause.place else []
        time = (
            _as("time", [self.word(clause.time, "time:front" if clause.fronted else "time:end")]) if clause.time else []
        )
        asked = self.asked(clause)
        if clause.asked and self.language.question == "in place":
            if clause.asked == "subject":
                subject = asked
            elif clause.asked in ("object", "number"):
                said = asked
            elif clause.asked == "recipient":
                recipient = asked
            elif clause.asked in ("place", "means"):
                place = asked
            else:
                time = asked
            asked = []
        if clause.asked == "number" and asked:  # the noun that is counted moves along
            asked = _as("object", asked)
        parts = {"S": subject, "V": self.verb(clause), "O": said}
        core = [parts[letter] for letter in self.order]
        front = time if clause.fronted else []
        late = [] if clause.fronted else time
        if self.language.verb_final:
            tokens = [*core[0], *place, *recipient, *core[1], *late, *core[2]]
        else:
            tokens = [*core[0], *core[1], *core[2], *recipient, *place, *late]
        ends = [self.word("whether", "whether")] if clause.polar else []
        return [*asked, *front, *tokens, *ends]

    def asked(self, clause: Clause) -> list[Token]:
        if clause.asked is None:
            return []
        if clause.asked == "number":
            counted = clause.object
            assert isinstance(counted, Noun), "what is counted is one noun"
            affixes = ["PL"] if self.language.plural == "affix" else []
            affixes += ["ACC"] if "ACC" in self.language.marked_cases else []
            return [self.word("how-many", "ask:number"), self.word(counted.head, "noun", affixes)]
        word = "what" if clause.asked == "object" and not clause.asks_person else QUESTION_WORDS[clause.asked]
        said = [self.word(word, f"ask:{clause.asked}")]
        if clause.asked == "recipient":
            return self.adposition("to", said, "recipient")
        return said

    def sentence(self, meaning: Meaning) -> Sentence:
        script = self.language.script
        if isinstance(meaning, Compound):
            second = (
                _as("reason", self.clause(meaning.second))
                if meaning.conjunction == "because"
                else self.clause(meaning.second)
            )
            link = self.word(meaning.conjunction, f"link:{meaning.conjunction}")
            tokens = [*self.clause(meaning.first), link, *second]
            asks = meaning.first.question
        else:
            tokens = self.clause(meaning)
            asks = meaning.question
        mark = _QUESTION_MARK.get(script, "?") if asks else _FULL_STOP.get(script, ".")
        return Sentence(self.language, (*tokens, Token(mark, mark, "PUNCT", "punctuation")))


#: The noun phrase that says of a name that it is a town's.
TOWN = Noun("town", definite=False)


@functools.lru_cache(maxsize=200_000)
def _form(language: Language, concept: str, affixes: tuple[str, ...]) -> tuple[str, str]:
    words = lexicon(language)
    if concept.startswith("name:"):
        root = name_root(int(concept[5:]))
        gloss = root.capitalize()
    else:
        root, gloss = words.roots[concept], concept
    for affix in affixes:
        said = words.affixes[affix]
        root = root + said if language.affixes == "suffixing" else said + root
        gloss = f"{gloss}-{affix}" if language.affixes == "suffixing" else f"{affix}-{gloss}"
    return write(root, language.script), gloss


def _as(role: str, tokens: list[Token]) -> list[Token]:
    return [replace(token, role=role) for token in tokens]


def _is_plural(phrase: Phrase) -> bool:
    return isinstance(phrase, Both) or phrase.plural


def _place_kind(place: Place) -> str:
    return "PER" if place.adposition == "with" else "LOC"


def _place_use(clause: Clause) -> str:
    return "argument" if clause.verb in ("go", "run", "put", "leave", "be") else "adjunct"


def _frame(clause: Clause) -> str:
    """Return what a verb takes: a key of the supertags."""
    if clause.verb == "be":
        return (
            "be-quality" if clause.quality else "be-noun" if clause.object or clause.asked == "object" else "be-place"
        )
    takes = "transitive" if clause.object or clause.asked in ("object", "number") else "intransitive"
    if clause.recipient or clause.asked == "recipient":
        takes += "-recipient"
    elif clause.place and _place_use(clause) == "argument":
        takes += "-place"
    return takes
