"""What each command of ``sockreuse`` does: read the arguments, call one module, print."""
