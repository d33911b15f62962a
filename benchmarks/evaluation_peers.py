"""The other side of ``evaluation.py``: plain adapters, transformers and faiss, written as the libraries' examples are.

``run_qa.py`` and its ``postprocess_qa_predictions``, ``run_ner.py`` (both of transformers and adapters), and XTREME's
way of mining BUCC, each done again from its description. Nothing here is code of ours.
"""

from __future__ import annotations

import collections
import re
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH_SIZE, N_BEST, MAX_ANSWER_LENGTH, NEIGHBOURS = 8, 20, 30, 4
ADAPTER, HEAD = "top", "head"


def model_of(folder: str, weights: Path, kind: str, labels: Sequence[str]) -> Any:
    """Return an encoder with an adapter and a head, with given weights of both."""
    import torch
    from adapters import AutoAdapterModel

    model = AutoAdapterModel.from_pretrained(folder)
    model.add_adapter(ADAPTER, config="seq_bn")
    if kind == "question_answering":
        model.add_qa_head(HEAD, num_labels=2)
    else:
        model.add_tagging_head(HEAD, num_labels=len(labels), id2label=dict(enumerate(labels)))
    model.set_active_adapters(ADAPTER)
    model.active_head = HEAD
    given = torch.load(weights)
    missing = model.load_state_dict(given, strict=False)
    assert not missing.unexpected_keys, missing.unexpected_keys
    return model


def predicted(model: Any, features: Any, collator: Any, label_names: list[str]) -> Any:
    """Return what the trainer predicts, batches of its default size."""
    from transformers import Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            per_device_eval_batch_size=BATCH_SIZE,
            label_names=label_names,  # which the trainer does not find in a model with heads
            report_to="none",
            disable_tqdm=True,
        )
        return Trainer(model=model, args=arguments, data_collator=collator).predict(features)


def answer_questions(model: Any, tokenizer: Any, examples: Any, max_length: int, stride: int) -> dict[str, str]:
    """Return the answers to the questions of one language, by id.

    Args:
        model: with a head for question answering.
        tokenizer: a fast one.
        examples: a data set with ``id``, ``question``, ``context``.
        max_length, stride: in tokens; windows are padded to the full length, as the example does.
    """
    from transformers import default_data_collator

    def prepare(batch: dict[str, Any]) -> Any:
        tokenized = tokenizer(
            [question.lstrip() for question in batch["question"]],
            batch["context"],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
        )
        samples = tokenized.pop("overflow_to_sample_mapping")
        tokenized["example_id"] = [batch["id"][sample] for sample in samples]
        for window, offsets in enumerate(tokenized["offset_mapping"]):
            parts = tokenized.sequence_ids(window)
            tokenized["offset_mapping"][window] = [
                offset if parts[token] == 1 else None for token, offset in enumerate(offsets)
            ]
        return tokenized

    features = examples.map(
        prepare, batched=True, remove_columns=examples.column_names, load_from_cache_file=False, keep_in_memory=True
    )
    found = predicted(
        model,
        features.remove_columns(["example_id", "offset_mapping"]),
        default_data_collator,
        ["start_positions", "end_positions"],
    )
    return postprocess(examples, features, found.predictions[:2])


def postprocess(examples: Any, features: Any, predictions: Any) -> dict[str, str]:
    """Return the best answer to each question: all pairs of the ``N_BEST`` starts and ends of each window, ranked."""
    starts, ends = predictions
    place = {name: number for number, name in enumerate(examples["id"])}
    of_example = collections.defaultdict(list)
    for number, feature in enumerate(features):
        of_example[place[feature["example_id"]]].append(number)
    answers = collections.OrderedDict()
    for number, example in enumerate(examples):
        found = []
        for window in of_example[number]:
            offsets = features[window]["offset_mapping"]
            first = np.argsort(starts[window])[-1 : -N_BEST - 1 : -1].tolist()
            last = np.argsort(ends[window])[-1 : -N_BEST - 1 : -1].tolist()
            for start in first:
                for end in last:
                    if start >= len(offsets) or end >= len(offsets) or not offsets[start] or not offsets[end]:
                        continue
                    if end < start or end - start + 1 > MAX_ANSWER_LENGTH:
                        continue
                    found.append(
                        {
                            "offsets": (offsets[start][0], offsets[end][1]),
                            "score": starts[window][start] + ends[window][end],
                            "start_logit": starts[window][start],
                            "end_logit": ends[window][end],
                        }
                    )
        best = sorted(found, key=lambda one: one["score"], reverse=True)[:N_BEST]
        for one in best:
            begin, stop = one.pop("offsets")
            one["text"] = example["context"][begin:stop]
        if not best:
            best.append({"text": "empty", "start_logit": 0.0, "end_logit": 0.0, "score": 0.0})
        scores = np.array([one["score"] for one in best])
        powers = np.exp(scores - scores.max())
        for probability, one in zip(powers / powers.sum(), best, strict=True):
            one["probability"] = probability
        answers[example["id"]] = best[0]["text"]
    return answers


