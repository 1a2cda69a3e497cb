"""Environments to act in: a simulated phone (``gui``), and MiniWoB++ in a real browser (``miniwob``).

Importing this package registers ``progrm_fast/Phone-v0`` with Gymnasium.
"""

import gymnasium

__all__ = ["PHONE_ID"]

PHONE_ID = "progrm_fast/Phone-v0"

if PHONE_ID not in gymnasium.registry:
    # The phone ends its own episodes; a second limit would hide which of the two did.
    gymnasium.register(id=PHONE_ID, entry_point="progrm_fast.envs.gui:PhoneEnv")
