"""Steps from state to state that the sequencer can take."""

# What a program without faults can do; from every state but idle "safe" is a step away.
TRANSITIONS = (
    ("idle", "clear"), ("clear", "fetch"), ("fetch", "word"), ("word", "decode"), ("decode", "fetch"),
    ("decode", "read"),
    ("decode", "wait"), ("decode", "layer"), ("decode", "contrast"), ("decode", "idle"), ("read", "fetch"),
    ("wait", "fetch"), ("layer", "fetch"), ("contrast", "fetch"),
)  # fmt: skip
