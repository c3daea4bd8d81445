"""What every test shares: reproducible properties, and few threads."""

import torch
from hypothesis import settings

# The same examples on every machine, and no deadline: a busy machine must not turn a pass into a failure.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")

# The tests' tensors are small: more threads cost more than they bring.
torch.set_num_threads(1)
