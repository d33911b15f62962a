"""Scoring folders in XTREME's layout: right numbers, and every fault of the files told with its place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapterstilts.errors import DataFormatError
from adapterstilts.evaluation.averages import get_benchmark
from adapterstilts.evaluation.metrics import get_metric
from adapterstilts.evaluation.metrics.retrieval import average_precision
from adapterstilts.evaluation.submissions import Submission, score_folders

Files = Mapping[str, str | dict[str, Any]]


def squad(questions: Mapping[str, list[str]]) -> dict[str, Any]:
    qas = [
        {"id": key, "question": "?", "answers": [{"text": text, "answer_start": 0} for text in golds]}
        for key, golds in questions.items()
    ]
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "c", "qas": qas}]}]}


class Folders:
    """Two folders, and what they score."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, side: str, files: Files) -> None:
        for name, content in files.items():
            file = self.root / side / name
            file.parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False)
            file.write_text(text, encoding="utf-8")

    def score(
        self, predictions: Files, labels: Files, suite: str = "xtreme", languages: list[str] | None = None
    ) -> Submission:
        self.write("said", predictions)
        self.write("right", labels)
        return score_folders(self.root / "said", self.root / "right", get_benchmark(suite), languages)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_labels(folders: Folders) -> None:
    found = folders.score(
        {"xnli/test-de.tsv": "entailment\nneutral\ncontradiction\nneutral\n", "tatoeba/test-de.tsv": "1\n2\n"},
        {"xnli/test-de.tsv": "entailment\nneutral\ncontradictory\nentailment", "tatoeba/test-de.tsv": "1\n3\n"},
    )
    assert found.scores == {"xnli": {"de": {"accuracy": 75.0}}, "tatoeba": {"de": {"accuracy": 50.0}}}
    assert not found.warnings


def test_tags_are_scored_as_seqeval_scores_them(folders: Folders) -> None:
    from seqeval.metrics import f1_score

    gold = [["DET", "NOUN", "VERB", "NOUN", "NOUN"], ["SCONJ", "X", "PUNCT"]]
    said = [["DET", "NOUN", "VERB", "NOUN", "VERB"], ["CCONJ", "X", "PUNCT"]]
    entities = [["B-PER", "I-PER", "O"], ["I-LOC", "O"]], [["B-PER", "O", "O"], ["B-LOC", "O"]]

    def lines(sentences: list[list[str]]) -> str:
        return "\n\n".join("\n".join(tags) for tags in sentences) + "\n\n"

    found = folders.score(
        {"udpos/test-de.tsv": lines(said), "panx/test-de.tsv": lines(entities[1])},
        {"udpos/test-de.tsv": lines(gold).rstrip(), "panx/test-de.tsv": "\n" + lines(entities[0]) + "\n"},
    )
    with pytest.warns(UserWarning, match="not to be NE tag"):
        expected = 100 * f1_score(gold, said)
    assert found.scores["udpos"]["de"]["f1"] == pytest.approx(expected)
    assert found.scores["udpos"]["de"]["token_accuracy"] == pytest.approx(100 * 6 / 8)
    assert found.scores["panx"]["de"]["f1"] == pytest.approx(100 * f1_score(*entities))


def test_pairs(folders: Folders) -> None:
    found = folders.score(
        {"bucc2018/test-de.tsv": "de-1\ten-1\nde-2\ten-9\nde-1\ten-1\n"},
        {"bucc2018/test-de.tsv": "de-1\ten-1\nde-2\ten-2\nde-3\ten-3\n"},
    )
    assert found.scores["bucc2018"]["de"] == {
        "f1": pytest.approx(40.0), "precision": pytest.approx(50.0), "recall": pytest.approx(100 / 3),
    }  # fmt: skip
    assert "test-de.tsv:3: the pair stands on line 1 already" in found.warnings[0]


def test_answers_missing_and_unknown_ids(folders: Folders) -> None:
    labels = squad({"a": ["the cat"], "b": ["dog", "the big dog"], "c": ["the"], "d": ["x"]})
    found = folders.score(
        {"xquad/test-en.json": {"a": "Cat!", "b": "big dogs", "z": "?"}}, {"xquad/test-en.json": labels}
    )
    # c's gold answer normalises to nothing: what is missing is wrong all the same, as in the official script
    assert found.scores["xquad"]["en"] == {"f1": pytest.approx(100 * (1 + 0.5) / 4), "exact_match": 25.0}
    told = "\n".join(found.warnings)
    assert "no prediction for the question 'c'" in told
    assert "no prediction for the question 'd'" in told
    assert "said/xquad/test-en.json:4: there is no question 'z'" in told
    line = json.dumps(labels, indent=1).split("\n").index('       "id": "c",') + 1
    assert f"right/xquad/test-en.json:{line})" in told


