"""From progress to a policy update: rewards, advantages, losses."""
