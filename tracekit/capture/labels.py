"""Labels: what a transformers model has to be told besides its inputs to compute a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from tracekit.capture.inputs import Draw, forward_parameters

_SEED = 1
_NO_LOSS = -100  # the target that cross entropy ignores

# transformers names a class after its task. The endings are looked up in this order.
_EVERY_TOKEN = (
    "ForCausalLM",
    "LMHeadModel",
    "ForMaskedLM",
    "ForConditionalGeneration",
    "EncoderDecoderModel",
)
_EVERY_SAMPLE = (
    "ForSequenceClassification",
    "ForImageClassification",
    "ForVideoClassification",
    "ForAudioClassification",
)


def training_labels(model: nn.Module, inputs: Mapping[str, object]) -> dict[str, torch.Tensor]:
    """The keyword inputs, on the inputs' device, that make `model` return a loss; empty if it knows none.

    The task is known from how transformers names its classes. Targets are those that training uses in kind
    and shape (the tokens themselves for a language model, seeded random classes otherwise).
    """
    config: Any = getattr(model, "config", None)
    parameters = forward_parameters(model)
    main = inputs.get(str(getattr(model, "main_input_name", "input_ids")))
    tokens = inputs.get("decoder_input_ids", inputs.get("input_ids"))
    if config is None or not isinstance(main, torch.Tensor):
        return {}
    name = type(model).__name__
    batch = len(tokens) if isinstance(tokens, torch.Tensor) else len(main)
    classes = int(getattr(config, "num_labels", 2) or 2)
    draw = Draw(_SEED)
    if name.endswith("ForQuestionAnswering") and {"start_positions", "end_positions"} <= parameters.keys():
        answer = draw.below(main.shape[1], batch).to(main.device)
        return {"start_positions": answer, "end_positions": answer}
    if "labels" not in parameters:
        return {}
    if name.endswith(_EVERY_TOKEN) and isinstance(tokens, torch.Tensor):
        return {"labels": _next_tokens(tokens, config)}
    if name.endswith(_EVERY_SAMPLE):
        return {"labels": draw.below(classes, batch).to(main.device)}
    if name.endswith("ForTokenClassification"):
        return {"labels": draw.below(classes, *main.shape[:2]).to(main.device)}
    if name.endswith("ForCTC"):
        # One character that is not the blank, which transformers takes for padding.
        character = (int(getattr(config, "pad_token_id", None) or 0) + 1) % int(config.vocab_size)
        return {"labels": torch.full((batch, 1), character, device=main.device)}
    if name.endswith("ForSemanticSegmentation"):
        return {"labels": draw.below(classes, batch, *main.shape[-2:]).to(main.device)}
    return {}


def _next_tokens(tokens: torch.Tensor, config: Any) -> torch.Tensor:
    """The tokens as their own targets; the places where an image stands are nobody's target."""
    placeholders = [getattr(config, f"{kind}_token_id", None) for kind in ("image", "video", "audio")]
    targets = tokens.clone()
    for placeholder in placeholders:
        if isinstance(placeholder, int):
            targets[tokens == placeholder] = _NO_LOSS
    return targets