@pytest.mark.parametrize(
    ("code", "said", "gold", "f1", "exact"),
    [
        ("de", "der Hund.", "ein Hund", 100.0, 100.0),
        ("en", "der Hund.", "ein Hund", 50.0, 0.0),  # no articles of English's
        ("ar", "القط", "قط", 100.0, 100.0),
        ("hi", "बिल्ली है।", "बिल्ली", 100 * 2 / 3, 0.0),
        ("zh", "红楼梦", "《红楼》", 100 * 4 / 5, 0.0),
        ("de", "der", "die, das", 0.0, 100.0),  # only articles and punctuation: equal, but no word in common
    ],
)
def test_mlqa_by_language(folders: Folders, code: str, said: str, gold: str, f1: float, exact: float) -> None:
    name = f"mlqa/test-{code}.json"
    found = folders.score({name: {"q": said}}, {name: squad({"q": ["Omega", gold]})})
    assert found.scores["mlqa"][code] == {"f1": pytest.approx(f1), "exact_match": exact}


def test_mlqa_has_the_words_of_each_language(folders: Folders) -> None:
    files = {f"mlqa/test-{code}.json": squad({"a": ["猫 吃"]}) for code in ("zh", "en")}
    found = folders.score({name: {"a": "吃"} for name in files}, files)
    assert found.scores["mlqa"]["zh"]["f1"] == pytest.approx(100 * 2 / 3)
    assert found.scores["mlqa"]["en"]["f1"] == pytest.approx(100 * 2 / 3)
    files = {f"mlqa/test-{code}.json": squad({"a": ["猫吃"]}) for code in ("zh", "en")}
    found = folders.score({name: {"a": "吃"} for name in files}, files)
    assert found.scores["mlqa"]["zh"]["f1"] == pytest.approx(100 * 2 / 3)
    assert found.scores["mlqa"]["en"]["f1"] == 0.0


def test_rankings_and_choices_of_xtreme_r(folders: Folders) -> None:
    found = folders.score(
        {
            "mewslix/test-de.json": {"q1": ["e9", "e1"], "q2": ["e2"]},
            "lareqa/test-de.json": {"q": [f"c{number}" for number in range(30)]},
            "xcopa/test-it.jsonl": '{"idx": 0, "label": 1}\n{"idx": 1, "label": 0}\n',
        },
        {
            "mewslix/test-de.json": {"q1": "e1", "q2": ["e2"], "q3": ["e3"]},
            "lareqa/test-de.json": {"q": ["c1", "c3", "c25"]},
            "xcopa/test-it.jsonl": '{"premise": "x", "idx": 0, "label": 1}\n{"premise": "y", "idx": 1, "label": 1}',
        },
        suite="xtreme-r",
    )
    assert found.scores["mewslix"]["de"] == {"map@20": pytest.approx(100 * (0.5 + 1) / 3)}
    assert found.scores["lareqa"]["de"] == {"map@20": pytest.approx(100 * (1 / 2 + 2 / 4) / 3)}
    assert found.scores["xcopa"]["it"] == {"accuracy": 50.0}
    assert "no prediction for the query 'q3'" in found.warnings[0]


def test_all_faults_are_told_at_once(folders: Folders) -> None:
    with pytest.raises(DataFormatError) as caught:
        folders.score(
            {
                "xnli/test-de.tsv": "neutral\n",
                "udpos/test-de.tsv": "NOUN\nVERB\n\nNOUN\n",
                "panx/test-de.tsv": "O\n\nO\n",
                "bucc2018/test-de.tsv": "de-1 en-1\n",
                "xquad/test-de.json": '{"a": 1}',
                "mlqa/test-de.json": '{"a":\n "b"',
                "tydiqa/test-en.json": {"a": "b"},
                "tatoeba/notes.txt": "",
            },
            {
                "xnli/test-de.tsv": "neutral\nneutral\n",
                "xnli/test-fr.tsv": "neutral\n",
                "udpos/test-de.tsv": "NOUN\nVERB\n\nNOUN\nVERB\n",
                "panx/test-de.tsv": "O\n",
                "bucc2018/test-de.tsv": "de-1\ten-1\n",
                "xquad/test-de.json": squad({"a": ["b"]}),
                "mlqa/test-de.json": squad({"a": ["b"]}),
                "tydiqa/test-en.json": {"questions": []},
                "tatoeba/test-de.tsv": "1\n",
            },
        )
    told = str(caught.value)
    for fault in (
        "said/xnli/test-de.tsv:2: 1 lines, but",
        "said/xnli/test-fr.tsv: missing, though there is",
        "said/udpos/test-de.tsv:4: the sentence that begins here has 1 tags, in",
        "said/panx/test-de.tsv: 2 sentences, but",
        "said/bucc2018/test-de.tsv:1: two ids with a tab between them are needed, not 'de-1 en-1'",
        "said/xquad/test-de.json:1: the answer to 'a' is no text",
        "said/mlqa/test-de.json:2: no JSON:",
        "right/tydiqa/test-en.json: not SQuAD's layout",
        "said/tatoeba/test-de.tsv: missing",
        "Also noticed",
        "said/tatoeba/notes.txt: not read",
    ):
        assert fault in told, fault


