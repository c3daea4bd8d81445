"""The microprogram: instructions and tables that the digital controller runs an EP step from."""

from mapping.program.assemble import assemble
from mapping.program.image import from_bytes, to_bytes
from mapping.program.instructions import OPERATIONS, Instruction, Opcode, Operation
from mapping.program.listing import listing
from mapping.program.tables import Program

__all__ = [
    "OPERATIONS",
    "Instruction",
    "Opcode",
    "Operation",
    "Program",
    "assemble",
    "from_bytes",
    "listing",
    "to_bytes",
]
