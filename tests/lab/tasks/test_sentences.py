"""Sentences for tags and for retrieval."""

from __future__ import annotations

import random
from itertools import islice

from adapterstilts.lab.grammar import sentence
from adapterstilts.lab.languages import LANGUAGES
from adapterstilts.lab.tasks.problems import Bitext, Tagged
from adapterstilts.lab.tasks.sentences import bitext, named, tagged


def test_named_sentences_have_names_of_all_kinds() -> None:
    found = [problem for _, group in islice(named(random.Random(1)), 300) for problem in group]
    entities = set()
    for problem in found:
        assert isinstance(problem, Tagged)
        said = {token.entity for token in sentence(problem.meaning, LANGUAGES["qaa"]).tokens}
        assert said != {"O"}
        entities |= said
    assert entities == {"O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC"}


def test_tagged_sentences_have_their_meaning_as_key() -> None:
    for key, (problem,) in islice(tagged(random.Random(1)), 50):
        assert isinstance(problem, Tagged)
        assert key == problem.meaning


def test_retrieval_has_near_misses_and_no_sentence_twice_in_any_language() -> None:
    groups = [problems for _, problems in islice(bitext(random.Random(1)), 400)]
    found = [problem for problems in groups for problem in problems if isinstance(problem, Bitext)]
    assert len(found) > 2.5 * len(groups)
    for language in LANGUAGES.values():
        assert len({sentence(problem.meaning, language).text for problem in found}) == len(found)
    for problems in groups:
        assert len({problem.group for problem in problems if isinstance(problem, Bitext)}) <= 1
