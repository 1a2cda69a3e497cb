"""Trajectories to progress labels: symbols, recipes, labels, and the annotator that runs them in one go."""
