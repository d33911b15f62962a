"""The formats of tasks; each owns encoding, head, decoding and metric inputs."""

from __future__ import annotations

from adapterstilts.tasks.formats.base import Answer, Encoded, EncodingSettings, Format, HeadSpec
from adapterstilts.tasks.formats.choice import Classification, MultipleChoice
from adapterstilts.tasks.formats.language_modelling import LanguageModelling
from adapterstilts.tasks.formats.retrieval import Retrieval, Search
from adapterstilts.tasks.formats.span import Span
from adapterstilts.tasks.formats.tagging import Tagging
from adapterstilts.tasks.spec import FormatName

FORMATS: dict[FormatName, Format] = {
    "classification": Classification(),
    "multiple_choice": MultipleChoice(),
    "span": Span(),
    "tagging": Tagging(),
    "language_modelling": LanguageModelling(),
    "retrieval": Retrieval(),
    "search": Search(),
}

__all__ = ["FORMATS", "Answer", "Encoded", "EncodingSettings", "Format", "HeadSpec"]
