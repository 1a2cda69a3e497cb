"""Loss of the head, and gradients of its weights and of the rows it read: the backends of three operations.

``kernels/score`` registers them beside ``score_steps``, whose backward pass uses the gradients too.
"""
