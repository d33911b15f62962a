"""A mirror of the Hub with toy rows for every task, and data sets of one's own laid out in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import toy_retrieval_rows as retrieval_rows
import toy_rows as rows
from toy_rows import EVAL_ROWS, PANX_LABELS, TRAIN_ROWS, UDPOS_LABELS
from toy_texts import entities, parts_of_speech

if TYPE_CHECKING:
    from datasets import Dataset


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


def write_mirror(root: Path) -> Path:
    """Write made-up rows for every task below ``root``, some languages of each."""
    write_data_set(root, "nyu-mll/glue", {"mnli": rows.mnli(), "qqp": rows.qqp()})
    write_data_set(
        root, "stanfordnlp/snli", {"plain_text": rows.labelled_nli({"train": 12, "validation": 6}, unlabelled=2)}
    )
    rounds = {f"{part}_r{number}": 4 for part in ("train", "dev") for number in (1, 2, 3)}
    write_data_set(root, "facebook/anli", {"plain_text": rows.labelled_nli(rounds)})
    write_data_set(root, "rajpurkar/squad", {"plain_text": rows.squad()})
    write_data_set(root, "rajpurkar/squad_v2", {"squad_v2": rows.squad2()})
    write_data_set(root, "Rowan/hellaswag", {"default": rows.hellaswag()})
    write_data_set(root, "tau/commonsense_qa", {"default": rows.commonsense_qa()})
    write_data_set(root, "lighteval/siqa", {"default": rows.siqa()})
    write_data_set(root, "aps/super_glue", {"copa": rows.copa()})
    xcopa = {code: {"test": rows.copa(code)["validation"]} for code in ("sw", "th", "zh")}
    write_data_set(root, "cambridgeltl/xcopa", xcopa)
    rows.write_cosmosqa(root / "wilburOne" / "cosmosqa")
    rows.write_ccg(root / "ccg")
    xtreme = {
        "XNLI": rows.xnli(("en", "de", "sw", "zh")),
        "tydiqa": rows.tydiqa({"english": "en", "russian": "ru", "swahili": "sw"}),
    }
    xtreme |= {f"PAN-X.{code}": rows.tagging(code, "ner_tags", PANX_LABELS, entities) for code in ("en", "de", "sw")}
    xtreme |= {
        f"udpos.{name}": rows.tagging(code, "pos_tags", UDPOS_LABELS, parts_of_speech)
        for name, code in (("English", "en"), ("German", "de"))
    }
    xtreme |= {f"PAWS-X.{code}": rows.pawsx(code) for code in ("en", "de", "zh")}
    xtreme |= {f"MLQA.{code}.{code}": rows.mlqa(code) for code in ("en", "de", "zh")}
    xtreme |= {f"MLQA.{one}.{other}": rows.mlqa_pair(one, other) for one, other in (("en", "de"), ("zh", "en"))}
    xtreme |= {
        f"tatoeba.{name}": retrieval_rows.tatoeba(code) for name, code in (("deu", "de"), ("swh", "sw"), ("rus", "ru"))
    }
    xtreme |= {f"bucc18.{code}": retrieval_rows.bucc(code) for code in ("de", "ru")}
    xtreme |= {f"XQuAD.{code}": {"validation": rows.spans(code, EVAL_ROWS, "xquad")} for code in ("en", "de", "zh")}
    write_data_set(root, "google/xtreme", xtreme)
    write_xtreme_r(root)
    write_data_set(root, "mteb/BUCC", {f"{code}-en": {"test": retrieval_rows.bucc_pool(code)} for code in ("de", "ru")})
    retrieval_rows.write_lareqa(root / "google-research-datasets" / "lareqa", ("en", "de", "ru"))
    retrieval_rows.write_mewslix(root / "izhx" / "mewsli-x", ("en", "de", "ja"))
    return root


def write_xtreme_r(root: Path) -> None:
    """Write made-up rows of the data sets with XTREME-R's further languages, in words of the others."""
    write_data_set(root, "unimelb-nlp/wikiann", {"ro": rows.wikiann("de")})
    write_data_set(root, "google/xquad", {"xquad.ro": {"validation": rows.spans("de", EVAL_ROWS, "xquad")}})
    pairs = {name: retrieval_rows.mteb_pairs(code) for name, code in (("deu-eng", "de"), ("aze-eng", "ru"))}
    write_data_set(root, "mteb/tatoeba-bitext-mining", {"default": retrieval_rows.mteb_pairs("de", "ru"), **pairs})
    udpos = {
        name: rows.tagging(code, "pos_tags", UDPOS_LABELS, parts_of_speech)
        for name, code in (("en", "en"), ("de", "de"), ("lt", "ru"))
    }
    udpos["en"]["train"] = udpos["en"]["train"].select(range(TRAIN_ROWS // 2))  # another release than google/xtreme's
    write_data_set(root, "izhx/xtreme-r-udpos", udpos)
