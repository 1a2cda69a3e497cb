"""The GRPO subclass in the installed TRL: a tiny model trains on (B, T) advantages from progress."""

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig

from progrm_fast.integrations.trl import ProgressGRPOTrainer, StepProgress
from progrm_fast.policy.advantages import step_group_advantages

WORDS = ["<pad>", "<eos>", "<unk>", "go", "to", "page", "click", "type", "scroll", "done"]


def tokenizer():
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def model():
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    return Qwen2ForCausalLM(config)


def two_steps(batch, _inputs):
    """Each completion is two steps, its halves; progress is .5 and then 1 if the last token is even."""
    n_rows, n_columns = batch["completion_ids"].shape
    even = (batch["completion_ids"][:, -1] % 2 == 0).float()
    progress = torch.stack([torch.full_like(even, 0.5), 0.5 + 0.5 * even], dim=1).view(-1)
    half = torch.arange(n_columns) >= n_columns // 2
    return StepProgress(
        progress,
        torch.arange(0, 2 * n_rows + 1, 2, dtype=torch.int32),
        torch.arange(n_rows)[:, None] * 2 + half.long()[None, :],
    )


@pytest.fixture
def make_trainer(tmp_path):
    def make(**options):
        arguments = GRPOConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            max_steps=1,
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=6,
            report_to=[],
            save_strategy="no",
            learning_rate=1e-2,
            beta=0.0,
        )
        return ProgressGRPOTrainer(
            model=model(),
            args=arguments,
            processing_class=tokenizer(),
            train_dataset=Dataset.from_dict({"prompt": ["go to page", "click type"] * 4}),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            progress_func=two_steps,
            **options,
        )

    return make


@pytest.mark.parametrize("baseline", ["group", "batch"])
def test_a_step_trains_on_token_advantages(make_trainer, baseline):
    trainer = make_trainer(baseline=baseline)
    seen = []
    inner = trainer._generate_and_score_completions

    def spy(inputs):
        batch = inner(inputs)
        seen.append({k: v.clone() for k, v in batch.items() if isinstance(v, torch.Tensor)})
        return batch

    trainer._generate_and_score_completions = spy
    before = [p.clone() for p in trainer.model.parameters()]
    trainer.train()
    advantages, ids, mask = (seen[0][k] for k in ("advantages", "completion_ids", "completion_mask"))
    assert advantages.shape == ids.shape
    assert (advantages[mask == 0] == 0).all()
    if baseline == "group":
        steps = two_steps({"completion_ids": ids}, None)
        rows = torch.arange(len(ids)) // 2
        expected, _ = step_group_advantages(
            steps.progress, steps.cu_steps, rows, torch.where(mask != 0, steps.step_ids, -1)
        )
        torch.testing.assert_close(advantages, expected)
    # The rewards are all 0, so TRL's own advantages would leave the model where it was.
    moved = [not torch.equal(p, q) for p, q in zip(before, trainer.model.parameters(), strict=True)]
    assert any(moved) == bool((advantages != 0).any())
    assert (advantages != 0).any()


def test_an_unknown_baseline_is_refused(make_trainer):
    with pytest.raises(ValueError, match="baseline: expected group or batch, got 'mean'"):
        make_trainer(baseline="mean")
