"""Reading: the answer stands in one sentence, and nothing answers what has no answer."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

from adapterstilts.lab.concepts import SYNONYMS
from adapterstilts.lab.meaning import Clause, Compound, Meaning, Noun, but
from adapterstilts.lab.questions import bare
from adapterstilts.lab.tasks.problems import Reading
from adapterstilts.lab.tasks.reading import reading


def drawn(count: int = 200, **options: float) -> list[Reading]:
    found = reading(random.Random("tests reading"), sentences=5, **options)  # type: ignore[arg-type]
    problems = [problem for _, group in islice(found, count) for problem in group]
    assert all(isinstance(problem, Reading) for problem in problems)
    return problems  # type: ignore[return-value]


def fits(clause: Clause, question: Clause) -> bool:
    """Tell whether a clause says all that a question says, and has what it asks for."""
    said, asked = bare(clause), question.asked
    given = said.object if asked == "number" else getattr(said, str(asked))
    if given is None or (asked == "number" and not (isinstance(given, Noun) and given.count)):
        return False
    if asked == "number":
        assert isinstance(said.object, Noun)
        said = but(said, object=Noun(said.object.head, plural=True))
    return all(
        getattr(question, name) in (None, getattr(said, name)) for name in ("subject", "object", "recipient", "place")
    ) and (SYNONYMS.get(question.verb, question.verb), question.negated, question.quality) == (
        said.verb, said.negated, said.quality,
    )  # fmt: skip


def clauses(meaning: Meaning) -> tuple[Clause, ...]:
    return (meaning.first, meaning.second) if isinstance(meaning, Compound) else (meaning,)


def test_one_clause_of_the_text_answers() -> None:
    roles: Counter[str | None] = Counter()
    for problem in drawn(reworded=0.5):
        fitting = [
            number for number, said in enumerate(problem.context) for clause in clauses(said)
            if fits(clause, problem.question)
        ]  # fmt: skip
        assert fitting == [problem.sentence]
        assert problem.role == problem.question.asked
        roles[problem.role] += 1
    assert set(roles) == {"subject", "object", "recipient", "place", "time", "number"}


def test_nothing_answers_what_has_no_answer() -> None:
    problems = drawn(unanswerable=0.4)
    without = [problem for problem in problems if problem.sentence is None]
    assert 0.3 < len(without) / len(problems) < 0.5
    for problem in problems:
        fitting = sum(fits(clause, problem.question) for said in problem.context for clause in clauses(said))
        assert fitting == (problem.sentence is not None)


def test_what_has_no_answer_asks_about_the_text_all_the_same() -> None:
    for problem in drawn(unanswerable=0.4):
        told = [clause for said in problem.context for clause in clauses(said)]
        assert problem.question.verb in {clause.verb for clause in told}
        assert problem.role is None or problem.sentence is not None


def test_some_questions_have_a_synonym() -> None:
    def share(reworded: float) -> float:
        problems = drawn(reworded=reworded)
        return sum(problem.question.verb in SYNONYMS for problem in problems) / len(problems)

    assert share(0.0) == 0.0
    assert share(0.5) > 0.05
