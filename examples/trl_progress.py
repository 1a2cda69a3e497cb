"""Train a small policy with TRL on progress rewards, on a CPU: 20 steps of GRPO.

python examples/trl_progress.py

The task is made up: say the five steps that send a mail, in order. Recipes are learned from two demonstrations; from
then on every completion is labelled with its progress, and each step's tokens get the advantage of that step. Nothing
is downloaded: tokenizer and model are made here. For a real run put in your own model, data and recipes (`progrm-fast
annotate --recipes --screen-key none`), or a reward model: `make_scorer({"model": "reward_model/"})`.
"""

from __future__ import annotations

import tempfile

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig

from progrm_fast import ProgressAnnotator, Trajectory
from progrm_fast.integrations.rollouts import make_scorer
from progrm_fast.integrations.trl import ProgressGRPOTrainer, ProgressOfText

RECIPE = ["open", "compose", "address", "type", "send"]
WORDS = ["<pad>", "<eos>", "<unk>", ";", "mail", *RECIPE, "scroll", "back", "wait"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; a semicolon ends a step."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def make_policy() -> Qwen2ForCausalLM:
    """Make a Qwen2 of one layer."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=len(WORDS), eos_token_id=1, pad_token_id=0, **size, **heads))


def is_done(row: dict, steps: list[str]) -> bool:
    """Whether the recipe's steps occur in order; an environment would say so."""
    rest = iter(steps)
    return all(word in rest for word in RECIPE)


def main(output: str | None = None, max_steps: int = 20) -> list[float]:
    """Train; give back the mean progress of the completions of each step."""
    demonstrations = [
        Trajectory(f"demo {i}", "mail", "", True, [{"action": word} for word in words])
        for i, words in enumerate([RECIPE, ["scroll", *RECIPE]])
    ]
    annotator = ProgressAnnotator(weights="uniform", screen_key=None, mask_share=0).fit(demonstrations)
    tokenizer = make_tokenizer()
    progress = ProgressOfText(
        make_scorer({"library": annotator.library}), tokenizer, step_end="", success=is_done
    )  # an empty text is in every token: each word is a step
    reached = []

    def progress_func(batch, inputs):
        steps = progress(batch, inputs)
        ends = steps.cu_steps[1:][steps.cu_steps.diff() > 0] - 1
        reached.append(steps.progress[ends].sum().item() / len(inputs))
        return steps

    with tempfile.TemporaryDirectory() as folder:
        arguments = GRPOConfig(
            output_dir=output or folder,
            use_cpu=True,
            bf16=False,
            max_steps=max_steps,
            per_device_train_batch_size=32,
            num_generations=16,
            max_completion_length=8,
            learning_rate=3e-2,
            lr_scheduler_type="constant",
            beta=0.0,
            seed=0,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = ProgressGRPOTrainer(
            model=make_policy(),
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list([{"prompt": "mail", "task_id": "mail"}] * 64),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),  # TRL asks for one; it is only logged
            progress_func=progress_func,
        )
        trainer.train()
    for step in range(0, len(reached), 5):
        print(f"step {step + 1:2d}: mean progress {reached[step]:.3f}")
    print(f"step {len(reached):2d}: mean progress {reached[-1]:.3f}")
    return reached


if __name__ == "__main__":
    main()