@pytest.mark.parametrize(
    ("name", "said", "right", "told"),
    [
        ("xcopa/test-it.jsonl", "{}\n", '{"label": 0}\n', 'test-it.jsonl:1: an object with a "label"'),
        ("xcopa/test-it.jsonl", '{"idx": 2, "label": 0}', '{"idx": 1, "label": 0}', "idx 2 stands where"),
        ("mewslix/test-de.json", {"q": "e"}, {"q": []}, "right/mewslix/test-de.json:2: the query 'q' needs a list"),
        ("mewslix/test-de.json", "[]", {"q": ["e"]}, "must hold one JSON object"),
        ("mewslix/test-de.json", {}, {}, "no queries"),
        ("xquad/test-de.json", {}, squad({}), "no questions"),
        ("xquad/test-de.json", "", squad({"a": ["b"]}), "test-de.json:1: no JSON: Expecting value"),
        ("xnli/test-de.tsv", "", "neutral\n", "test-de.tsv:1: 0 lines, but"),
        ("xnli/test-de.tsv", "", "", "empty"),
    ],
)
def test_files_that_cannot_be_scored(
    folders: Folders, name: str, said: str | dict[str, Any], right: str | dict[str, Any], told: str
) -> None:
    with pytest.raises(DataFormatError, match="cannot be scored") as caught:
        folders.score({name: said}, {name: right}, suite="xtreme-r")
    assert told in str(caught.value)


def test_bytes_that_are_no_text(folders: Folders) -> None:
    folders.write("said", {"xnli/test-de.tsv": "neutral\n"})
    (folders.root / "said/xnli/test-de.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataFormatError, match=r"test-de\.tsv: cannot be read as UTF-8"):
        folders.score({}, {"xnli/test-de.tsv": "neutral\n"})


def test_what_is_not_scored_is_told(folders: Folders) -> None:
    found = folders.score(
        {"xnli/test-de.tsv": "neutrl\n", "xnli/test-fr.tsv": "neutral\n", "pawsx/test-de.tsv": "1\n"},
        {"xnli/test-de.tsv": "neutral\n", "panx/test-de.tsv": "O\n"},
    )
    assert list(found.scores) == ["xnli"]
    told = "\n".join(found.warnings)
    assert "test-de.tsv:1: the label 'neutrl' stands nowhere in" in told
    assert "test-fr.tsv: not scored, since there is no" in told


def test_only_some_languages(folders: Folders) -> None:
    labels = {f"xnli/test-{code}.tsv": "neutral\n" for code in ("de", "fr")}
    found = folders.score({"xnli/test-de.tsv": "neutral\n"}, labels, languages=["de"])
    assert found.scores == {"xnli": {"de": {"accuracy": 100.0}}}
    with pytest.raises(DataFormatError, match="none of its tasks has a language of my"):
        folders.score({}, {}, languages=["my"])


def test_folders_without_a_task_in_common(folders: Folders) -> None:
    with pytest.raises(DataFormatError, match="No task of xtreme has a folder both in"):
        folders.score({"xnli/test-de.tsv": ""}, {"panx/test-de.tsv": ""})
    with pytest.raises(DataFormatError, match="is not a folder"):
        score_folders(folders.root / "none", folders.root / "right", get_benchmark("xtreme"))


def test_long_lists_of_findings_are_cut(folders: Folders) -> None:
    labels = squad({f"q{number}": ["x"] for number in range(100)})
    found = folders.score({"xquad/test-de.json": {}}, {"xquad/test-de.json": labels})
    assert len(found.warnings) == 21
    assert "80 more of this kind" in found.warnings[-1]
    assert found.scores["xquad"]["de"] == {"f1": 0.0, "exact_match": 0.0}


# mean average precision


@given(st.lists(st.integers(0, 30), max_size=40), st.sets(st.integers(0, 30), min_size=1, max_size=30))
def test_average_precision_is_the_mean_precision_at_hits(ranking: list[int], relevant: set[int]) -> None:
    ids, wanted = [str(number) for number in ranking], {str(number) for number in relevant}
    precisions = []
    for rank in range(1, min(20, len(ids)) + 1):
        if ids[rank - 1] in wanted and ids[rank - 1] not in ids[: rank - 1]:
            precisions.append(len(set(ids[:rank]) & wanted) / rank)
    assert average_precision(ids, wanted) == pytest.approx(sum(precisions) / min(len(wanted), 20))


def test_mean_average_precision() -> None:
    metric = get_metric("map@20")
    assert metric.score([["a", "b"], ["x", "a"]], [["a"], ["a"]]) == {"map@20": 75.0}
    assert metric.score([[*map(str, range(20)), "a"]], [["a"]]) == {"map@20": 0.0}
    assert metric.compute(predictions=[["a"], ["b"]], references=[["a", "c"], ["b"]]) == {"map@20": 75.0}
    with pytest.raises(DataFormatError, match="Query 2"):
        metric.score([["a"], ["b"]], [["a"], []])
