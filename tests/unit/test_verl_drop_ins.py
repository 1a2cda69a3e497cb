"""The verl drop-ins without verl: what they do beyond agreeing with it (tests/frameworks holds them against verl)."""

from types import SimpleNamespace

import pytest
import torch

from progrm_fast.integrations import verl

REWARDS = torch.tensor([[0.0, 1.0, float("nan")], [0.0, 0.0, 5.0]])
MASK = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (verl.compute_rloo_outcome_advantage, [[-4.0, -4, 0], [4, 4, 4]]),
        (
            lambda *args: verl.compute_grpo_outcome_advantage(*args, norm_adv_by_std_in_grpo=False),
            [[-2.0, -2, 0], [2, 2, 2]],
        ),
    ],
)
def test_what_is_no_number_under_the_mask_is_no_reward(estimator, expected):
    advantages, returns = estimator(REWARDS, MASK, ["a", "a"])
    assert advantages.tolist() == returns.tolist() == expected


def test_a_registered_name_reads_the_flag_from_the_configuration():
    config = SimpleNamespace(norm_adv_by_std_in_grpo=False)
    arguments = {"index": ["a", "a"], "config": config, "reward_baselines": None}
    plain, _ = verl._grpo_by_name(REWARDS, MASK, **arguments)
    assert plain.tolist() == [[-2.0, -2, 0], [2, 2, 2]]
    config.norm_adv_by_std_in_grpo = True
    scaled, _ = verl._grpo_by_name(REWARDS, MASK, **arguments)
    torch.testing.assert_close(scaled[1, 0].item(), 0.5**0.5, atol=1e-5, rtol=0)


def test_uninstalling_what_was_not_installed_does_nothing():
    verl.uninstall()
