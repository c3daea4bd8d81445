"""What EP steps run with where they are held to ``sim``."""

BETA = 0.25
# Every stage of a turn is there, none lasts longer than it must for that.
TIMES = {"settle": 2, "transposed_settle": 1, "integrate": 1, "convert": 1, "transposed_convert": 1, "discharge": 1}
