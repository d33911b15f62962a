"""What the tests share: a tiny XLM-R with random weights, a mirror of the Hub with made-up rows, a store of their own.

Nothing here needs a network, and nothing touches the user's folders.
"""

from __future__ import annotations

import atexit
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast

    from adapterstilts.models.backbone import Backbone
    from adapterstilts.models.composition import Composition
    from adapterstilts.store.artifacts import Store
    from adapterstilts.tasks.formats import HeadSpec

_SCRATCH = tempfile.mkdtemp(prefix="adapterstilts-tests-")
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
# Set before the Hub's libraries are imported, since they read these once.
os.environ["HF_HOME"] = os.path.join(_SCRATCH, "huggingface")
os.environ["HF_DATASETS_CACHE"] = os.path.join(_SCRATCH, "datasets")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for models this small, threads cost more than they save
for _name in ("HF_HUB_CACHE", "TRANSFORMERS_CACHE"):  # they would win over HF_HOME
    os.environ.pop(_name, None)

# A first example pays for the imports, and machines differ.
settings.register_profile("adapterstilts", deadline=None)
settings.load_profile("adapterstilts")

TRAIN_ROWS, EVAL_ROWS = 60, 20

#: Words without meaning for any label, by language. Chinese and Thai are written without spaces.
FILLERS = {
    "en": "the cat sees a big house and small tree near water today with old books on table",
    "de": "die Katze sieht ein großes Haus und kleinen Baum am Wasser heute mit alten Büchern auf Tisch",
    "sw": "paka anaona nyumba kubwa na mti mdogo karibu na maji leo pamoja vitabu vya zamani juu meza",
    "ru": "кошка видит большой дом и маленькое дерево у воды сегодня с старыми книгами на столе",
    "zh": "猫 看见 大 房子 和 小 树 靠近 水 今天 带 着 旧 书 在 桌子 上",
    "th": "แมว เห็น บ้าน ใหญ่ และ ต้นไม้ เล็ก ใกล้ น้ำ วันนี้ กับ หนังสือ เก่า บน โต๊ะ",
}
UNSPACED = {"zh", "th"}

# The patterns to learn. They are the same words in all languages, so that a tiny model can carry them over.
NLI_CUES = {"entailment": "indeed", "neutral": "perhaps", "contradiction": "never"}
RIGHT_ENDING, WRONG_ENDING = "finally", "purple"
ANSWERS = ("Alpha", "Berta", "Gamma", "Delta")
ENTITIES = {
    "PER": (("Anna", "Miller"), ("Boris", "Miller")),
    "ORG": (("Acme", "Group"),),
    "LOC": (("Berlin",), ("Oslo",)),
}
TAGGED = {
    "runs": "VERB",
    "sings": "VERB",
    "green": "ADJ",
    "stone": "NOUN",
    "river": "NOUN",
    ".": "PUNCT",
    "seven": "NUM",
}
QUESTION = "Which name stands here ?"
PATTERN_WORDS = (
    *NLI_CUES.values(),
    *(RIGHT_ENDING, WRONG_ENDING),
    *ANSWERS,
    *TAGGED,
    *(word for groups in ENTITIES.values() for group in groups for word in group),
    *QUESTION.split(),
)
PANX_LABELS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
UDPOS_LABELS = tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Matrices of 32 by 32 are not worth the threads, also where OMP_NUM_THREADS asks for more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _own_surroundings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work offline, in a store of one's own. Tests on real text (marker ``real``) keep the data root they are given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("ADAPTERSTILTS_HOME", str(tmp_path_factory.mktemp("home")))
        for name in ("ADAPTERSTILTS_SUITE", "ADAPTERSTILTS_BACKBONE"):
            patch.delenv(name, raising=False)
        if request.node.get_closest_marker("real") is None:
            patch.delenv("ADAPTERSTILTS_DATA_ROOT", raising=False)
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    from adapterstilts.store.artifacts import Store

    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def toy_tokenizer() -> PreTrainedTokenizerFast:
    """A small Unigram tokenizer with the pipeline and special tokens of XLM-R."""
    return make_tokenizer()


