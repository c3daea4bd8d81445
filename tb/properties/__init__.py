"""What is claimed of the controller's blocks: components around a block, with Asserts beside it (see ``tb.formal``)."""