def question_scores(answers: dict[str, str], golds: dict[str, list[str]]) -> dict[str, float]:
    """Return exact match and F1 as SQuAD's script computes them."""

    def plain(text: str) -> str:
        text = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def f1(one: str, other: str) -> float:
        said, wanted = plain(one).split(), plain(other).split()
        common = sum((collections.Counter(said) & collections.Counter(wanted)).values())
        return 0.0 if common == 0 else 2 * common / (len(said) + len(wanted))

    f1s = [max(f1(answers[name], gold) for gold in texts) for name, texts in golds.items()]
    exact = [max(float(plain(answers[name]) == plain(gold)) for gold in texts) for name, texts in golds.items()]
    return {"f1": 100 * float(np.mean(f1s)), "exact_match": 100 * float(np.mean(exact))}


def tag_words(model: Any, tokenizer: Any, examples: Any, labels: Sequence[str], max_length: int) -> list[list[str]]:
    """Return the tags of the sentences of one language, batches padded to the longest of their eight.

    Args:
        model: with a head for tagging.
        tokenizer: a fast one.
        examples: a data set with ``tokens`` and ``tags``.
        labels: names of the tags.
        max_length: in tokens.
    """
    from transformers import DataCollatorForTokenClassification

    def prepare(batch: dict[str, Any]) -> Any:
        tokenized = tokenizer(batch["tokens"], truncation=True, max_length=max_length, is_split_into_words=True)
        found = []
        for number, tags in enumerate(batch["tags"]):
            before, own = None, []
            for word in tokenized.word_ids(batch_index=number):
                own.append(-100 if word is None or word == before else tags[word])
                before = word
            found.append(own)
        tokenized["labels"] = found
        return tokenized

    features = examples.map(
        prepare, batched=True, remove_columns=examples.column_names, load_from_cache_file=False, keep_in_memory=True
    )
    found = predicted(model, features, DataCollatorForTokenClassification(tokenizer), ["labels"])
    best = np.argmax(found.predictions, axis=2)
    return [
        [labels[tag] for tag, gold in zip(tags, golds, strict=True) if gold != -100]
        for tags, golds in zip(best, found.label_ids, strict=True)
    ]


def tag_scores(predictions: list[list[str]], golds: list[list[str]]) -> dict[str, float]:
    """Return what seqeval says, as the example asks it."""
    import warnings

    from seqeval.metrics import accuracy_score, f1_score

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seqeval's, on tags without B and I
        return {"f1": 100 * f1_score(golds, predictions), "token_accuracy": 100 * accuracy_score(golds, predictions)}


def mine(sources: np.ndarray, targets: np.ndarray) -> list[tuple[float, int, int]]:
    """Return pairs by ratio margin, the best first, no sentence in two: faiss both ways, and loops in Python.

    Args:
        sources, targets: vectors, (sentences, hidden).
    """
    import faiss

    x, y = sources.copy(), targets.copy()
    faiss.normalize_L2(x)
    faiss.normalize_L2(y)

    def neighbours(queries: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        index = faiss.IndexFlatIP(among.shape[1])
        index.add(among)
        similarities, places = index.search(queries, NEIGHBOURS)
        return similarities, places

    forward, forward_at = neighbours(x, y)
    backward, backward_at = neighbours(y, x)
    forward_mean, backward_mean = forward.mean(axis=1), backward.mean(axis=1)

    def score(one: Any, other: Any, places: Any, own: Any, others: Any) -> np.ndarray:
        scores = np.zeros(places.shape)
        for row in range(scores.shape[0]):
            for column in range(scores.shape[1]):
                place = places[row, column]
                scores[row, column] = one[row].dot(other[place]) / ((own[row] + others[place]) / 2)
        return scores

    forward_scores = score(x, y, forward_at, forward_mean, backward_mean)
    backward_scores = score(y, x, backward_at, backward_mean, forward_mean)
    forward_best = forward_at[np.arange(len(x)), forward_scores.argmax(axis=1)]
    backward_best = backward_at[np.arange(len(y)), backward_scores.argmax(axis=1)]
    indices = np.concatenate(
        [
            np.stack([np.arange(len(x)), forward_best], axis=1),
            np.stack([backward_best, np.arange(len(y))], axis=1),
        ]
    )
    scores = np.concatenate([forward_scores.max(axis=1), backward_scores.max(axis=1)])
    seen_sources, seen_targets, pairs = set(), set(), []
    for number in np.argsort(-scores):
        source, target = map(int, indices[number])
        if source not in seen_sources and target not in seen_targets:
            seen_sources.add(source)
            seen_targets.add(target)
            pairs.append((float(scores[number]), source, target))
    return pairs


def best_f1(pairs: list[tuple[float, int, int]], gold: set[tuple[int, int]]) -> dict[str, float]:
    """Return the best F1 that a threshold gives, and the threshold, by a scan of the sorted pairs."""
    correct = 0
    best = threshold = 0.0
    ordered = sorted(pairs, key=lambda pair: -pair[0])
    for extracted, (score, source, target) in enumerate(ordered, start=1):
        correct += (source, target) in gold
        if correct > 0:
            precision, recall = correct / extracted, correct / len(gold)
            f1 = 2 * precision * recall / (precision + recall)
            if f1 > best:
                best = f1
                following = ordered[extracted][0] if extracted < len(ordered) else score
                threshold = (score + following) / 2
    return {"f1": 100 * best, "threshold": threshold}