@pytest.fixture(scope="session")
def toy_backbone_folder(toy_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny XLM-R, saved with its masked-language-model head as the published one is."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    folder = tmp_path_factory.mktemp("toy-xlm-r")
    config = XLMRobertaConfig(
        vocab_size=len(toy_tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        initializer_range=0.2,  # 0.02 is for hidden sizes of 768; with 32 all inputs would look alike
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        XLMRobertaForMaskedLM(config).save_pretrained(folder)
    toy_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def toy_backbone(toy_backbone_folder: Path) -> Backbone:
    """The tiny XLM-R, freshly loaded."""
    from adapterstilts.models.backbone import load_backbone

    return load_backbone(str(toy_backbone_folder))


@pytest.fixture
def toy_composition() -> Callable[..., Composition]:
    """A function that makes a composition of toy adapters."""

    def make(
        expression: str, top: str, head: HeadSpec, adapter: str = "seq_bn", reduction_factor: float | None = 4
    ) -> Composition:
        from adapterstilts.models.composition import Composition
        from adapterstilts.models.configs import adapter_config_json, fusion_config_json
        from adapterstilts.models.expression import Fusion, parse

        parsed = parse(expression)
        config = adapter_config_json(adapter, reduction_factor=reduction_factor)
        fusion = fusion_config_json() if isinstance(parsed, Fusion) else None
        return Composition(parsed, top, head, {name: dict(config) for name in (*parsed.names, top)}, fusion)

    return make


@pytest.fixture(scope="session")
def toy_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of the Hub with made-up rows for every task, some languages of each."""
    root = tmp_path_factory.mktemp("hub")
    write_data_set(root, "nyu-mll/glue", {"mnli": _mnli(), "qqp": _qqp()})
    write_data_set(
        root, "stanfordnlp/snli", {"plain_text": _labelled_nli({"train": 12, "validation": 6}, unlabelled=2)}
    )
    rounds = {f"{part}_r{number}": 4 for part in ("train", "dev") for number in (1, 2, 3)}
    write_data_set(root, "facebook/anli", {"plain_text": _labelled_nli(rounds)})
    write_data_set(root, "rajpurkar/squad", {"plain_text": _squad()})
    write_data_set(root, "rajpurkar/squad_v2", {"squad_v2": _squad2()})
    write_data_set(root, "Rowan/hellaswag", {"default": _hellaswag()})
    write_data_set(root, "tau/commonsense_qa", {"default": _choices(_csqa_row, 5)})
    write_data_set(root, "lighteval/siqa", {"default": _choices(_siqa_row, 3)})
    write_data_set(root, "aps/super_glue", {"copa": _choices(_copa_row, 2)})
    xcopa = {code: {"test": _choices(_copa_row, 2, code)["validation"]} for code in ("sw", "th", "zh")}
    write_data_set(root, "cambridgeltl/xcopa", xcopa)
    _write_cosmosqa(root / "wilburOne" / "cosmosqa")
    _write_ccg(root / "ccg")
    xtreme = {
        "XNLI": _xnli(("en", "de", "sw", "zh")),
        "tydiqa": _tydiqa({"english": "en", "russian": "ru", "swahili": "sw"}),
    }
    xtreme |= {f"PAN-X.{code}": _tagging(code, "ner_tags", PANX_LABELS, _entities) for code in ("en", "de", "sw")}
    xtreme |= {
        f"udpos.{name}": _tagging(code, "pos_tags", UDPOS_LABELS, _parts_of_speech)
        for name, code in (("English", "en"), ("German", "de"))
    }
    xtreme |= {f"PAWS-X.{code}": _pawsx(code) for code in ("en", "de", "zh")}
    xtreme |= {f"MLQA.{code}.{code}": _mlqa(code) for code in ("en", "de", "zh")}
    xtreme |= {f"tatoeba.{name}": _tatoeba(code) for name, code in (("deu", "de"), ("swh", "sw"), ("rus", "ru"))}
    xtreme |= {f"bucc18.{code}": _bucc(code) for code in ("de", "ru")}
    xtreme |= {f"XQuAD.{code}": {"validation": _spans(code, EVAL_ROWS, "xquad")} for code in ("en", "de", "zh")}
    write_data_set(root, "google/xtreme", xtreme)
    return root


@pytest.fixture
def toy_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_backbone_folder: Path) -> Iterator[Any]:
    """A lab of four tasks in three languages in the place of the package's, with the tiny XLM-R as its ``pico``."""
    from adapterstilts.errors import unknown
    from adapterstilts.models import locations

    words = {"qaa": "en", "qab": "de", "qac": "sw"}
    distances = {"qaa": 0.0, "qab": 0.5, "qac": 0.25}
    languages: Any
    rows: Any
    lab: Any = ModuleType("adapterstilts.lab")
    languages, rows = (ModuleType(f"adapterstilts.lab.{name}") for name in ("languages", "rows"))

    def language(code: str, name: str, order: str, cases: str) -> SimpleNamespace:
        return SimpleNamespace(
            code=code, name=name, family="lab:toy", script="Latin", order=order, cases=cases, seen=code != "qab"
        )

    def load(task: str, code: str, split: str) -> Dataset:
        if task not in rows.SIZES or code not in words:
            raise unknown("language of the lab", code, words)
        made = {
            "mnli": lambda: _mnli()[{"validation": "validation_matched"}.get(split, split)],
            "squad": lambda: _spans(words[code], rows.SIZES[task][split], f"squad-{split}"),
            "tydiqa": lambda: _spans(words[code], rows.SIZES[task][split], f"tydiqa-{split}"),
            "panx": lambda: _tagging(words[code], "ner_tags", PANX_LABELS, _entities)[split],
        }
        return made[task]()

    sizes = {"train": TRAIN_ROWS, "validation": EVAL_ROWS}
    languages.SOURCE = "qaa"
    languages.LANGUAGES = {
        made.code: made
        for made in (
            language("qaa", "Source", "SVO", "none"),
            language("qab", "Far", "SOV", "4"),
            language("qac", "Near", "SVO", "4"),
        )
    }
    languages.all_languages = lambda: languages.LANGUAGES
    languages.distance = lambda a, b: abs(distances[a.code] - distances[b.code])
    languages.differences = lambda a, b: tuple(
        name for name in ("order", "cases") if getattr(a, name) != getattr(b, name)
    )
    rows.SIZES = {name: dict(sizes) for name in ("mnli", "squad")}
    rows.SIZES |= {name: sizes | {"test": EVAL_ROWS + 1} for name in ("panx", "tydiqa")}
    rows.load, rows.LABELS, rows.wording = load, {}, lambda task: {}
    lab.languages, lab.rows = languages, rows
    for module in (lab, languages, rows):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    shutil.copytree(toy_backbone_folder, tmp_path / "toy_lab_package" / "pico")
    (tmp_path / "toy_lab_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(locations.PACKAGED, "pico", ("toy_lab_package", "pico", "adapterstilts"))
    yield lab
    sys.modules.pop("toy_lab_package", None)  # the next test has one of its own, elsewhere


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the Hub is asked for."""
    from adapterstilts.data import network

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(network, "_probe", lambda endpoint: pytest.fail(f"{endpoint} was asked"))


@pytest.fixture(scope="session")
def data_set_writer() -> Callable[[Path, str, Mapping[str, Mapping[str, Dataset]]], Path]:
    """The function that lays a data set out as the Hub does, for tests that need rows of their own."""
    return write_data_set


@pytest.fixture(scope="session")
def tokenizer_maker() -> Callable[..., PreTrainedTokenizerFast]:
    """The function that makes the toy tokenizer, for tests that need another vocabulary."""
    return make_tokenizer


def write_data_set(root: Path, name: str, configs: Mapping[str, Mapping[str, Dataset]]) -> Path:
    """Write a data set below ``root``: a parquet file a split, and a README whose YAML names them."""
    import yaml

    folder = root / name
    listed = []
    for config, splits in configs.items():
        (folder / config).mkdir(parents=True, exist_ok=True)
        files = []
        for split, table in splits.items():
            path = f"{config}/{split}-00000-of-00001.parquet"
            table.to_parquet(str(folder / path))
            files.append({"split": split, "path": path})
        listed.append({"config_name": config, "data_files": files})
    header = yaml.safe_dump({"configs": listed}, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{header}---\n\nMade-up rows.\n", encoding="utf-8")
    return folder


def make_tokenizer(extra_pieces: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Make a Unigram tokenizer for the toy languages: the same one each time, which the library's trainer would not.

    The words of the patterns are pieces; of the filler words each second one is cut in two; all else goes by letters.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import XLMRobertaTokenizerFast

    pieces = dict.fromkeys(("<s>", "<pad>", "</s>", "<unk>"), 0.0) | {"▁": -9.0}
    pieces |= {f"▁{word}": -6.0 for word in PATTERN_WORDS}
    for code, text in FILLERS.items():
        start = "" if code in UNSPACED else "▁"
        for number, word in enumerate(text.split()):
            halves = [word[: len(word) // 2], word[len(word) // 2 :]] if number % 2 else [word]
            pieces |= {half if position else start + half: -7.0 for position, half in enumerate(halves) if half}
    letters = "".join(
        [*FILLERS.values(), *PATTERN_WORDS, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789?,.'-"]
    )
    pieces |= {letter: -12.0 for letter in dict.fromkeys(letters) if not letter.isspace() and letter not in pieces}
    pieces |= {piece: -6.0 for piece in extra_pieces}

    tokenizer = Tokenizer(models.Unigram(list(pieces.items()), unk_id=3))
    # XLM-R's normaliser is a compiled table; of its effects the tests need these: NFKC, and silent characters vanish.
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex("[\u200b-\u200f\ufeff]"), " "),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=128)


def _sentence(generator: random.Random, code: str, *, extra: tuple[str, ...] = ()) -> str:
    """Return four to eight filler words, with ``extra`` words somewhere among them."""
    words = generator.choices(FILLERS[code].split(), k=generator.randint(4, 8))
    for word in extra:
        words.insert(generator.randint(0, len(words)), word if code not in UNSPACED else f" {word} ")
    return ("" if code in UNSPACED else " ").join(words).replace("  ", " ").strip()


def _nli(code: str, count: int) -> list[tuple[str, str, str]]:
    """Return premises, hypotheses and labels; a word in the hypothesis decides."""
    generator = random.Random(f"nli {code} {count}")
    labels = [list(NLI_CUES)[number % 3] for number in range(count)]
    return [
        (_sentence(generator, code), _sentence(generator, code, extra=(NLI_CUES[label],)), label) for label in labels
    ]


def _mnli() -> dict[str, Dataset]:
    from datasets import ClassLabel, Dataset, Features, Value

    names = list(NLI_CUES)
    features = Features(
        {
            "premise": Value("string"),
            "hypothesis": Value("string"),
            "label": ClassLabel(names=names),
            "idx": Value("int32"),
        }
    )
    splits = {"train": TRAIN_ROWS, "validation_matched": EVAL_ROWS, "validation_mismatched": EVAL_ROWS + 1}
    return {
        split: Dataset.from_list(
            [
                {"premise": premise, "hypothesis": hypothesis, "label": names.index(label), "idx": number}
                for number, (premise, hypothesis, label) in enumerate(_nli("en", count))
            ],
            features=features,
        )
        for split, count in splits.items()
    }


def _qqp() -> dict[str, Dataset]:
    from datasets import ClassLabel, Dataset, Features, Value

    text = Value("string")
    label = ClassLabel(names=["not_duplicate", "duplicate"])
    features = Features({"question1": text, "question2": text, "label": label, "idx": Value("int32")})
    return {
        split: Dataset.from_list(
            [
                {"question1": first, "question2": second, "label": int(cue == "entailment"), "idx": number}
                for number, (first, second, cue) in enumerate(_nli("en", count))
            ],
            features=features,
        )
        for split, count in (("train", TRAIN_ROWS), ("validation", EVAL_ROWS))
    }


def _labelled_nli(counts: Mapping[str, int], unlabelled: int = 0) -> dict[str, Dataset]:
    """Return splits of SNLI's or ANLI's columns; the first rows of each have no gold label."""
    from datasets import ClassLabel, Dataset, Features, Value

    names = list(NLI_CUES)
    text = Value("string")
    features = Features({"premise": text, "hypothesis": text, "label": ClassLabel(names=names)})
    return {
        split: Dataset.from_list(
            [
                {"premise": premise, "hypothesis": hypothesis, "label": names.index(label) if at >= unlabelled else -1}
                for at, (premise, hypothesis, label) in enumerate(_nli("en", count + unlabelled))
            ],
            features=features,
        )
        for split, count in counts.items()
    }


def _pawsx(code: str) -> dict[str, Dataset]:
    """Labels are strings, as google/xtreme keeps them; every language has training rows."""
    from datasets import Dataset

    counts = {"train": TRAIN_ROWS, "validation": EVAL_ROWS, "test": EVAL_ROWS + 1}
    return {
        split: Dataset.from_list(
            [
                {"sentence1": first, "sentence2": second, "label": str(int(cue == "entailment"))}
                for first, second, cue in _nli(code, count)
            ]
        )
        for split, count in counts.items()
    }


def _xnli(codes: tuple[str, ...]) -> dict[str, Dataset]:
    from datasets import Dataset

    def rows(count: int) -> list[dict[str, str]]:
        return [
            {"language": code, "sentence1": premise, "sentence2": hypothesis, "gold_label": label}
            for code in codes
            for premise, hypothesis, label in _nli(code, count)
        ]

    return {"validation": Dataset.from_list(rows(EVAL_ROWS)), "test": Dataset.from_list(rows(EVAL_ROWS + 1))}


def _hellaswag() -> dict[str, Dataset]:
    from datasets import Dataset

    def rows(split: str, count: int) -> list[dict[str, Any]]:
        generator = random.Random(f"hellaswag {split}")
        made = []
        for number in range(count):
            right = generator.randrange(4)
            endings = [
                _sentence(generator, "en", extra=(RIGHT_ENDING if choice == right else WRONG_ENDING,))
                for choice in range(4)
            ]
            made.append(
                {
                    "ind": number,
                    "activity_label": "",
                    "ctx": _sentence(generator, "en"),
                    "endings": endings,
                    "label": str(right),
                }
            )
        return made

    return {
        name: Dataset.from_list(rows(name, count)) for name, count in (("train", TRAIN_ROWS), ("validation", EVAL_ROWS))
    }


def _choices(
    make: Callable[[random.Random, list[str], int, str], dict[str, Any]], number: int, code: str = "en"
) -> dict[str, Dataset]:
    """Return training and validation rows of a multiple-choice data set; the right choice says ``RIGHT_ENDING``."""
    from datasets import Dataset

    splits = {}
    for split, count in (("train", TRAIN_ROWS), ("validation", EVAL_ROWS)):
        generator = random.Random(f"{make.__name__} {code} {split}")
        rows = []
        for _ in range(count):
            right = generator.randrange(number)
            words = [RIGHT_ENDING if choice == right else WRONG_ENDING for choice in range(number)]
            rows.append(make(generator, [_sentence(generator, code, extra=(word,)) for word in words], right, code))
        splits[split] = Dataset.from_list([row | {"id": f"{split}-{at}", "idx": at} for at, row in enumerate(rows)])
    return splits


def _csqa_row(generator: random.Random, choices: list[str], right: int, code: str) -> dict[str, Any]:
    labels = list("ABCDE")
    return {
        "question": _sentence(generator, code),
        "question_concept": "",
        "choices": {"label": labels, "text": choices},
        "answerKey": labels[right],
    }


def _siqa_row(generator: random.Random, choices: list[str], right: int, code: str) -> dict[str, Any]:
    answers = {f"answer{letter}": choice for letter, choice in zip("ABC", choices, strict=True)}
    return {"context": _sentence(generator, code), "question": QUESTION, **answers, "label": str(right + 1)}


def _copa_row(generator: random.Random, choices: list[str], right: int, code: str) -> dict[str, Any]:
    first, second = choices
    relation = generator.choice(["cause", "effect"])
    premise = _sentence(generator, code)
    return {"premise": premise, "choice1": first, "choice2": second, "question": relation, "label": right}


def _write_cosmosqa(folder: Path) -> None:
    """Write comma separated files as the data set's repository has them; an answer may be ``None``."""
    import csv

    folder.mkdir(parents=True)
    for name, count in (("train.csv", TRAIN_ROWS), ("valid.csv", EVAL_ROWS)):
        generator = random.Random(f"cosmosqa {name}")
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "context", "question", *(f"answer{number}" for number in range(4)), "label"])
            for number in range(count):
                right = generator.randrange(4)
                answers = [
                    f"{_sentence(generator, 'en')} {RIGHT_ENDING}" if choice == right else "None" for choice in range(4)
                ]
                context = f"{_sentence(generator, 'en')},\n{_sentence(generator, 'en')}"
                writer.writerow([f"{name}-{number}", context, QUESTION, *answers, right])


def _write_ccg(folder: Path) -> None:
    """Write files as jiant keeps CCGbank's sentences; the categories follow the words."""
    import json

    verb = "(S\\NP)/NP"
    categories = {"VERB": verb, "ADJ": "N/N", "NOUN": "N", "PUNCT": ".", "NUM": "N/N", "ADV": "(S\\NP)\\(S\\NP)"}
    folder.mkdir(parents=True)
    for name, count in (("train", TRAIN_ROWS), ("dev", EVAL_ROWS)):
        generator = random.Random(f"ccg {name}")
        sentences = [_parts_of_speech(generator, "en") for _ in range(count)]
        lines = (
            f"{' '.join(word for word, _ in pairs)}\t{' '.join(categories[tag] for _, tag in pairs)}\n"
            for pairs in sentences
        )
        (folder / f"ccg.{name}").write_text("".join(lines), encoding="utf-8")
    numbers = {category: number for number, category in enumerate(sorted(set(categories.values())))}
    (folder / "tags_to_id.json").write_text(json.dumps(numbers), encoding="utf-8")


def _spans(code: str, count: int, name: str, first: int = 0) -> Dataset:
    """Return questions on contexts with one of the words of ``ANSWERS`` in them: that is the answer."""
    from datasets import Dataset, Features, List, Value

    generator = random.Random(f"{name} {code} {first}")
    made = []
    for number in range(first, first + count):
        answer = generator.choice(ANSWERS)
        context = _sentence(generator, code, extra=(answer,))
        made.append(
            {
                "id": f"{name}-{number}-{number % 3}",
                "context": context,
                "question": QUESTION,
                "answers": {"text": [answer], "answer_start": [context.index(answer)]},
            }
        )
    text = Value("string")
    answers = {"text": List(text), "answer_start": List(Value("int32"))}
    return Dataset.from_list(
        made, features=Features({"id": text, "context": text, "question": text, "answers": answers})
    )


def _squad() -> dict[str, Dataset]:
    return {
        "train": _spans("en", TRAIN_ROWS, "squad-train"),
        "validation": _spans("en", EVAL_ROWS, "squad-validation"),
    }


def _squad2() -> dict[str, Dataset]:
    """A third of the questions has no answer: their contexts hold none of the words of ``ANSWERS``."""
    from datasets import concatenate_datasets

    def without(row: dict[str, Any]) -> dict[str, Any]:
        context = " ".join(word for word in row["context"].split() if word not in ANSWERS)
        return {"id": f"no-{row['id']}", "context": context, "answers": {"text": [], "answer_start": []}}

    splits = {"train": _spans("en", TRAIN_ROWS, "squad2-train"), "validation": _spans("en", EVAL_ROWS, "squad2-dev")}
    return {
        name: concatenate_datasets([table, table.select(range(len(table) // 2)).map(without, features=table.features)])
        for name, table in splits.items()
    }


def _mlqa(code: str) -> dict[str, Dataset]:
    return {split: _spans(code, EVAL_ROWS, f"mlqa-{split}") for split in ("validation", "test")}


def _sentence_pairs(code: str, count: int, name: str) -> list[tuple[str, str]]:
    """Return sentences with their English translations: the same words of the patterns among other filler words."""
    generator = random.Random(f"{name} {code}")
    pairs = []
    for _ in range(count):
        words = tuple(generator.sample(sorted(set(PATTERN_WORDS)), 4))
        filler = generator.choice(FILLERS[code].split())
        pairs.append((" ".join((*words, filler)), " ".join((*words, generator.choice(FILLERS["en"].split())))))
    return pairs


def _tatoeba(code: str) -> dict[str, Dataset]:
    """Line ends and a useless ``source_lang``, as google/xtreme has them."""
    from datasets import Dataset

    useless = {"source_lang": "f" * 172, "target_lang": "eng"}
    rows = [
        {"source_sentence": f"{own}\n", "target_sentence": f"{english}\n", **useless}
        for own, english in _sentence_pairs(code, EVAL_ROWS, "tatoeba")
    ]
    return {"validation": Dataset.from_list(rows)}


def _bucc(code: str) -> dict[str, Dataset]:
    """The columns named after languages hold the sentences' ids, as in google/xtreme."""
    from datasets import Dataset

    return {
        split: Dataset.from_list(
            [
                {
                    "source_sentence": own,
                    "target_sentence": english,
                    "source_lang": f"{code}-{number:09d}",
                    "target_lang": f"en-{number + 500:09d}",
                }
                for number, (own, english) in enumerate(_sentence_pairs(code, count, f"bucc {split}"))
            ]
        )
        for split, count in (("validation", EVAL_ROWS), ("test", EVAL_ROWS + 1))
    }


def _tydiqa(languages: dict[str, str]) -> dict[str, Dataset]:
    """All languages in one file a split; the first part of the id tells which."""
    from datasets import concatenate_datasets

    return {
        split: concatenate_datasets([_spans(code, count, name, first) for name, code in languages.items()])
        for split, count, first in (("train", TRAIN_ROWS, 0), ("validation", EVAL_ROWS, 1000))
    }


def _tagging(
    code: str, column: str, labels: tuple[str, ...], make: Callable[[random.Random, str], list[tuple[str, str]]]
) -> dict[str, Dataset]:
    """Return sentences of tagged words: training rows in English, validation and test rows in every language."""
    from datasets import ClassLabel, Dataset, Features, List, Value

    features = Features({"tokens": List(Value("string")), column: List(ClassLabel(names=list(labels)))})
    counts = {"train": TRAIN_ROWS, "validation": EVAL_ROWS, "test": EVAL_ROWS + 1}
    if code != "en":
        del counts["train"]
    splits = {}
    for split, count in counts.items():
        generator = random.Random(f"{column} {code} {split}")
        sentences = [make(generator, code) for _ in range(count)]
        rows = [
            {"tokens": [word for word, _ in pairs], column: [labels.index(tag) for _, tag in pairs]}
            for pairs in sentences
        ]
        splits[split] = Dataset.from_list(rows, features=features)
    return splits


def _entities(generator: random.Random, code: str) -> list[tuple[str, str]]:
    """Return filler words with two entities among them."""
    pairs = [(word, "O") for word in _sentence(generator, code).split()]
    for _ in range(2):
        kind = generator.choice(list(ENTITIES))
        names = generator.choice(ENTITIES[kind])
        tagged = [(word, f"{'I' if position else 'B'}-{kind}") for position, word in enumerate(names)]
        place = generator.choice([0, len(pairs)])  # never inside another entity
        pairs[place:place] = tagged
    return pairs


def _parts_of_speech(generator: random.Random, code: str) -> list[tuple[str, str]]:
    """Return filler words, all of them adverbs, with words of other tags among them."""
    pairs = [(word, "ADV") for word in _sentence(generator, code).split()]
    for word in generator.choices(list(TAGGED), k=4):
        pairs.insert(generator.randint(0, len(pairs)), (word, TAGGED[word]))
    return pairs
