"""Heads on top of a composition, as the adapters library builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapterstilts.errors import BackboneError

if TYPE_CHECKING:
    from adapterstilts.models.backbone import Backbone
    from adapterstilts.tasks.formats.base import HeadSpec


def add_head(backbone: Backbone, name: str, head: HeadSpec) -> None:
    """Add a head to a backbone's model.

    Args:
        backbone: whose model it is.
        name: of the head.
        head: its kind, size and labels.

    Raises:
        BackboneError: the adapters library has no head of this kind for the model, or its checkpoint has none.
    """
    model: Any = backbone.model
    kind, outputs = head.kind, head.outputs
    if kind == "masked_lm":
        stored = backbone.masked_lm()
        if stored is None:
            raise BackboneError(
                f"The checkpoint of '{backbone.identity.id}' has no masked-language-model head, without which nothing "
                "can be learnt from plain text; choose an encoder that was published with it, such as xlm-roberta-base."
            )
        from adapterstilts.models.masked_lm import add_masked_lm_head

        add_masked_lm_head(model, name, stored)
        return
    id2label = dict(enumerate(head.labels)) or None
    adders: dict[str, tuple[str, dict[str, Any]]] = {
        "classification": ("add_classification_head", {"num_labels": outputs, "id2label": id2label}),
        "tagging": ("add_tagging_head", {"num_labels": outputs, "id2label": id2label}),
        "multiple_choice": ("add_multiple_choice_head", {"num_choices": outputs}),
        "question_answering": ("add_qa_head", {"num_labels": outputs}),
    }
    adder, options = adders[kind]
    if not hasattr(model, adder):
        raise BackboneError(
            f"The adapters library has no {kind} head for '{backbone.identity.id}' ({model.config.model_type})."
        )
    getattr(model, adder)(name, **options)
