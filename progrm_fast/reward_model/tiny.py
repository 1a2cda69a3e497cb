"""Small models made on the spot: a tokenizer trained on one's own texts, and a Qwen2 of a few layers.

Nothing is downloaded. For tests, examples and a first baseline; the policy trainer makes its small policies here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config

__all__ = ["tiny_qwen2", "tiny_qwen2_config", "train_tokenizer"]

UNKNOWN, PADDING, END = "<unk>", "<pad>", "<eos>"


def train_tokenizer(
    texts: Iterable[str], *, kind: Literal["word", "bytes"] = "word", vocab_size: int = 4096, min_frequency: int = 1
) -> PreTrainedTokenizerBase:
    """Train a tokenizer; equal texts in any order give an equal tokenizer.

    Parameters
    ----------
    texts : iterable of str
    kind : {"word", "bytes"}
        ``word``: lower-case words and single signs, unknown ones becoming ``<unk>``: short sequences, for collections
        of few words. ``bytes``: byte-level pair encoding, which can spell anything.
    vocab_size : int
        At most this many tokens, the special ones included.
    min_frequency : int
        A word or pair seen less often is left out.

    Returns
    -------
    transformers tokenizer
        With ``<unk>``, ``<pad>`` and ``<eos>`` as tokens 0, 1 and 2.

    Raises
    ------
    ValueError
        For an unknown kind, numbers out of range, or no text at all.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    if kind not in ("word", "bytes"):
        raise ValueError(f"kind: expected 'word' or 'bytes', got {kind!r}")
    least = 3 if kind == "word" else 259  # the special tokens, and all bytes
    for name, value, low in (("vocab_size", vocab_size, least), ("min_frequency", min_frequency, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name}: expected an integer of at least {low}, got {value!r}")
    ordered = sorted(texts)
    if not any(text.strip() for text in ordered):
        raise ValueError("texts: expected at least one that is not blank")
    # The three libraries of this function have no types.
    options: dict[str, Any] = {
        "vocab_size": vocab_size,
        "min_frequency": min_frequency,
        "special_tokens": [UNKNOWN, PADDING, END],
        "show_progress": False,
    }
    if kind == "word":
        tokenizer: Any = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer: Any = trainers.WordLevelTrainer(**options)
    else:
        tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **options)
    tokenizer.train_from_iterator(ordered, trainer)
    made: PreTrainedTokenizerBase = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token=UNKNOWN, pad_token=PADDING, eos_token=END
    )
    return made


def tiny_qwen2_config(vocab_size: int, **options: Any) -> Qwen2Config:
    """Return the configuration of a small Qwen2: two layers, 64 wide, 4 heads, unless ``options`` say otherwise.

    Parameters
    ----------
    vocab_size : int
        Tokens of the tokenizer that goes with it.
    **options
        Of ``transformers.Qwen2Config``.
    """
    from transformers import Qwen2Config

    small: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "unk_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "bos_token_id": None,
    }
    return Qwen2Config(**{**small, **options})


def tiny_qwen2(vocab_size: int, *, seed: int = 0, language_model: bool = False, **options: Any) -> PreTrainedModel:
    """Build a small Qwen2 with random weights that depend on the seed alone.

    Parameters
    ----------
    vocab_size : int
    seed : int
        The caller's random state stays as it was.
    language_model : bool
        With the head that predicts tokens (``Qwen2ForCausalLM``), as a policy needs it; without, the backbone of a
        reward model.
    **options
        Of ``transformers.Qwen2Config``, as for ``tiny_qwen2_config``.
    """
    from transformers import AutoModel, AutoModelForCausalLM

    kind = AutoModelForCausalLM if language_model else AutoModel
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds the GPUs' as well
        model: PreTrainedModel = kind.from_config(tiny_qwen2_config(vocab_size, **options))  # type: ignore[no-untyped-call]  # of a private class
    return model
