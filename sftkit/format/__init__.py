"""The artifact: the ``.sft`` file, the in-memory SFT, and model checkpoints read and written tensor by tensor.

Depends on numpy, scipy and safetensors, never on torch (but for ``pytorch_model.bin``, which only torch can read).
"""
