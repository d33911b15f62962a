"""What the tests share: a tiny XLM-R with random weights, a mirror of the Hub with made-up rows, a store of their own.

Nothing here needs a network, and nothing touches the user's folders.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from toy_backbone import copied, write_backbone
from toy_lab import make_lab
from toy_mirror import write_mirror
from toy_tokenizers import make_tokenizer, make_wordpiece

if TYPE_CHECKING:
    from loopback_hub import LoopbackHub
    from toy_compositions import MakeComposition
    from transformers import BertTokenizerFast, PreTrainedTokenizerFast

    from adapterstilts.models.backbone import Backbone
    from adapterstilts.store.artifacts import Store

pytest.register_assert_rewrite("calling", "toy_trainer")

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
def wordpiece() -> BertTokenizerFast:
    """A tokenizer in the manner of BERT, with token types."""
    return make_wordpiece()


@pytest.fixture(scope="session")
def toy_backbone_folder(toy_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny XLM-R, saved with its masked-language-model head as the published one is."""
    return write_backbone(tmp_path_factory.mktemp("toy-xlm-r"), toy_tokenizer)


@pytest.fixture
def toy_backbone(toy_backbone_folder: Path) -> Backbone:
    """The tiny XLM-R, freshly loaded."""
    from adapterstilts.models.backbone import load_backbone

    return load_backbone(str(toy_backbone_folder))


@pytest.fixture(scope="session")
def still_folder(toy_backbone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny XLM-R without dropout, so that training steps can be compared to the digit."""
    folder = tmp_path_factory.mktemp("still") / "backbone"
    return copied(toy_backbone_folder, folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture
def toy_composition() -> MakeComposition:
    """A function that makes a composition of toy adapters."""
    from toy_compositions import make_composition

    return make_composition


@pytest.fixture(scope="session")
def toy_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mirror of the Hub with made-up rows for every task, some languages of each."""
    return write_mirror(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def toy_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy_backbone_folder: Path) -> Iterator[Any]:
    """A lab of four tasks in three languages in the place of the package's, with the tiny XLM-R as its ``pico``."""
    from adapterstilts.models import locations

    lab = make_lab()
    for module in (lab, lab.languages, lab.rows):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    shutil.copytree(toy_backbone_folder, tmp_path / "toy_lab_package" / "pico")
    (tmp_path / "toy_lab_package" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(locations.PACKAGED, "pico", ("toy_lab_package", "pico", "adapterstilts"))
    yield lab
    sys.modules.pop("toy_lab_package", None)  # the next test has one of its own, elsewhere


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the datasets library that has seen no other mirror."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache"


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub of one's own, which the clients in this process ask as the user ``alice``."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import reset_sessions
    from loopback_hub import TOKEN, serving

    from adapterstilts.store import hub

    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        pages = server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)  # both are read when the client is imported
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", pages)
        monkeypatch.setattr(hub, "PAUSES", (0.0, 0.0))
        reset_sessions()
        yield server
    reset_sessions()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where the Hub is asked for."""
    from adapterstilts.data import network

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(network, "_probe", lambda endpoint: pytest.fail(f"{endpoint} was asked"))
